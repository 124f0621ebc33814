//! The cases of `specs/vectors/blocks`.

use std::collections::BTreeSet;

use allod_blocks::{
    Batch, Block, Codec, FileProfile, MemoryStore, NameError, Store, add_file, export_car,
    file_links, file_size, import_car, parse_cid, proto_uri, read_file,
};
use serde_json::{Value, json};

/// Runs every case of a file; at least three rejects for each rule that rejects.
fn run(name: &str, judge: impl Fn(&Value) -> Result<Value, &'static str>) {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../specs/vectors/blocks/"
    );
    let text = std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    members(&document, &["spec", "revision", "schema", "cases"]);
    let mut rejects = 0;
    let mut failures = Vec::new();
    for case in document["cases"].as_array().unwrap() {
        members(case, &["id", "rule", "comment", "input", "expect"]);
        members(&case["expect"], &["ok", "error"]);
        let got = match judge(&case["input"]) {
            Ok(ok) => json!({ "ok": ok }),
            Err(code) => json!({ "error": code }),
        };
        rejects += usize::from(got.get("error").is_some());
        if got != case["expect"] {
            failures.push(format!("{}: {got}, not {}", case["id"], case["expect"]));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(rejects >= 10, "{rejects} rejects");
}

fn members(value: &Value, known: &[&str]) {
    for name in value.as_object().unwrap().keys() {
        assert!(known.contains(&name.as_str()), "unknown member {name}");
    }
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keep(store: &MemoryStore, codec: Codec, bytes: Vec<u8>) -> Block {
    let block = Block::new(codec, bytes).unwrap();
    let mut batch = Batch::new();
    batch.put(block.clone());
    let _outcome = store.commit(batch).unwrap();
    block
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// Byte `i` is `i xor i/2^8 xor i/2^16`, modulo 256.
fn content(size: usize) -> Vec<u8> {
    (0..size)
        .map(|i| (i ^ (i >> 8) ^ (i >> 16)).to_le_bytes()[0])
        .collect()
}

#[test]
fn names() {
    run("name.json", |input| {
        members(input, &["text"]);
        let cid = parse_cid(input["text"].as_str().unwrap()).map_err(NameError::code)?;
        Ok(json!({ "cid": cid.to_string(), "proto": proto_uri(&cid) }))
    });
}

fn cut(input: &Value) -> Value {
    let profile = FileProfile {
        chunk_bytes: number(&input["chunk"]),
        links: number(&input["links"]),
    };
    if profile.links == 1024 {
        assert_eq!(profile, FileProfile::UNIXFS_V1_2025);
    }
    let data = content(number(&input["size"]));
    let store = MemoryStore::new();
    let info = add_file(&store, profile, &mut &data[..], &mut |_| {}).unwrap();
    assert_eq!(info.size, data.len() as u64);
    let mut read = Vec::new();
    read_file(&store, &info.cid, &mut read).unwrap();
    assert!(read == data, "the content comes back");
    let blocks = store.scan_blocks(None, usize::MAX).unwrap().len();
    json!({ "cid": info.cid.to_string(), "blocks": blocks })
}

#[test]
fn files() {
    run("unixfs.json", |input| {
        let store = MemoryStore::new();
        if input.get("size").is_some() {
            members(input, &["size", "chunk", "links"]);
            return Ok(cut(input));
        }
        if let Some(bytes) = input.get("bytes") {
            members(input, &["bytes"]);
            let block = keep(&store, Codec::DagPb, hex(bytes));
            let links = file_links(&block).map_err(|error| error.code())?;
            let links: Vec<String> = links.iter().map(ToString::to_string).collect();
            let size = file_size(&store, block.cid()).map_err(|error| error.code())?;
            return Ok(json!({ "size": size, "links": links }));
        }
        members(input, &["blocks", "root"]);
        for block in input["blocks"].as_array().unwrap() {
            let codec = match block[0].as_str().unwrap() {
                "raw" => Codec::Raw,
                "dag-pb" => Codec::DagPb,
                "dag-cbor" => Codec::DagCbor,
                other => panic!("{other}"),
            };
            keep(&store, codec, hex(&block[1]));
        }
        let root = parse_cid(input["root"].as_str().unwrap()).unwrap();
        let mut read = Vec::new();
        read_file(&store, &root, &mut read).map_err(|error| error.code())?;
        Ok(json!({ "content": to_hex(&read) }))
    });
}

#[test]
fn archives() {
    run("car.json", |input| {
        members(input, &["bytes"]);
        let bytes = hex(&input["bytes"]);
        let store = MemoryStore::new();
        let info = import_car(&store, &mut &bytes[..]).map_err(|error| error.code())?;
        assert_eq!(info.bytes, bytes.len() as u64);
        let roots: Vec<String> = info.roots.iter().map(ToString::to_string).collect();
        // The names in the order of the archive: what is written from the root has the same.
        let mut names = Vec::new();
        let mut has_v0 = false;
        let mut rest = &bytes[usize::from(bytes[0]) + 1..];
        while let Some((&length, after)) = rest.split_first() {
            let (wide, after) = if length < 128 {
                (usize::from(length), after)
            } else {
                (
                    usize::from(length & 127) | usize::from(after[0]) << 7,
                    &after[1..],
                )
            };
            let cid = allod_blocks::Cid::read_bytes(after).unwrap();
            has_v0 |= after.starts_with(&[0x12, 0x20]);
            let v1 = parse_cid(&cid.to_string()).unwrap();
            assert!(store.has(&v1).unwrap());
            names.push(v1.to_string());
            rest = &after[wide..];
        }
        let distinct: BTreeSet<&String> = names.iter().collect();
        if let [root] = &info.roots[..] {
            let mut written = Vec::new();
            if export_car(&store, root, &mut written).is_ok()
                && distinct.len() == names.len()
                && !has_v0
            {
                assert_eq!(written, bytes, "BLOCKS-40");
            }
        }
        Ok(json!({ "roots": roots, "blocks": names }))
    });
}

#[cfg(feature = "fjall")]
#[test]
fn stored_forms() {
    run("stored.json", |input| {
        members(input, &["bytes"]);
        let stored = hex(&input["bytes"]);
        let content = allod_blocks::Packing::default().unpack(stored.into());
        let content = content.map_err(allod_blocks::UnpackError::code)?;
        Ok(json!({ "content": to_hex(&content) }))
    });
}
