//! The strict decoder against a naive twin: decode into the data model, encode again, compare.

use std::collections::BTreeMap;

use allod_identity::canonical::{CanonicalError, DEPTH_MAX, check, decode, encode};
use ipld_core::ipld::Ipld;
use proptest::prelude::*;

use crate::cases;

fn any_value() -> impl Strategy<Value = Ipld> {
    let leaf = prop_oneof![
        Just(Ipld::Null),
        any::<bool>().prop_map(Ipld::Bool),
        any::<i64>().prop_map(|n| Ipld::Integer(n.into())),
        any::<u64>().prop_map(|n| Ipld::Integer(n.into())),
        (-1e9..1e9f64).prop_map(Ipld::Float),
        any::<String>().prop_map(Ipld::String),
        any::<Vec<u8>>().prop_map(Ipld::Bytes),
        any::<[u8; 32]>().prop_map(|digest| {
            let hash = multihash::Multihash::wrap(0x12, &digest).expect("32 bytes fit");
            Ipld::Link(cid::Cid::new_v1(0x71, hash))
        }),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Ipld::List),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(Ipld::Map),
        ]
    })
}

/// Whether the value can be read and comes out as the same bytes.
fn twin(bytes: &[u8]) -> bool {
    let value: Result<Ipld, _> = serde_ipld_dagcbor::from_slice(bytes);
    value.is_ok_and(|value| serde_ipld_dagcbor::to_vec(&value).is_ok_and(|again| again == bytes))
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn canonical_values_pass_and_changed_ones_as_the_twin_says(
        value in any_value(), at: prop::sample::Index, byte: u8,
    ) {
        let bytes = encode(&value).unwrap();
        prop_assert_eq!(check(&bytes), Ok(()));
        prop_assert_eq!(&decode::<Ipld>(&bytes, bytes.len()).unwrap(), &value);
        let mut changed = bytes.clone();
        let at = at.index(changed.len());
        changed[at] = byte;
        // The twin takes every CID version in a link; `check` takes version 1 alone.
        let has_link = changed.windows(2).any(|pair| pair == [0xd8, 0x2a]);
        prop_assert!(check(&changed).is_ok() == twin(&changed) || has_link && twin(&changed));
    }

    #[test]
    fn any_bytes_are_judged_as_the_twin_judges(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        let has_link = bytes.windows(2).any(|pair| pair == [0xd8, 0x2a]);
        prop_assert!(check(&bytes).is_ok() == twin(&bytes) || has_link && twin(&bytes));
    }
}

#[test]
fn depth_is_bounded_before_the_stack_is() {
    let nested = |depth: usize| [vec![0x81; depth], vec![0]].concat();
    assert_eq!(check(&nested(DEPTH_MAX)), Ok(()));
    assert!(decode::<Ipld>(&nested(DEPTH_MAX), 1000).is_ok());
    let too_deep = CanonicalError::TooDeep { at: DEPTH_MAX + 1 };
    assert_eq!(check(&nested(DEPTH_MAX + 1)), Err(too_deep));
    assert_eq!(check(&nested(1_000_000)), Err(too_deep));
}

#[test]
fn lengths_that_lie_take_no_memory() {
    for head in [0x5b, 0x7b, 0x9b, 0xbb] {
        let mut bytes = vec![head];
        bytes.extend_from_slice(&u64::MAX.to_be_bytes());
        assert!(matches!(
            check(&bytes),
            Err(CanonicalError::Malformed { .. })
        ));
    }
}

#[test]
fn limits_and_shapes() {
    let bytes = encode(&BTreeMap::from([("a", 1u64)])).unwrap();
    assert_eq!(
        decode::<BTreeMap<String, u64>>(&bytes, bytes.len() - 1),
        Err(CanonicalError::TooLarge { got: 4, max: 3 })
    );
    assert_eq!(decode::<Vec<u64>>(&bytes, 4), Err(CanonicalError::Shape));
    assert!(encode(&f64::NAN).is_err());
    assert!(encode(&BTreeMap::from([(1u64, 1u64)])).is_err());
}
