//! Names of blocks from any text: what is accepted is a block's name and has one canonical text.

#![no_main]

use allod_blocks::{Codec, parse_cid, proto_uri};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(cid) = parse_cid(text) else {
        return;
    };
    assert!(text.trim().len() <= 256, "BLOCKS-8: a long text was read");
    assert!(Codec::from_code(cid.codec()).is_some(), "BLOCKS-2");
    assert!(matches!(cid.hash().code(), 0x12 | 0x1e), "BLOCKS-1");
    assert_eq!(cid.hash().digest().len(), 32, "BLOCKS-1");
    for canonical in [
        cid.to_string(),
        format!("allod://{cid}"),
        format!("ipfs://{cid}/"),
    ] {
        assert_eq!(parse_cid(&canonical), Ok(cid), "{canonical}");
    }
    if let Some(uri) = proto_uri(&cid) {
        let named = parse_cid(&uri).unwrap();
        assert_eq!(named.hash(), cid.hash());
        assert_eq!(named.codec(), Codec::Raw.code());
    }
});
