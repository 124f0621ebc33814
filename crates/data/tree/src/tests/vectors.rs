//! The vectors of `specs/21-tree.md`.

use std::collections::BTreeMap;
use std::path::Path;

use allod_blocks::{Codec, sha256_cid};
use serde_json::{Map, Value, json};

use crate::chunking::{Chunking, boundary_hash};
use crate::error::NodeError;
use crate::node::Node;
use crate::tree::Tree;

type Object = Map<String, Value>;

/// Runs the cases of a file; a runner gives what it accepts as JSON, or an error code.
fn run(file: &str, runner: impl Fn(&Object) -> Result<Value, &'static str>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../specs/vectors/tree")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let content: Object = serde_json::from_str(&text).unwrap();
    members(&content, &["spec", "revision", "schema", "cases"]);
    let cases = content["cases"].as_array().unwrap();
    assert!(cases.len() > 10, "{file} has cases");
    for case in cases {
        let case = case.as_object().unwrap();
        members(case, &["id", "rule", "comment", "input", "expect"]);
        let got = match runner(case["input"].as_object().unwrap()) {
            Ok(ok) => json!({ "ok": ok }),
            Err(code) => json!({ "error": code }),
        };
        assert_eq!(got, case["expect"], "{file}: {}", case["id"]);
    }
}

fn members(object: &Object, allowed: &[&str]) {
    for name in object.keys() {
        assert!(allowed.contains(&name.as_str()), "unknown member {name}");
    }
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[test]
fn nodes() {
    run("node.json", |input| {
        members(input, &["bytes", "last_of_level"]);
        let decoded = decode(input).map_err(NodeError::code)?;
        let entries = 0..decoded.len();
        let keys: Vec<_> = entries
            .clone()
            .map(|i| hex(&decoded.key(i).unwrap()))
            .collect();
        let counts: Vec<_> = entries.clone().map(|i| decoded.count(i)).collect();
        let mut facts = json!({
            "level": decoded.level(),
            "keys": keys,
            "counts": counts,
            "cid": sha256_cid(Codec::DagCbor, decoded.bytes()).to_string(),
        });
        if decoded.is_leaf() {
            facts["values"] = entries.map(|i| hex(&decoded.value(i).unwrap())).collect();
        } else {
            facts["links"] = entries
                .map(|i| decoded.link(i).unwrap().to_string())
                .collect();
        }
        Ok(facts)
    });
}

fn decode(input: &Object) -> Result<Node, NodeError> {
    let node = Node::decode(&unhex(&input["bytes"]))?;
    if let Some(last) = input.get("last_of_level") {
        node.check_end(last.as_bool().unwrap())?;
    }
    Ok(node)
}

#[test]
fn builds() {
    run("build.json", |input| {
        members(input, &["entries", "generator"]);
        let entries = match input.get("entries") {
            Some(list) => list
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| (unhex(&pair[0]), unhex(&pair[1])))
                .collect(),
            None => generate(input["generator"].as_object().unwrap()),
        };
        let mut blocks = 0;
        let tree = Tree::build(entries, &mut |_block| blocks += 1).map_err(|error| error.code())?;
        let stats = tree.verify().unwrap();
        assert_eq!(stats.nodes, blocks);
        Ok(json!({
            "root": tree.root().to_string(),
            "depth": stats.depth,
            "nodes": stats.nodes,
            "entries": stats.entries,
            "bytes": stats.bytes,
        }))
    });
}

/// The generator that the page describes under Examples.
fn generate(input: &Object) -> Vec<(Vec<u8>, Vec<u8>)> {
    members(input, &["seed", "count", "key", "value", "prefix"]);
    let mut state = input["seed"].as_u64().unwrap();
    let mut draw = |bound: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) % bound
    };
    let mut piece = |bounds: &Value, start: &[u8]| {
        let (low, high) = (bounds[0].as_u64().unwrap(), bounds[1].as_u64().unwrap());
        let len = low + draw(high - low + 1);
        let mut piece = start.to_vec();
        piece.extend((0..len).map(|_| draw(256) as u8));
        piece
    };
    let prefix = unhex(&input["prefix"]);
    let mut entries = BTreeMap::new();
    for _ in 0..input["count"].as_u64().unwrap() {
        let key = piece(&input["key"], &prefix);
        let value = piece(&input["value"], &[]);
        entries.insert(key, value);
    }
    entries.into_iter().collect()
}

#[test]
fn boundaries() {
    run("boundary.json", |input| {
        members(input, &["level", "key", "before", "after"]);
        let number = |name: &str| input[name].as_u64().unwrap();
        let (level, key) = (number("level") as u8, unhex(&input["key"]));
        let (before, after) = (number("before"), number("after"));
        Ok(json!({
            "hash": boundary_hash(level, &key),
            "threshold": Chunking::STANDARD.threshold(before, after),
            "closes": Chunking::STANDARD.closes(level, &key, before, after),
        }))
    });
}
