//! What no compiler checks: the dependency law, module headers, rule citations, sizes, mutants that still apply.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{command, mutants, root};

/// The most lines of a source file that is not a test.
const LINES_MAX: usize = 800;

/// The most lines of a `lib.rs`.
const LIB_LINES_MAX: usize = 120;

/// Names of the spec pages, as rules cite them, and their files.
const PAGES: [(&str, &str); 33] = [
    ("CONV", "00-conventions.md"),
    ("STMT", "10-statement.md"),
    ("IDENT", "11-identity.md"),
    ("TRUST", "12-trust.md"),
    ("DID", "13-did.md"),
    ("RECS", "14-records.md"),
    ("ACCESS", "15-access.md"),
    ("BLOCKS", "20-blocks.md"),
    ("TREE", "21-tree.md"),
    ("REPO", "22-repo.md"),
    ("MERGE", "23-merge.md"),
    ("CRDT", "23-crdt.md"),
    ("WORK", "24-work.md"),
    ("OBJ", "25-objects.md"),
    ("PATCH", "26-patch.md"),
    ("PART", "26-part.md"),
    ("HOOK", "27-hooks.md"),
    ("VIEW", "28-views.md"),
    ("TYPE", "28-types.md"),
    ("PROJ", "28-projections.md"),
    ("SQL", "29-sql.md"),
    ("TAB", "29-tables.md"),
    ("SYNC", "30-sync.md"),
    ("SKETCH", "31-sketch.md"),
    ("FEED", "32-feed.md"),
    ("EVENT", "33-events.md"),
    ("SINK", "34-sinks.md"),
    ("SRC", "35-sources.md"),
    ("TRANS", "40-transport.md"),
    ("PAIR", "42-pairing.md"),
    ("DELTA", "50-deltas.md"),
    ("FED", "51-federation.md"),
    ("HTTP", "60-http.md"),
];

/// Runs every check; tells all that is wrong.
pub(crate) fn run() -> Result<()> {
    let mut problems = Vec::new();
    dependency_law(&mut problems)?;
    let mut files = Vec::new();
    for dir in [
        "crates",
        "xtask",
        "fuzz/fuzz_targets",
        "interop-tests",
        "benches",
    ] {
        collect(&root().join(dir), &mut files)?;
    }
    let rules = rules()?;
    let mut cited = BTreeSet::new();
    for file in &files {
        source(file, &rules, &mut cited, &mut problems)?;
    }
    readmes(&mut problems)?;
    mutants::check(&mut problems)?;
    for problem in &problems {
        println!("tidy: {problem}");
    }
    if !problems.is_empty() {
        bail!("{} things are not tidy", problems.len());
    }
    println!(
        "tidy: {} source files, {} rules of which {} are cited by code",
        files.len(),
        rules.len(),
        cited.len()
    );
    Ok(())
}

/// Crates of `sync` that have drivers: tokio is in their `driver` alone.
const DRIVERS: [&str; 2] = ["allod-federation", "allod-sinks"];

/// The layer of a workspace member, by its folder.
fn layer(path: &str) -> Option<&'static str> {
    ["trust", "data", "sync", "transport"]
        .into_iter()
        .find(|layer| path.contains(&format!("/crates/{layer}/")))
}

/// `trust <- data <- sync` and `trust <- data <- transport`; `sync` and `transport` never see each
/// other; tokio stays out of `trust`, `data` and the sans-IO crates of `sync`, and in those of [`DRIVERS`] in
/// the drivers.
fn dependency_law(problems: &mut Vec<String>) -> Result<()> {
    let args = [
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--all-features",
    ];
    let output = command("cargo", &args).output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let mut layers = BTreeMap::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        layers.insert(
            name,
            layer(package["manifest_path"].as_str().unwrap_or_default()),
        );
    }
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(Some(from)) = layers.get(name) else {
            continue;
        };
        let allowed: &[&str] = match *from {
            "trust" => &["trust"],
            "data" => &["trust", "data"],
            "sync" => &["trust", "data", "sync"],
            _ => &["trust", "data", "transport"],
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if !dependency["kind"].is_null() {
                continue;
            }
            let on = dependency["name"].as_str().unwrap_or_default();
            match layers.get(on) {
                Some(Some(to)) if !allowed.contains(to) => {
                    problems.push(format!("{name} ({from}) may not depend on {on} ({to})"));
                }
                Some(None) => problems.push(format!("{name} ({from}) may not depend on {on}")),
                _ => {}
            }
            let network = ["tokio", "quinn", "libp2p", "axum"].contains(&on);
            let is_driven = on == "tokio" && DRIVERS.contains(&name);
            if network && *from != "transport" && !is_driven {
                problems.push(format!("{name} ({from}) may not depend on {on}"));
            }
        }
    }
    Ok(())
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            if !["target", "node_modules", "corpus", "artifacts"].contains(&name) {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Every rule of the pages, like `TREE-3`.
fn rules() -> Result<BTreeSet<String>> {
    let mut rules = BTreeSet::new();
    for (page, file) in PAGES {
        let path = root().join("specs").join(file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        for line in text.lines() {
            let Some(rest) = line.trim_start().strip_prefix("- **") else {
                continue;
            };
            if let Some((rule, _)) = rest.split_once("**")
                && rule.starts_with(&format!("{page}-"))
                && !rules.insert(rule.to_owned())
            {
                bail!("{} states {rule} twice", path.display());
            }
        }
    }
    Ok(rules)
}

fn source(
    path: &Path,
    rules: &BTreeSet<String>,
    cited: &mut BTreeSet<String>,
    problems: &mut Vec<String>,
) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let shown = path.strip_prefix(root()).unwrap_or(path).display();
    let is_test = path.components().any(|part| part.as_os_str() == "tests");
    if !text.starts_with("//!") && !text.starts_with("#!") {
        problems.push(format!("{shown}: no //! header"));
    }
    if !text.is_ascii() {
        problems.push(format!("{shown}: characters beyond ASCII"));
    }
    let in_sync = shown.to_string().starts_with("crates/sync/")
        && path.components().any(|part| part.as_os_str() == "src");
    let is_driver = path.components().any(|part| part.as_os_str() == "driver")
        || path.ends_with("src/driver.rs");
    if in_sync && !is_driver && text.contains("tokio::") {
        problems.push(format!("{shown}: tokio outside of a driver"));
    }
    let lines = text.lines().count();
    if !is_test && lines > LINES_MAX {
        problems.push(format!("{shown}: {lines} lines, at most {LINES_MAX}"));
    }
    if path.ends_with("src/lib.rs") && lines > LIB_LINES_MAX {
        problems.push(format!("{shown}: {lines} lines, at most {LIB_LINES_MAX}"));
    }
    for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
        let Some((page, number)) = word.split_once('-') else {
            continue;
        };
        let is_rule = PAGES.iter().any(|(name, _)| *name == page)
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_rule && !rules.contains(word) {
            problems.push(format!("{shown}: cites {word}, which no page states"));
        } else if is_rule {
            cited.insert(word.to_owned());
        }
    }
    Ok(())
}

/// Every crate has a README.
fn readmes(problems: &mut Vec<String>) -> Result<()> {
    let mut open = vec![root().join("crates")];
    while let Some(dir) = open.pop() {
        if dir.join("Cargo.toml").exists() {
            if !dir.join("README.md").exists() {
                problems.push(format!("{}: no README.md", dir.display()));
            }
            continue;
        }
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    Ok(())
}
