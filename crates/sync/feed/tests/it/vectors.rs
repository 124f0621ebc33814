//! The vectors of `specs/vectors/feed`.

use allod_feed::{Cursor, FeedError, Filter, Kind};
use allod_repo::{BranchName, Reach};
use serde_json::{Value, json};

/// What comes out of a case.
type Runner = fn(&Value) -> Result<Value, FeedError>;

fn run(name: &str, runner: Runner) {
    let path = format!(
        "{}/../../../specs/vectors/feed/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let got = match runner(&case["input"]) {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error.code() }),
        };
        assert_eq!(got, case["expect"], "{}", case["id"]);
    }
}

#[test]
fn cursors() {
    run("cursor.json", |input| {
        let text = input["text"].as_str().unwrap();
        let cursor: Cursor = text.parse()?;
        assert_eq!(cursor.to_string(), text);
        Ok(json!({
            "epoch": cursor.epoch().to_string(),
            "position": cursor.position(),
            "snapshot": cursor.is_in_snapshot(),
        }))
    });
}

#[test]
fn filters() {
    run("filter.json", |input| {
        let filter: Filter = input["filter"].as_str().unwrap().parse()?;
        let branch: BranchName = input["branch"].as_str().unwrap().parse().unwrap();
        let kind: Kind = serde_json::from_value(input["kind"].clone()).unwrap();
        let digits = input["key"].as_str().unwrap().as_bytes().as_chunks::<2>().0;
        let byte =
            |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let key: Vec<u8> = digits.iter().map(byte).collect();
        let reach = Reach::ALL.into_iter();
        let reach = reach.filter(|reach| filter.wants_reach(*reach));
        let reach: Vec<_> = reach.map(Reach::name).collect();
        let space = "bafyreibr7fpsck4lgbvrygylqctovvrvbb6ird4qbohtj5ojutonyzcprm";
        Ok(json!({
            "branch": filter.wants_branch(space.parse().unwrap(), &branch),
            "kind": filter.wants_kind(kind),
            "key": filter.wants_key(&key),
            "reach": reach,
        }))
    });
}
