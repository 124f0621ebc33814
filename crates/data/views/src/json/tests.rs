//! Fields beside those that a well-kept reader finds.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::{BadObject, Form, at, object};

/// What `serde_json` makes of a text: none if it is no object. Of repeated names it keeps the last.
fn peer(text: &str) -> Option<BTreeMap<String, String>> {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).ok()?;
    Some(
        fields
            .into_iter()
            .map(|(name, raw)| (name, raw.get().to_owned()))
            .collect(),
    )
}

#[track_caller]
fn compare(text: &str) {
    match (object(text), peer(text)) {
        (Ok(fields), Some(peer)) => {
            let own: BTreeMap<String, String> = fields
                .iter()
                .map(|(name, place)| (name.to_string(), at(text.as_bytes(), *place).to_owned()))
                .collect();
            assert_eq!(own.len(), fields.len(), "{text:?}");
            assert_eq!(own, peer, "{text:?}");
        }
        (Err(BadObject::Repeated(name)), Some(peer)) => {
            assert!(peer.contains_key(&name), "{text:?}");
        }
        (Err(BadObject::NoObject(at)), None) => assert!(at <= text.len(), "{text:?}"),
        (own, peer) => panic!("{text:?}: {own:?}, and {peer:?}"),
    }
}

#[test]
fn texts_that_are_objects_and_that_are_none() {
    for text in [
        "{}",
        " { } ",
        "{\"a\":1}",
        "{\"a\" : [ ] , \"b\":{}}",
        "{\"a\":[1,[2,{\"b\":[]}],-0.5e+3]}",
        "{\"\\u0061\":1}",
        "{\"a\":\"x\\n\\\"\\\\\"}",
        "{\"a\":\"0123456789\\u00df\\ud834\"}",
        "{\"\u{df}\u{1d11e}\":\"\u{df}\"}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"a\":1,\"a\":2}",
        "",
        "[]",
        "1",
        "{",
        "}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":1}x",
        "{'a':1}",
        "{a:1}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":1e}",
        "{\"a\":tru}",
        "{\"a\":nulls}",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"a\":[}",
        "{\"a\":[}]",
        "{\"a\":{]}",
        "{\"a\":{\"b\"}}",
        "{\"a\":{1:2}}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "{\"a\":\"\\u12",
        "{\"\\ud834\":1}",
        "\u{feff}{}",
        "{\"a\":1}\u{a0}",
        "{\"a\":\"\u{7f}\"}",
    ] {
        compare(text);
    }
    for depth in [1, 63, 64, 65, 127, 128, 1000] {
        let nested = format!(
            "{{\"a\":{}1{}}}",
            "[{\"b\":".repeat(depth),
            "}]".repeat(depth)
        );
        assert!(object(&nested).is_ok(), "{depth}");
        assert!(object(&nested[..nested.len() - 1]).is_err(), "{depth}");
        assert!(object(&nested.replacen("}]", "]}", 1)).is_err(), "{depth}");
    }
    let many: Vec<String> = (0..40).map(|n| format!("\"f{}\":{n}", n % 39)).collect();
    assert_eq!(
        object(&format!("{{{}}}", many.join(","))),
        Err(BadObject::Repeated("f0".to_owned()))
    );
    compare(&format!("{{{}}}", many[..39].join(",")));
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?".prop_map(String::from),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(("[a-c\u{df}]{1,2}", inner), 0..4).prop_map(|fields| {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("\"{name}\" :{value}"))
                    .collect();
                format!("{{{}}}", fields.join(",\n"))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn fields_are_those_of_a_well_kept_reader(
        value in json(),
        at in any::<prop::sample::Index>(),
        new in prop::sample::select(vec!["", "\"", "\\", "{", "}", "[", "]", ",", ":", " ", "0", "-", ".", "e", "\u{1}", "\u{df}", "\\u00e"]),
    ) {
        let whole = format!(" {{\"a\":{value},\"b\":1}}");
        compare(&value);
        compare(&whole);
        // Broken at one place.
        let places: Vec<usize> = whole.char_indices().map(|(place, _)| place).collect();
        let place = places[at.index(places.len())];
        let end = whole[place..].chars().next().map_or(place, |first| place + first.len_utf8());
        for other in [
            format!("{}{new}{}", &whole[..place], &whole[end..]),
            format!("{}{new}{}", &whole[..place], &whole[place..]),
        ] {
            compare(&other);
            compare_forms(&whole, &other);
        }
    }
}

/// A text with the forms of others: found where it looks the same, and as it would be found alone.
#[track_caller]
fn compare_forms(known: &str, text: &str) {
    let Ok(fields) = object(known) else { return };
    let mut places = Vec::new();
    if Form::of(known.as_bytes(), &fields).find(text.as_bytes(), &mut places) {
        let alone = object(text).unwrap();
        assert!(
            alone
                .iter()
                .map(|(name, _)| name)
                .eq(fields.iter().map(|(name, _)| name)),
            "{known:?}, {text:?}"
        );
        assert!(
            alone.iter().map(|(_, place)| place).eq(&places),
            "{known:?}, {text:?}"
        );
    } else {
        let is_alike =
            object(text).is_ok_and(|alone| blanked(text, &alone) == blanked(known, &fields));
        assert!(!is_alike, "{known:?}, {text:?}");
    }
}

/// A text with a mark in place of each value.
fn blanked(text: &str, fields: &[super::RawField<'_>]) -> String {
    let mut blank = text.to_owned();
    for (_, (start, end)) in fields.iter().rev() {
        blank.replace_range(*start as usize..*end as usize, "?");
    }
    blank
}

#[test]
fn objects_that_look_alike() {
    let texts = [
        "{}",
        "{ }",
        "{\"a\":1}",
        "{\"a\":12}",
        "{\"a\":1 }",
        "{\"a\":01}",
        "{\"a\":}",
        "{\"a\":1}}",
        "{\"a\":\"x\"}",
        "{\"a\":\"x\\\"\"}",
        "{\"a\":\"x",
        "{\"a\":[1,{\"a\":2}]}",
        "{\"\\u0061\":1}",
        "{\"a\":1,\"b\":true}",
        "{\"a\":null,\"b\":-0.5e3}",
        "{\"a\":1,\"b\":tru}",
        "{\"b\":1,\"a\":2}",
    ];
    for known in texts {
        for text in texts {
            compare_forms(known, text);
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_no_object() {
    let known = b"{\"a\":\"x\"}";
    let fields = object("{\"a\":\"x\"}").unwrap();
    let form = Form::of(known, &fields);
    let mut places = Vec::new();
    assert!(form.find(b"{\"a\":\"\xc3\x9f\"}", &mut places));
    for bad in [
        &b"{\"a\":\"\xff\"}"[..],
        b"{\"a\":\"0123456789\xc3\"}",
        b"{\"a\":\xc3\x9f}",
    ] {
        assert!(!form.find(bad, &mut places), "{bad:?}");
    }
}
