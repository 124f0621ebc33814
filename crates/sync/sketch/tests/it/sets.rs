//! SKETCH-3 to SKETCH-7: what differs between two sets is found, whatever its size.

use std::collections::BTreeSet;

use allod_sketch::{CodeError, Decoder, Difference, Estimate, Sketch, element};
use proptest::prelude::*;

fn of(name: &str, numbers: std::ops::Range<u64>) -> Vec<u64> {
    let elements = numbers.map(|n| element(format!("{name} {n}").as_bytes(), b"entry"));
    elements.collect()
}

fn sketch(set: &[u64], indices: std::ops::Range<usize>) -> Sketch {
    let mut sketch = Sketch::new(indices);
    for element in set {
        sketch.add(*element);
    }
    let total = set.len() as u64;
    let first = sketch.indices().start;
    let bytes = sketch.encode(total);
    let read = Sketch::decode(first, total, &bytes, sketch.indices().len()).unwrap();
    assert_eq!(read, sketch);
    read
}

fn sorted(difference: &Difference) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let sets = [&difference.theirs, &difference.ours];
    let [theirs, ours] = sets.map(|elements| {
        let set: BTreeSet<u64> = elements.iter().copied().collect();
        assert_eq!(set.len(), elements.len(), "an element twice");
        set
    });
    (theirs, ours)
}

/// The difference of two sets, and how many symbols it took, with `step` more each time.
fn found(theirs: &[u64], ours: &[u64], step: usize) -> (Difference, usize) {
    let mut decoder = Decoder::default();
    loop {
        let first = decoder.len();
        decoder
            .extend(&sketch(theirs, first..first + step))
            .unwrap();
        for element in ours {
            decoder.subtract(*element);
        }
        if let Some(difference) = decoder.solve() {
            return (difference.clone(), first + step);
        }
        assert!(first < 100_000, "no end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_differs_is_found(shared in 0..300u64, theirs in 0..60u64, ours in 0..60u64, step in 1..40usize) {
        let set = |own: &str, count| [of("shared", 0..shared), of(own, 0..count)].concat();
        let (left, right) = (set("theirs", theirs), set("ours", ours));
        let (difference, symbols) = found(&left, &right, step);
        let expected = (of("theirs", 0..theirs).into_iter().collect(), of("ours", 0..ours).into_iter().collect());
        prop_assert_eq!(sorted(&difference), expected);
        let most = 3 * (theirs + ours) as usize + 16 + step;
        prop_assert!(symbols <= most, "{} symbols", symbols);
    }

    /// Bytes of a stranger end: what is found is never more than the symbols.
    #[test]
    fn made_up_symbols_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..2000), total in any::<u64>()) {
        if let Ok(sketch) = Sketch::decode(0, total, &bytes, 1000) {
            prop_assert_eq!(&sketch.encode(total), &bytes);
            let mut decoder = Decoder::default();
            decoder.extend(&sketch).unwrap();
            for element in of("own", 0..50) { decoder.subtract(element); }
            if let Some(found) = decoder.solve() {
                prop_assert!(found.theirs.len() + found.ours.len() <= sketch.indices().len());
            }
        }
        Estimate::decode(&bytes, 70).ok();
    }
}

/// The order of adding does not matter, and neither does in how many parts symbols come.
#[test]
fn symbols_are_of_the_set_alone() {
    let set = of("x", 0..500);
    let reversed: Vec<u64> = set.iter().rev().copied().collect();
    assert_eq!(sketch(&set, 0..200), sketch(&reversed, 0..200));
    let whole = sketch(&set, 0..200).encode(500);
    let parts = [sketch(&set, 0..70), sketch(&set, 70..200)];
    let parts: Vec<u8> = parts.iter().flat_map(|part| part.encode(500)).collect();
    assert_eq!(whole, parts);
}

/// SKETCH-9 gives symbols by the estimate: nearly always they are enough, and never many more.
#[test]
fn estimates_give_enough_symbols() {
    let mut again = 0;
    for (at, differing) in [4u64, 20, 100, 400, 2000, 8000]
        .into_iter()
        .cycle()
        .take(120)
        .enumerate()
    {
        let own = format!("own {at}");
        let shared = of(&format!("shared {at}"), 0..2000);
        let theirs = [&shared[..], &of("theirs", 0..differing / 2)].concat();
        let ours = [&shared[..], &of(&own, 0..differing / 2)].concat();
        let estimate = |set: &[u64]| {
            let mut estimate = Estimate::new(128);
            for element in set {
                estimate.add(*element);
            }
            Estimate::decode(&estimate.encode(), 128).unwrap()
        };
        let about = estimate(&theirs).difference(&estimate(&ours));
        assert!(about <= differing * 2, "{about} of {differing}");
        let symbols = about as usize * 9 / 4 + 16;
        let (difference, took) = found(&theirs, &ours, symbols);
        assert_eq!(difference.theirs.len() as u64, differing / 2);
        again += usize::from(took > symbols);
        assert!(took <= 2 * symbols, "{took} of {symbols}");
    }
    assert!(again <= 2, "{again} of 120 were not enough");
}

#[test]
fn malformed_bytes_are_refused() {
    let bytes = sketch(&of("x", 0..10), 0..4).encode(10);
    for end in 1..bytes.len() {
        let cut = Sketch::decode(0, 10, &bytes[..end], 100);
        // A symbol whose count is as expected has 13 bytes.
        assert_eq!(cut.is_ok(), end % 13 == 0, "{end}");
    }
    assert_eq!(Sketch::decode(0, 10, &bytes, 3), Err(CodeError::TooMany));
    let estimate = Estimate::new(64).encode();
    assert_eq!(estimate, [0; 64]);
    assert_eq!(
        Estimate::decode(&estimate[1..], 64),
        Err(CodeError::Malformed)
    );
    let longer = [&estimate[..], &[0]].concat();
    assert_eq!(Estimate::decode(&longer, 64), Err(CodeError::Malformed));
    // Two bytes for 0, and a number of more than 64 bits.
    let long = [&[0x80, 0][..], &estimate[1..]].concat();
    assert_eq!(Estimate::decode(&long, 64), Err(CodeError::Malformed));
    let wide = [&[0xff; 10][..], &[2], &estimate[1..]].concat();
    assert_eq!(Estimate::decode(&wide, 64), Err(CodeError::Malformed));
    let mut decoder = Decoder::default();
    assert_eq!(
        decoder.extend(&Sketch::new(1..2)),
        Err(CodeError::Malformed)
    );
    assert_eq!(decoder.solve(), None);
}
