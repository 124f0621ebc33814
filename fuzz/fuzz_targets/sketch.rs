//! Symbols and estimates from any bytes: what is read is written so, and decoding comes to an end.

#![no_main]

use allod_sketch::{Decoder, Estimate, Sketch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Elements of the own set, the size of the other, and symbols of that.
    let [count, total, rest @ ..] = data else {
        return;
    };
    let (own, symbols) = rest.split_at(usize::from(*count).min(rest.len()));
    let total = u64::from(*total);
    if let Ok(estimate) = Estimate::decode(symbols, 16) {
        assert_eq!(estimate.encode(), symbols, "SKETCH-6");
        assert_eq!(estimate.difference(&estimate), 0);
    }
    let Ok(sketch) = Sketch::decode(0, total, symbols, 4096) else {
        return;
    };
    assert_eq!(sketch.encode(total), symbols, "SKETCH-5");
    let mut decoder = Decoder::default();
    for part in sketch.clone().split(7) {
        decoder.extend(&part).unwrap();
    }
    for element in own {
        decoder.subtract(u64::from(*element));
    }
    if let Some(found) = decoder.solve() {
        assert!(
            found.theirs.len() + found.ours.len() <= sketch.indices().len(),
            "SKETCH-7"
        );
    }
});
