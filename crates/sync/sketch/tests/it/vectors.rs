//! The vectors of `specs/vectors/sketch`.

use allod_sketch::{Decoder, Estimate, Sketch, element};
use serde_json::{Value, json};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes().as_chunks::<2>().0;
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.iter().map(byte).collect()
}

fn words(value: &Value) -> Vec<u64> {
    let words = value.as_array().unwrap().iter();
    words
        .map(|word| u64::from_str_radix(word.as_str().unwrap(), 16).unwrap())
        .collect()
}

fn texts(elements: &[u64]) -> Vec<String> {
    let mut elements = elements.to_vec();
    elements.sort_unstable();
    elements.iter().map(|x| format!("{x:016x}")).collect()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// What comes out of a case, or `None` if its bytes are refused.
type Runner = fn(&Value) -> Option<Value>;

fn run(name: &str, runner: Runner) {
    let path = format!(
        "{}/../../../specs/vectors/sketch/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let got = match runner(&case["input"]) {
            Some(value) => json!({ "ok": value }),
            None => json!({ "error": "E_SKETCH" }),
        };
        assert_eq!(got, case["expect"], "{}", case["id"]);
    }
}

#[test]
fn elements() {
    run("element.json", |input| {
        let element = element(&bytes(&input["key"]), &bytes(&input["entry"]));
        Some(json!({ "element": format!("{element:016x}") }))
    });
}

#[test]
fn symbols() {
    run("symbols.json", |input| {
        let (first, count) = (number(&input["first"]), number(&input["count"]));
        let elements = words(&input["elements"]);
        let mut sketch = Sketch::new(first..first + count);
        for element in &elements {
            sketch.add(*element);
        }
        Some(json!({ "bytes": hex(&sketch.encode(elements.len() as u64)) }))
    });
}

#[test]
fn differences() {
    run("difference.json", |input| {
        let total = input["total"].as_u64().unwrap();
        let theirs = Sketch::decode(0, total, &bytes(&input["bytes"]), 1000).ok()?;
        let mut decoder = Decoder::default();
        decoder.extend(&theirs).unwrap();
        for element in words(&input["own"]) {
            decoder.subtract(element);
        }
        let difference = decoder.solve().map(|difference| {
            json!({ "theirs": texts(&difference.theirs), "ours": texts(&difference.ours) })
        });
        Some(json!({ "difference": difference }))
    });
}

#[test]
fn estimates() {
    run("estimate.json", |input| {
        let counters = number(&input["counters"]);
        let theirs = Estimate::decode(&bytes(&input["bytes"]), counters).ok()?;
        let mut own = Estimate::new(counters);
        for element in words(&input["own"]) {
            own.add(element);
        }
        Some(json!({ "own": hex(&own.encode()), "difference": own.difference(&theirs) }))
    });
}
