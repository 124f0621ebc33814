//! Archives from any bytes: what is kept is what its name says, and what is written is read again.

#![no_main]

use allod_blocks::{BLOCK_BYTES_MAX, Block, MemoryStore, Store, export_car, import_car};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let store = MemoryStore::new();
    let read = import_car(&store, &mut &data[..]);
    let names = store.scan_blocks(None, usize::MAX).unwrap();
    for name in &names {
        let block = store.get(name).unwrap().unwrap();
        assert!(
            Block::verify(*name, block.bytes().clone()).is_ok(),
            "BLOCKS-43"
        );
        assert!(block.bytes().len() <= BLOCK_BYTES_MAX);
    }
    let Ok(info) = read else {
        return;
    };
    assert_eq!(info.bytes, data.len() as u64, "the whole archive is read");
    assert!(names.len() as u64 <= info.blocks);
    assert!(info.roots.len() <= 64, "BLOCKS-41");
    for root in &info.roots {
        let mut archive = Vec::new();
        let Ok(written) = export_car(&store, root, &mut archive) else {
            continue;
        };
        assert_eq!(written.bytes, archive.len() as u64);
        let copy = MemoryStore::new();
        let again = import_car(&copy, &mut &archive[..]).expect("what was written is read");
        assert_eq!(again, written, "BLOCKS-40");
        assert_eq!(
            copy.scan_blocks(None, usize::MAX).unwrap().len() as u64,
            written.blocks
        );
    }
});
