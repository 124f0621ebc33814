//! The order of keys, the vectors, and what is refused.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::vectors::{bytes, document, read, text, written};

fn value() -> impl Strategy<Value = Value> {
    let number =
        (-2000..2000_i128, -4..4).prop_map(|(coefficient, power)| Number::new(coefficient, power));
    let wide = (any::<i64>(), -1000..950)
        .prop_map(|(coefficient, power)| Number::new(coefficient.into(), power));
    let number = prop_oneof![number, wide].prop_map(|number| Value::Number(number.unwrap()));
    let float =
        any::<f64>().prop_filter_map("NaN", |float| Float::new(float).ok().map(Value::Float));
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        number,
        float,
        any::<i64>().prop_map(Value::Timestamp),
        "[a-c\0\u{1}\u{e9}]{0,4}".prop_map(Value::Text),
        prop::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 0..4)
            .prop_map(Value::Bytes),
    ]
}

fn values() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(value(), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// VIEW-6: of any number of values, as one that ends early is before those that begin with it.
    #[test]
    fn keys_sort_as_the_values_do(one in values(), two in values(), shared in values()) {
        let [one, two] = [one, two].map(|own| [&shared[..], &own].concat());
        let keys = [&one, &two].map(|values| encode_key(values));
        prop_assert_eq!(keys[0].cmp(&keys[1]), one.cmp(&two), "{:?} and {:?}", one, two);
        prop_assert_eq!(decode_key(&keys[0]), Ok(one));
    }

    /// VIEW-7: what is accepted is what would be written.
    #[test]
    fn a_changed_key_is_refused_or_another(values in values(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut key = encode_key(&values);
        if !key.is_empty() {
            let at = at.index(key.len());
            key[at] = byte;
        }
        if let Ok(values) = decode_key(&key) {
            prop_assert_eq!(&encode_key(&values), &key);
        }
        // What is skipped is what is taken, where that can be read at all.
        if let Some((_, rest)) = take(&key) {
            prop_assert_eq!(skip(&key), Some(rest));
        }
    }

    #[test]
    fn no_bytes_panic(key in prop::collection::vec(prop_oneof![0..0x30_u8, any::<u8>()], 0..40)) {
        if let Ok(values) = decode_key(&key) {
            prop_assert_eq!(encode_key(&values), key);
        }
    }
}

#[test]
fn number_vectors() {
    for case in document("number") {
        let number = case["input"]["text"].as_str().unwrap().parse::<Number>();
        let got = match number {
            Ok(number) => json!({ "ok": {
                "coefficient": number.coefficient().to_string(),
                "exponent": number.power(),
                "text": number.to_string(),
            }}),
            Err(error) => json!({ "error": error.code() }),
        };
        assert_eq!(got, case["expect"], "{}", case["id"]);
    }
}

#[test]
fn key_vectors() {
    for case in document("key") {
        let input = &case["input"];
        let got = if let Some(values) = input["values"].as_array() {
            let values: Result<Vec<_>, _> = values.iter().map(read).collect();
            values.map(|values| json!({ "key": text(&encode_key(&values)) }))
        } else {
            let values = decode_key(&bytes(&input["key"])).map_err(|_error| BadKey::CODE);
            values.map(|values| json!({ "values": values.iter().map(written).collect::<Vec<_>>() }))
        };
        let got = got.map_or_else(|code| json!({ "error": code }), |ok| json!({ "ok": ok }));
        assert_eq!(got, case["expect"], "{}", case["id"]);
    }
}
