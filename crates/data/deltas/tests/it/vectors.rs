//! The vectors of `specs/vectors/deltas`.

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_deltas::{
    Delta, DeltaError, DeltaFilter, DeltaStore as _, FilterError, HyperSchema, HyperView, Looking,
    MayNegate, MemoryDeltas, NotVerified, Number, Schemas, ViewSchema, ViewValue, delta_of_commit,
    delta_of_entry, negation_of, object_of, visible,
};
use allod_repo::{BranchName, Commit, CommitId, Content, Entry, SpaceId, Stamp, State};
use bytes::Bytes;
use serde_json::{Value, json};

/// What comes out of a case, or the code of what it is refused for.
type Runner = fn(&Value) -> Result<Value, &'static str>;

fn run(name: &str, runner: Runner) {
    let path = format!(
        "{}/../../../specs/vectors/deltas/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let got = match runner(&case["input"]) {
            Ok(value) => json!({ "ok": value }),
            Err(code) => json!({ "error": code }),
        };
        assert_eq!(got, case["expect"], "{}", case["id"]);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn decode(value: &Value) -> Result<Delta, &'static str> {
    Delta::decode(text(value)).map_err(DeltaError::code)
}

fn deltas(value: &Value) -> Result<Vec<Delta>, &'static str> {
    value.as_array().unwrap().iter().map(decode).collect()
}

fn at(value: &Value) -> Option<Number> {
    value.as_str().map(|text| Number::parse(text).unwrap())
}

#[test]
fn numbers() {
    run("number.json", |input| {
        let number = Number::parse(text(&input["text"])).map_err(|_| "E_DELTA_NUMBER")?;
        Ok(json!({ "text": number.to_string() }))
    });
}

#[test]
fn bodies() {
    run("delta.json", |input| {
        let delta = decode(&input["json"])?;
        let json = delta.encode();
        assert_eq!(Delta::decode(&json), Ok(delta.clone()), "it reads back");
        let content: String = delta
            .content()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let content_id = delta.content_id().to_string();
        Ok(json!({ "json": json, "content": content, "contentId": content_id }))
    });
}

#[test]
fn signatures() {
    run("signature.json", |input| {
        let verified = decode(&input["json"])?
            .verify()
            .map_err(NotVerified::code)?;
        Ok(json!({ "author": verified.author() }))
    });
}

#[test]
fn filters() {
    run("filter.json", |input| {
        let filter = DeltaFilter::decode(text(&input["filter"])).map_err(FilterError::code)?;
        assert_eq!(DeltaFilter::decode(&filter.encode()), Ok(filter.clone()));
        let deltas = deltas(&input["deltas"])?;
        let meets: Vec<&str> = deltas
            .iter()
            .filter(|delta| filter.matches(delta))
            .map(Delta::id)
            .collect();
        Ok(json!({ "filter": filter.encode(), "meets": meets }))
    });
}

#[test]
fn visibles() {
    run("visible.json", |input| {
        let who = match &input["who"] {
            Value::Array(list) => {
                MayNegate::Moderators(list.iter().map(|name| text(name).to_owned()).collect())
            }
            Value::String(who) if who == "same-author" => MayNegate::SameAuthor,
            _ => MayNegate::Anyone,
        };
        let deltas = deltas(&input["deltas"])?;
        let seen: BTreeSet<&str> = visible(&deltas, at(&input["at"]), &who);
        Ok(json!({ "visible": seen }))
    });
}

#[test]
fn views() {
    run("view.json", |input| {
        let schemas = input["schemas"].as_array().unwrap().iter();
        let schemas = schemas.map(|schema| HyperSchema::decode(text(schema)));
        let schemas: Result<Vec<HyperSchema>, _> = schemas.collect();
        let schemas = schemas
            .and_then(Schemas::new)
            .map_err(|error| error.code())?;
        let resolving = ViewSchema::decode(text(&input["view"])).map_err(|error| error.code())?;
        let store = MemoryDeltas::new();
        let deltas: Vec<Arc<Delta>> = deltas(&input["deltas"])?
            .into_iter()
            .map(Arc::new)
            .collect();
        store.append(&deltas, 0).unwrap();
        let looking = Looking {
            at: at(&input["at"]),
            ..Looking::default()
        };
        let (schema, object) = (text(&input["schema"]), text(&input["object"]));
        let view = HyperView::of(&store, &schemas, schema, object, &looking)
            .map_err(|error| error.code())?;
        let values = ViewValue::View(resolving.resolve(&view));
        Ok(json!({ "hyperview": view.to_json(), "view": values.to_json() }))
    });
}

/// An entry as a vector has it, with what it holds.
fn entry(value: &Value) -> (Entry, Option<Content>) {
    let stamp = Stamp::from_bits(text(&value["stamp"]).parse().unwrap());
    let (state, content) = if value["deleted"] == true {
        (State::Tombstone, None)
    } else if let Some(cid) = value["file"].as_str() {
        let cid = cid.parse().unwrap();
        (State::Link(cid), Some(Content::File(cid)))
    } else {
        let digits = text(&value["bytes"]).as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes = Bytes::from(digits.map(byte).collect::<Vec<u8>>());
        (State::Value(bytes.clone()), Some(Content::Bytes(bytes)))
    };
    (Entry { stamp, state }, content)
}

#[test]
fn told_entries() {
    run("told.json", |input| {
        let space: SpaceId = text(&input["space"]).parse().unwrap();
        let branch: BranchName = text(&input["branch"]).parse().unwrap();
        let digits = text(&input["key"]).as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let key: Vec<u8> = digits.map(byte).collect();
        let told = |value: &Value| {
            let (entry, content) = entry(value);
            let told = delta_of_entry((space, &branch, &key), &entry, content.as_ref());
            told.unwrap().ok_or("E_DELTA_SIZE")
        };
        let delta = told(&input["entry"])?;
        let object = object_of(space, &branch, &key).unwrap();
        let mut out = json!({ "object": object, "json": delta.encode() });
        if !input["lesser"].is_null() {
            let negation = negation_of(space, &told(&input["lesser"])?, &delta).unwrap();
            out["negation"] = negation.encode().into();
        }
        Ok(out)
    });
}

#[test]
fn told_commits() {
    run("commit.json", |input| {
        let id = |value: &Value| text(value).parse::<CommitId>().unwrap();
        let parents = input["parents"].as_array().unwrap();
        let commit = Commit {
            author: text(&input["agent"]).parse().unwrap(),
            branch: BranchName::main(),
            generation: 1,
            message: text(&input["message"]).to_owned(),
            parents: parents.iter().map(id).collect(),
            parts: None,
            policy: None,
            space: text(&input["space"]).parse().unwrap(),
            stamp: Stamp::from_bits(text(&input["stamp"]).parse().unwrap()),
            tree: *id(&input["commit"]).cid(),
        };
        let change = |value: &Value| text(value).to_owned();
        let changes: Vec<_> = input["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(change)
            .collect();
        let device = text(&input["device"]);
        let delta = delta_of_commit(id(&input["commit"]), &commit, device, &changes);
        Ok(json!({ "json": delta.unwrap().encode() }))
    });
}
