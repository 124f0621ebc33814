//! The vectors of TYPE and PROJ.

use std::collections::BTreeSet;

use allod_blocks::Cid;
use allod_identity::canonical;
use allod_views::{
    Datum, Expr, FieldPath, Projection, ProjectionDefinition, Record, Type, TypeDefinition, Value,
    Views,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

use crate::world::{World, main, projected};

/// Entries that a vector shows one by one.
const SHOWN_MAX: u64 = 100;

/// Runs the cases of `specs/vectors/<page>/<file>.json`: what each gives is what is expected.
fn check(page: &str, file: &str, run: impl Fn(&Json) -> Result<Json, &'static str>) {
    let path = format!(
        "{}/../../../specs/vectors/{page}/{file}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let document: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert!(cases.len() > 10, "{page}/{file}: {} cases", cases.len());
    let failed = cases.iter().filter_map(|case| {
        let got = match run(&case["input"]) {
            Ok(ok) => json!({ "ok": ok }),
            Err(code) => json!({ "error": code }),
        };
        let fails = got != case["expect"];
        fails.then(|| format!("{}: {got} instead of {}", case["id"], case["expect"]))
    });
    let failed: Vec<String> = failed.collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn read<T: DeserializeOwned>(given: &Json) -> T {
    serde_json::from_value(given.clone()).unwrap()
}

fn bytes(text: &Json) -> Vec<u8> {
    let digits = text.as_str().unwrap().as_bytes().as_chunks::<2>().0;
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.iter().map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn value(value: &Value) -> Json {
    match value {
        Value::Null => json!({ "null": null }),
        Value::Boolean(boolean) => json!({ "boolean": boolean }),
        Value::Number(number) => json!({ "number": number.to_string() }),
        Value::Float(float) => json!({ "float": hex(&float.get().to_be_bytes()) }),
        Value::Timestamp(micros) => json!({ "timestamp": micros }),
        Value::Text(text) => json!({ "text": text }),
        Value::Bytes(bytes) => json!({ "bytes": hex(bytes) }),
    }
}

fn datum(datum: &Datum) -> Json {
    match datum {
        Datum::One(one) => value(one),
        Datum::Many(list, text) => {
            json!({ "list": list.iter().map(value).collect::<Vec<_>>(), "text": text })
        }
    }
}

fn field(text: &str) -> FieldPath {
    let path: Expr = text.parse().unwrap();
    path.fields().next().unwrap().clone()
}

#[test]
fn definitions_of_types() {
    check("types", "definition", |given| {
        let kind = Type::decode(&bytes(&given["bytes"])).ok_or("E_TYPE")?;
        assert_eq!(kind.encode(), bytes(&given["bytes"]));
        Ok(json!(kind.definition()))
    });
}

#[test]
fn records_under_types() {
    check("types", "record", |given| {
        let kind: Option<TypeDefinition> = read(&given["definition"]);
        let kind = kind.map(|definition| Type::new(definition).unwrap());
        let data = match given["text"].as_str() {
            Some(text) => {
                let spaces = given["spaces"].as_u64().unwrap_or_default();
                let spaces = " ".repeat(usize::try_from(spaces).unwrap());
                [text, &spaces].concat().into_bytes()
            }
            None => bytes(&given["bytes"]),
        };
        let bad = kind
            .as_ref()
            .and_then(|kind| kind.check_record(b"a:1", &data).err());
        let record = Record::parse(&data, kind.as_ref()).map_err(|_malformed| {
            assert!(kind.is_none() || bad.is_some(), "malformed, and not broken");
            "E_RECORD"
        })?;
        let paths = given["paths"].as_array().unwrap().iter();
        let fields: Map<String, Json> = paths
            .map(|path| path.as_str().unwrap())
            .map(|path| (path.to_owned(), datum(&record.get(&field(path)))))
            .collect();
        let faults = bad.map_or_else(Vec::new, |bad| bad.faults);
        let broken: BTreeSet<&String> = faults.iter().flat_map(|fault| &fault.field).collect();
        let whole = faults.iter().all(|fault| fault.field.is_some());
        Ok(json!({ "fields": fields, "broken": broken, "whole": whole }))
    });
}

#[test]
fn changes_of_types() {
    check("types", "change", |given| {
        let made = |which: &str| Type::new(read(&given[which])).unwrap();
        let drop = given["drop"].as_bool().unwrap();
        made("before")
            .may_become(&made("after"), drop)
            .map_err(|bad| bad.code())?;
        Ok(json!({}))
    });
}

#[test]
fn schemas_of_types() {
    check("types", "schema", |given| {
        let definition = TypeDefinition::from_json_schema(&given["schema"]);
        let kind = Type::new(definition.map_err(|bad| bad.code())?).map_err(|bad| bad.code())?;
        let again = TypeDefinition::from_json_schema(&kind.to_json_schema("a"));
        assert_eq!(again.as_ref(), Ok(kind.definition()));
        Ok(json!(kind.definition()))
    });
}

/// What a store keeps of the one projection of a state (PROJ-11).
struct Kept {
    /// The digest of the name of the definition.
    name: Vec<u8>,
    tree: Cid,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Computes a projection of records under types.
fn kept(definition: &ProjectionDefinition, types: &Json, records: &[(&str, &str)]) -> Kept {
    let mut world = World::new();
    for (of, definition) in types.as_object().unwrap() {
        world.define(of, read(definition));
    }
    world.create("p", definition.clone());
    // A state has to have something; this is in no source.
    let one = ("\u{1}", Some("{}"));
    let edits = records.iter().map(|(key, text)| (*key, Some(*text)));
    let edits: Vec<_> = std::iter::once(one).chain(edits).collect();
    world.commit(&main(), &edits);
    let views = Views::open(&world.repo).unwrap();
    let snapshot = views.branch(&main()).unwrap();
    let _computed = projected(&snapshot, "p");

    let references = world.repo.store().scan_refs(b"view/", None, 10).unwrap();
    let [(reference, content)] = &references[..] else {
        panic!("{} trees are kept", references.len());
    };
    let digests = reference.strip_prefix(b"view/").unwrap();
    let (_number, tree): (u64, Cid) = canonical::decode(content, 64).unwrap();
    let entries = if tree == allod_tree::Tree::empty().root() {
        Vec::new()
    } else {
        let entries = world.repo.tree(tree).unwrap();
        let entries = entries.iter().map(Result::unwrap);
        entries
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect()
    };
    Kept {
        name: digests[32..64].to_vec(),
        tree,
        entries,
    }
}

#[test]
fn definitions_of_projections() {
    check("projections", "definition", |given| {
        let projection = Projection::decode(&bytes(&given["bytes"])).ok_or("E_PROJECTION")?;
        assert_eq!(projection.encode(), bytes(&given["bytes"]));
        let definition = projection.definition();
        let kept = kept(definition, &given["types"], &[]);
        let digest = multihash::Multihash::wrap(0x12, &kept.name).unwrap();
        let called = Cid::new_v1(0x71, digest).to_string();
        Ok(json!({ "definition": definition, "name": called }))
    });
}

#[test]
fn trees_of_projections() {
    check("projections", "tree", |given| {
        let records: Vec<(&str, &str)> = given["records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| (record[0].as_str().unwrap(), record[1].as_str().unwrap()))
            .collect();
        let kept = kept(&read(&given["definition"]), &given["types"], &records);
        let count = u64::try_from(kept.entries.len()).unwrap();
        let mut found = json!({ "root": kept.tree.to_string(), "count": count });
        if count <= SHOWN_MAX {
            let entries = kept.entries.iter();
            found["entries"] = entries
                .map(|(key, value)| json!([hex(key), hex(value)]))
                .collect();
        }
        Ok(found)
    });
}
