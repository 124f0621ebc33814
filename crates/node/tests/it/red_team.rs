//! Attacks on rights at a running node, and the table of them in `SECURITY.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::home::{Home, files};
use crate::http_client::Served;
use crate::http_tokens::{begin, with};

/// Tokens that are taken, that are refused, and that open nothing of what is asked: no answer, figure, decision, file or output has one
/// (ACCESS-33).
#[test]
fn a_token_is_told_nowhere() {
    let home = Home::with_space();
    home.commit("a", "1");
    let own = home.json(&["http", "token", "new"])["token"].clone();
    let own = own.as_str().unwrap();
    let up = home.up_http_into("told");
    let served = Served { home, up };
    let asked = json!({ "user": "mallory", "roles": ["nobody"], "can": ["/"] });
    let good = begin(&served, own, &asked);
    let mut broken = good.clone();
    broken.truncate(good.len() - 8);
    let mut said = String::new();
    for token in [&good, &broken] {
        for (method, path) in [
            ("GET", "/v1/spaces/notes/entries/a".to_owned()),
            ("GET", format!("/v1/spaces/{token}/entries")),
            ("DELETE", "/v1/spaces/notes/entries/a".to_owned()),
            ("POST", "/v1/spaces/notes/commits".to_owned()),
            ("POST", "/v1/session".to_owned()),
        ] {
            let body = match method {
                "POST" => json!({ "message": "mine" }),
                _ => Value::Null,
            };
            let answer = with(&served, token, (method, &path), &body);
            assert!(answer.status >= 400, "{method} {path}");
            if !path.contains(token.as_str()) {
                said += &format!("{:?} {}", answer.headers, answer.text());
            }
        }
    }
    said += &with(&served, own, ("GET", "/metrics"), &Value::Null)
        .is(200)
        .text();
    for args in [
        &["explain"][..],
        &["explain", "-vv", "--json"],
        &["status", "-vv"],
    ] {
        let done = served.home.run(args);
        said += &format!("{} {}", done.out, done.err);
    }
    assert!(said.contains("denied"), "what was denied is noted: {said}");
    let place = served.home.path();
    let told = served.home.file("told");
    let Served { home, up } = served;
    assert_eq!(up.stop(), Some(0));
    let mut all = files(&place);
    all.push(told);
    assert!(all.iter().any(|file| file.ends_with("decisions.jsonl")));
    for token in [own, &good, &broken] {
        assert!(!said.contains(token), "{said}");
        for file in &all {
            let bytes = std::fs::read(file).unwrap_or_default();
            let has = |part: &[u8]| part == token.as_bytes();
            let has = bytes.windows(token.len()).any(has);
            // The node's own is in the file that people copy it from.
            let is_place = token == own && file.ends_with("http-token");
            assert!(!has || is_place, "{}", file.display());
        }
    }
    drop(home);
}

/// The folders of the crates, by their names.
fn crates() -> BTreeMap<String, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = BTreeMap::new();
    let mut open = vec![root.join("crates")];
    while let Some(dir) = open.pop() {
        let manifest = dir.join("Cargo.toml");
        if let Ok(text) = std::fs::read_to_string(manifest) {
            let name = text.lines().find_map(|line| line.strip_prefix("name = "));
            let name = name.unwrap().trim_matches('"');
            found.insert(name.to_owned(), dir);
            continue;
        }
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            open.extend(path.is_dir().then_some(path));
        }
    }
    found
}

/// The names of tests in a table of `SECURITY.md`, which is shown by them: `allod-repo::it rights::twin::name`, and the same crate goes
/// on where a name has none.
fn shown_by(table: &str) -> Vec<(String, String)> {
    let (mut names, mut of) = (Vec::new(), String::new());
    for row in table.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let quoted = cells.last().unwrap().split('`').skip(1).step_by(2);
        for name in quoted {
            let name = match name.split_once("::it ") {
                Some((package, name)) => {
                    package.clone_into(&mut of);
                    name
                }
                None => name,
            };
            names.push((of.clone(), name.to_owned()));
        }
    }
    names
}

/// Every test that `SECURITY.md` names is there: an attack whose test went, or got another name, is one that nobody looks at.
#[test]
fn the_tests_that_security_names_are_there() {
    let text = include_str!("../../../../SECURITY.md");
    let crates = crates();
    let attacks = text
        .split("\n## ")
        .find(|part| part.starts_with("Attacks on rights"));
    let rows = attacks
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| **"));
    assert!(rows.clone().count() >= 10);
    for row in rows {
        assert!(!shown_by(row).is_empty(), "nothing shows it: {row}");
    }
    let names = shown_by(text).into_iter().filter(|(of, _)| !of.is_empty());
    let mut found = 0;
    for (of, name) in names {
        if !name.contains("::") {
            continue;
        }
        let mut parts: Vec<&str> = name.split("::").collect();
        let test = parts.pop().unwrap();
        let dir = crates.get(&of).unwrap_or_else(|| panic!("no crate {of}"));
        let file = dir
            .join("tests/it")
            .join(parts.join("/"))
            .with_extension("rs");
        let source = std::fs::read_to_string(&file);
        let source = source.unwrap_or_else(|error| panic!("{name}: {}: {error}", file.display()));
        let is_there = match test {
            "*" => source.contains("#[test]") || source.contains("#[tokio::test"),
            test => source.contains(&format!("fn {test}(")),
        };
        assert!(is_there, "{of} has no test {name}");
        found += 1;
    }
    assert!(found > 40, "{found}");
}
