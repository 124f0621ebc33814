//! Patches from any bytes: what is read keeps the rules, and is the same when it is written again.

#![no_main]

use allod_blocks::Block;
use allod_repo::Patch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(patch) = Patch::read(&mut &data[..]) else {
        return;
    };
    let changes = patch.changes();
    assert!(
        changes.windows(2).all(|two| two[0].key < two[1].key),
        "PATCH-6"
    );
    assert!(
        changes.iter().all(|change| change.before != change.after),
        "PATCH-5"
    );
    for (cid, bytes) in patch.blocks() {
        assert!(Block::verify(*cid, bytes.clone()).is_ok(), "PATCH-4");
    }
    let text = patch.to_text();
    assert_eq!(Patch::read(&mut text.as_bytes()).unwrap(), patch);
    assert_eq!(patch.clone().reversed().reversed(), patch, "PATCH-10");
});
