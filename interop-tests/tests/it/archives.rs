//! CAR archives that `@ipld/car` reads and writes (BLOCKS-40 to BLOCKS-43).

use std::fs::File;
use std::io::BufReader;

use allod_blocks::{FileProfile, MemoryStore, Store, add_file, export_car, import_car, read_file};
use serde_json::Value;

use crate::node::{Content, is_there, run};

const SMALL: FileProfile = FileProfile {
    chunk_bytes: 1000,
    links: 4,
};
const SIZE: usize = 100_123;

fn content(seed: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut Content::new(seed, SIZE), &mut bytes).unwrap();
    bytes
}

#[test]
fn ours_is_read_and_every_block_verified() {
    if !is_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ours.car");
    let store = MemoryStore::new();
    let info = add_file(&store, SMALL, &mut Content::new(5, SIZE), &mut |_| {}).unwrap();
    let written = export_car(&store, &info.cid, &mut File::create(&path).unwrap()).unwrap();
    let read: Value =
        serde_json::from_str(&run("read-car.mjs", &[path.to_str().unwrap()], "")).unwrap();
    assert_eq!(read["roots"], serde_json::json!([info.cid.to_string()]));
    let mut theirs: Vec<&str> = read["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b.as_str().unwrap())
        .collect();
    assert_eq!(theirs.len() as u64, written.blocks);
    let ours = store.scan_blocks(None, usize::MAX).unwrap();
    let mut ours: Vec<String> = ours.iter().map(ToString::to_string).collect();
    theirs.sort_unstable();
    ours.sort_unstable();
    assert_eq!(theirs, ours);
}

#[test]
fn theirs_is_imported_and_reads_as_the_file_it_was() {
    if !is_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("theirs.car");
    let size = SIZE.to_string();
    let root = run("write-car.mjs", &[path.to_str().unwrap(), "9", &size], "");
    let store = MemoryStore::new();
    let info = import_car(&store, &mut BufReader::new(File::open(&path).unwrap())).unwrap();
    assert_eq!(info.roots.len(), 1);
    assert_eq!(info.roots[0].to_string(), root.trim());
    let mut read = Vec::new();
    read_file(&store, &info.roots[0], &mut read).unwrap();
    assert!(read == content(9));
    // The same content gets the same name here.
    let ours = add_file(&MemoryStore::new(), SMALL, &mut &read[..], &mut |_| {}).unwrap();
    assert_eq!(ours.cid, info.roots[0]);
    // One flipped bit is noticed.
    let mut damaged = std::fs::read(&path).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    assert!(import_car(&MemoryStore::new(), &mut &damaged[..]).is_err());
}
