//! What a request over HTTP spells: ranges, names in conditions, parameters, paths, keys, CIDs behind paths, tokens. The
//! files of the node are read as they are, without the node.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/node/src/shown/keys.rs"]
mod keys;
#[path = "../../crates/node/src/http/percent.rs"]
mod percent;
#[path = "../../crates/node/src/http/spelled.rs"]
mod spelled;

use self::spelled::Range;

fuzz_target!(|data: &[u8]| {
    // The first bytes are a size of what is asked for.
    let (size, rest) = data.split_at(data.len().min(8));
    let size = size.iter().fold(0u64, |size, byte| size << 8 | u64::from(*byte));
    if let Some(token) = spelled::bearer(data) {
        assert!(token.len() + 7 <= data.len() && token.trim_ascii() == token);
    }
    if let Ok(key) = keys::key_bytes(data) {
        let spelling = keys::key_text(&key);
        assert_eq!(keys::key_bytes(spelling.as_bytes()), Ok(key), "HTTP-10: a key has one spelling");
    }
    let encoded = percent::encode(data);
    for is_query in [false, true] {
        assert_eq!(percent::decode(&encoded, is_query).as_deref(), Some(data), "HTTP-10");
    }
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    ranges(text, size);
    tags(text);
    pairs(text);
    if let Some((space, what)) = spelled::path(text) {
        assert!(space.len() + what.len() <= text.len());
        let again = format!("/v1/spaces/{}/x/{}", percent::encode(&space), percent::encode(&what));
        assert_eq!(spelled::path(&again), Some((space, what)));
    }
    if let Some(cid) = percent::cid_behind(text, "/v1/blobs/") {
        assert_eq!(percent::cid_behind(&format!("/v1/blobs/{cid}"), "/v1/blobs/"), Some(cid));
    }
});

/// A range lies within what there is, and says the bytes that it says.
fn ranges(text: &str, size: u64) {
    let Some(range) = Range::read(text) else {
        return;
    };
    let part = range.of(size);
    if let Some((first, count)) = part {
        assert!(count > 0 && first < size && count <= size - first);
    }
    match range {
        Range::From(first, last) => {
            assert!(last.is_none_or(|last| first <= last));
            assert_eq!(part.is_some(), first < size);
            assert!(part.is_none_or(|(at, _)| at == first));
        }
        Range::Last(count) => {
            assert_eq!(part.map(|(_, got)| got), Some(count.min(size)).filter(|got| *got > 0));
        }
    }
}

/// Names that were read are read again where they are written.
fn tags(text: &str) {
    let mut read = Vec::new();
    let is_any = spelled::tags(text, &mut read);
    assert!(read.len() <= 64, "no more are held than are looked at");
    if is_any == Ok(true) {
        assert!(read.is_empty() && text.trim() == "*");
    }
    if is_any == Ok(false) {
        let quoted = read.iter().map(|(tag, is_weak)| {
            assert!(!tag.contains('"'));
            format!("{}\"{tag}\"", if *is_weak { "W/" } else { "" })
        });
        let list = quoted.collect::<Vec<_>>().join(", ");
        let mut again = Vec::new();
        assert_eq!(spelled::tags(&list, &mut again), Ok(false));
        assert_eq!(again, read);
    }
}

/// Each parameter is there once, and is read again where it is written.
fn pairs(text: &str) {
    let Ok(read) = spelled::pairs(text) else {
        return;
    };
    for (at, (name, _)) in read.iter().enumerate() {
        assert!(read[..at].iter().all(|(before, _)| before != name), "HTTP-11");
    }
    let written = read.iter().map(|(name, value)| {
        format!("{}={}", percent::encode(name.as_bytes()), percent::encode(value))
    });
    let query = written.collect::<Vec<_>>().join("&");
    assert_eq!(spelled::pairs(&query), Ok(read));
}
