//! The vectors of what the store keeps beside its engine.

use super::*;

/// The cases of a file in `specs/vectors/blocks`.
fn cases(name: &str) -> Vec<serde_json::Value> {
    let path = format!(
        "{}/../../../specs/vectors/blocks/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let document: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    document["cases"].as_array().unwrap().clone()
}

fn hex(value: &serde_json::Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The cases of `specs/vectors/blocks/redo.json`.
#[test]
fn redo_files() {
    let cases = cases("redo");
    assert!(cases.len() > 20);
    for case in cases {
        let (dir, input) = (tempfile::tempdir().unwrap(), &case["input"]);
        let files = input["files"].as_array().unwrap();
        for (number, file) in files.iter().enumerate() {
            // The store has two files; which is which makes no difference.
            if number < 2 {
                fs::write(dir.path().join(format!("redo.{number}")), hex(file)).unwrap();
            }
        }
        let mut batches = Vec::new();
        let number = |name: &str| input[name].as_u64().unwrap();
        let numbers = (number("synced"), number("unlogged"));
        let opened = Redo::open(dir.path(), 1 << 20, numbers, &mut |writes| {
            batches.push(writes);
            Ok(())
        });
        let expected = &case["expect"];
        if let Err(error) = opened {
            assert_eq!(error.kind(), StoreErrorKind::Corrupt);
            assert_eq!(expected["error"], "E_STORE", "{}: {error}", case["id"]);
            continue;
        }
        let found = batches.iter().map(|writes| {
            let is_there = |number| {
                let record = redo::encode(writes, number, 0, 7);
                let has = |file| hex(file).windows(record.len()).any(|part| part == record);
                files.iter().any(has)
            };
            assert!((1..9).any(is_there), "{}", case["id"]);
            let write = |(table, key, value): &Write| {
                let value: Option<String> = value.as_ref().map(|value| text(value));
                let key = text(key);
                serde_json::json!([*table as u8, key, value])
            };
            serde_json::json!(writes.iter().map(write).collect::<Vec<_>>())
        });
        let found: Vec<_> = found.collect();
        assert_eq!(
            expected["ok"]["batches"],
            serde_json::json!(found),
            "{}",
            case["id"]
        );
    }
}

/// The cases of `specs/vectors/blocks/pack.json`.
#[test]
fn packs() {
    let cases = cases("pack");
    assert!(cases.len() > 6);
    for case in cases {
        let dir = tempfile::tempdir().unwrap();
        let number = case["input"]["number"].as_u64().unwrap() as u32;
        let path = dir.path().join(format!("{number:08}.pack"));
        fs::write(path, hex(&case["input"]["pack"])).unwrap();
        let packs = Packs::open(dir.path(), PACK_BYTES).unwrap();
        let mut records = match packs.records(number) {
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Corrupt);
                assert_eq!(case["expect"]["error"], "E_STORE", "{error}");
                let place = packs.append(Writing::New, [(&b"n"[..], &b"s"[..])]);
                assert_ne!(place.unwrap()[0].pack, number, "it stays as it is");
                continue;
            }
            Ok(records) => records,
        };
        let mut found = Vec::new();
        while let Some((name, place, stored)) = records.next().unwrap() {
            assert_eq!(Place::decode(&place.encode()), Some(place));
            assert_eq!(packs.read(place).unwrap().as_ref(), Some(&stored));
            let place = place.encode();
            found.push(serde_json::json!({
                "name": text(&name), "place": text(&place), "stored": text(&stored),
            }));
        }
        assert_eq!(case["expect"]["ok"]["records"], serde_json::json!(found));
    }
}
