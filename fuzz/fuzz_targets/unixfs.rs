//! File indexes from any bytes, and from parts put together by the fuzzer: sizes are kept, reading
//! ends.

#![no_main]

use std::io::{self, Write};

use allod_blocks::{
    Batch, Block, Codec, MemoryStore, Store, block_links, file_links, file_size, read_file,
};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

/// What is read at most: an index may state 2^64 bytes.
const OUTPUT_MAX: usize = 1 << 18;

#[derive(Default)]
struct Output {
    bytes: usize,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len();
        if self.bytes > OUTPUT_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// An index over parts made before, mostly with the sizes they have.
fn index(input: &mut Unstructured<'_>, made: &[(Block, u64)]) -> Result<(Vec<u8>, u64)> {
    let (mut node, mut data, mut sizes) = (Vec::new(), vec![0x08, 0x02], Vec::new());
    let inline: &[u8] = input.arbitrary()?;
    let mut total = inline.len() as u64;
    let copies = 1 + usize::from(input.ratio(1, 8)?) * 200;
    for _ in 0..input.int_in_range(0..=4)? {
        let (part, size) = input.choose(made)?;
        let size = if input.ratio(1, 16)? {
            input.arbitrary()?
        } else {
            *size
        };
        for _ in 0..copies {
            let mut link = Vec::new();
            field(&mut link, 1, &part.cid().to_bytes());
            field(&mut node, 2, &link);
            varint(&mut sizes, 4 << 3);
            varint(&mut sizes, size);
            total = total.saturating_add(size);
        }
    }
    if !inline.is_empty() {
        field(&mut data, 2, inline);
    }
    varint(&mut data, 3 << 3);
    varint(&mut data, total);
    data.extend_from_slice(&sizes);
    field(&mut node, 1, &data);
    Ok((node, total))
}

fn check(store: &MemoryStore, block: &Block) {
    let links = file_links(block);
    if let (Ok(links), Ok(every)) = (&links, block_links(block)) {
        assert_eq!(*links, every, "one reading of the links");
    }
    let size = file_size(store, block.cid());
    assert_eq!(size.is_ok(), links.is_ok());
    let mut output = Output::default();
    if let Ok(written) = read_file(store, block.cid(), &mut output) {
        assert_eq!(written, output.bytes as u64);
        assert_eq!(size.unwrap(), written, "BLOCKS-33");
    }
}

fn built(store: &MemoryStore, input: &mut Unstructured<'_>) -> Result<()> {
    let mut made = vec![(Block::new(Codec::Raw, &b"part"[..]).unwrap(), 4)];
    for _ in 0..input.int_in_range(1..=20)? {
        let (codec, bytes, size) = if input.ratio(1, 4)? {
            let bytes: Vec<u8> = input.arbitrary()?;
            let size = bytes.len() as u64;
            (Codec::Raw, bytes, size)
        } else {
            let (bytes, size) = index(input, &made)?;
            (Codec::DagPb, bytes, size)
        };
        let Ok(block) = Block::new(codec, bytes) else {
            continue;
        };
        let mut batch = Batch::new();
        batch.put(block.clone());
        let _outcome = store.commit(batch).unwrap();
        made.push((block, size));
    }
    let mut batch = Batch::new();
    batch.put(made[0].0.clone());
    let _outcome = store.commit(batch).unwrap();
    for (block, _) in made.iter().rev().take(3) {
        check(store, block);
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let store = MemoryStore::new();
    let block = Block::new(Codec::DagPb, data.to_vec()).unwrap();
    let mut batch = Batch::new();
    batch.put(block.clone());
    let _outcome = store.commit(batch).unwrap();
    check(&store, &block);
    built(&store, &mut Unstructured::new(data)).ok();
});
