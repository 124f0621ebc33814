//! Arbitrary bytes as a stored block: what is read is no larger than a block, and packs again.

#![no_main]

use allod_blocks::{BLOCK_BYTES_MAX, Compression, Packing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let packing = Packing::default();
    let Ok(content) = packing.unpack(data.to_vec().into()) else {
        return;
    };
    // A plain one is as long as it is; whoever reads it checks its name and size next.
    assert!(content.len() <= BLOCK_BYTES_MAX.max(data.len()));
    for compression in [Compression::None, Compression::Snappy, Compression::Zstd(1)] {
        packing.set(compression);
        let stored = packing.pack(&content);
        assert!(stored.len() <= content.len() + 1);
        assert_eq!(packing.unpack(stored.into()), Ok(content.clone()));
    }
});
