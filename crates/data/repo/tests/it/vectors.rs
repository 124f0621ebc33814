//! The cases of `specs/vectors/repo/commit.json`, `history.json` and `counting.json`.

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_repo::{Agents, BranchName, CommitId, Heads, Rejected, Repo, Span};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Runs every case of a file and returns how many were accepted and refused.
fn run(name: &str, judge: impl Fn(&Value) -> Result<Value, Rejected>) -> (usize, usize) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../specs/vectors/repo/");
    let text = std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    members(&document, &["spec", "revision", "schema", "cases"]);
    let (mut accepted, mut refused) = (0, 0);
    let mut failures = Vec::new();
    for case in document["cases"].as_array().unwrap() {
        members(case, &["id", "rule", "comment", "input", "expect"]);
        members(&case["expect"], &["ok", "error"]);
        let got = match judge(&case["input"]) {
            Ok(ok) => {
                accepted += 1;
                json!({ "ok": ok })
            }
            Err(Rejected::Refused(refusal)) => {
                refused += 1;
                json!({ "error": refusal.code() })
            }
            Err(Rejected::Fault(fault)) => panic!("{}: {fault}", case["id"]),
        };
        if got != case["expect"] {
            failures.push(format!("{}: {got}, not {}", case["id"], case["expect"]));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    (accepted, refused)
}

fn members(value: &Value, known: &[&str]) {
    for name in value.as_object().unwrap().keys() {
        assert!(known.contains(&name.as_str()), "unknown member {name}");
    }
}

fn hex(value: &Value) -> Bytes {
    let digits = value.as_str().unwrap().as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A replica that knows the key logs and nothing else.
fn replica(input: &Value) -> Result<Repo, Rejected> {
    let store = Arc::new(MemoryStore::new());
    let agents = Agents::new(store.clone());
    for log in input["logs"].as_array().unwrap() {
        let events: Vec<Bytes> = log[1].as_array().unwrap().iter().map(hex).collect();
        agents.learn(&log[0].as_str().unwrap().parse().unwrap(), &events)?;
    }
    Repo::adopt(store, hex(&input["genesis"]))
}

/// Reviews, completes and accepts one commit.
fn accept(repo: &Repo, commit: &Value, now: u64) -> Result<CommitId, Rejected> {
    let branch: BranchName = commit["branch"].as_str().unwrap().parse().unwrap();
    let reviewed = repo.review(hex(&commit["bytes"]), now)?;
    let id = reviewed.id();
    let changes = commit["changes"].as_array().unwrap();
    let changes: BTreeMap<Bytes, Bytes> = changes
        .iter()
        .map(|pair| (hex(&pair[0]), hex(&pair[1])))
        .collect();
    let complete = repo.with_changes(reviewed, &changes)?;
    repo.accept(complete, &branch)?;
    repo.join_branch(&branch, &Heads::from([id]))?;
    Ok(id)
}

#[test]
fn commits() {
    let (accepted, refused) = run("commit.json", |input| {
        let known = [
            "genesis", "logs", "now", "known", "bytes", "branch", "changes",
        ];
        members(input, &known);
        let now = input["now"].as_u64().unwrap();
        let repo = replica(input)?;
        for commit in input["known"].as_array().unwrap() {
            members(commit, &["bytes", "branch", "changes"]);
            accept(&repo, commit, now).unwrap();
        }
        let before = repo.branches()?;
        let id = match accept(&repo, input, now) {
            Ok(id) => id,
            refused => {
                assert_eq!(repo.branches()?, before, "what is refused moves nothing");
                return refused.map(|_| Value::Null);
            }
        };
        let commit = repo.commit(id)?;
        assert_eq!(*commit.bytes(), hex(&input["bytes"]));
        let said = commit.payload();
        let parents: Vec<String> = said.parents.iter().map(ToString::to_string).collect();
        let mut expected = json!({
            "cid": id.to_string(),
            "author": said.author.to_string(),
            "branch": said.branch.as_str(),
            "gen": said.generation,
            "message": said.message,
            "parents": parents,
            "stamp": said.stamp.bits(),
            "tree": said.tree.to_string(),
        });
        if let Some(parts) = said.parts {
            expected["parts"] = json!(parts.to_string());
        }
        Ok(expected)
    });
    assert!(
        accepted >= 10 && refused >= 3 * accepted,
        "{accepted} {refused}"
    );
}

#[test]
fn histories() {
    let (accepted, refused) = run("history.json", |input| {
        members(input, &["genesis", "logs", "now", "commits"]);
        let now = input["now"].as_u64().unwrap();
        let repo = replica(input)?;
        let mut commits = Vec::new();
        let mut trees = Vec::new();
        for commit in input["commits"].as_array().unwrap() {
            members(commit, &["bytes", "branch", "changes"]);
            let id = accept(&repo, commit, now)?;
            commits.push(id.to_string());
            trees.push(repo.at(id)?.tree().root().to_string());
        }
        let mut branches = Map::new();
        for (branch, heads) in repo.branches()? {
            let view = repo.state(&branch)?;
            let mut heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
            heads.sort();
            let state = json!({
                "heads": heads,
                "root": view.tree().root().to_string(),
                "entries": view.tree().len(),
                "live": view.range(&Span::all(), false).count(),
            });
            branches.insert(branch.as_str().to_owned(), state);
        }
        let report = repo.check(&mut |_, _| {})?;
        assert_eq!(report.problem_count, 0, "{:?}", report.problems);
        Ok(json!({
            "space": repo.id().to_string(),
            "commits": commits,
            "trees": trees,
            "branches": branches,
        }))
    });
    assert!(accepted >= 5 && refused >= 4, "{accepted} {refused}");
}

/// REPO-100, REPO-101 and REPO-110 to REPO-116, as the second reading has them.
#[test]
fn counting() {
    let (accepted, refused) = run("counting.json", |input| {
        members(input, &["genesis", "logs", "now", "commits"]);
        let now = input["now"].as_u64().unwrap();
        let repo = replica(input)?;
        let mut commits = Vec::new();
        for commit in input["commits"].as_array().unwrap() {
            members(commit, &["bytes", "branch", "changes"]);
            commits.push(accept(&repo, commit, now)?);
        }
        let (mut stands, mut counts) = (Vec::new(), Vec::new());
        for id in &commits {
            stands.push(repo.stands(*id)?);
            counts.push(repo.counts(*id)?);
        }
        let texts = |ids: Heads| {
            let mut texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
            texts.sort();
            texts
        };
        let mut branches = Map::new();
        for (branch, _) in repo.offered()? {
            let (heads, beside) = (repo.heads(&branch)?, repo.beside(&branch)?);
            let stand = json!({ "heads": texts(heads), "beside": texts(beside) });
            branches.insert(branch.as_str().to_owned(), stand);
        }
        Ok(json!({ "stands": stands, "counts": counts, "branches": branches }))
    });
    assert!(accepted >= 50 && refused >= 10, "{accepted} {refused}");
}
