//! The keys of a space that deltas have (DELTA-31).
//!
//! ```text
//! deltas/id/ <id> 00 <digest> <00 if it is signed, else 01>     the delta, as JSON
//! deltas/at/ <time> <id> 00 <digest>                            nothing
//! deltas/to/ <target> 00 <context> 00 <time> <id> 00 <digest>   nothing
//! ```

use allod_repo::Span;

use crate::delta::Delta;
use crate::number::Number;
use crate::store::Place;

const RECORDS: &[u8] = b"deltas/id/";
const TIMES: &[u8] = b"deltas/at/";
const TARGETS: &[u8] = b"deltas/to/";

/// Bytes of the digest that a key has: what a reader can tell two contents of one id by.
const DIGEST_BYTES: usize = 16;

/// Bytes of a time.
const TIME_BYTES: usize = 8;

/// All records.
pub(crate) fn records() -> Span {
    Span::prefix(RECORDS)
}

/// The records of an id: more than one only if it was given out twice.
pub(crate) fn records_of(id: &str) -> Span {
    Span::prefix(&record_prefix(id))
}

/// The key of the record of a delta. A signed copy stands before one without, so that where both come together
/// it is the one that is found (DELTA-12).
pub(crate) fn record(delta: &Delta) -> Vec<u8> {
    let [signed, bare] = both_records(delta);
    if delta.is_signed() { signed } else { bare }
}

/// The keys of a signed record of a delta and of one that is not.
pub(crate) fn both_records(delta: &Delta) -> [Vec<u8>; 2] {
    [0, 1].map(|last| {
        let mut key = record_prefix(delta.id());
        key.extend_from_slice(&delta.digest()[..DIGEST_BYTES]);
        key.push(last);
        key
    })
}

fn record_prefix(id: &str) -> Vec<u8> {
    [RECORDS, id.as_bytes(), &[0]].concat()
}

/// The keys of the indexes of a delta, each once.
pub(crate) fn indexes(delta: &Delta) -> Vec<Vec<u8>> {
    let mut tail = Vec::from(time(delta.timestamp()));
    tail.extend_from_slice(delta.id().as_bytes());
    tail.push(0);
    tail.extend_from_slice(&delta.digest()[..DIGEST_BYTES]);
    let mut keys = vec![[TIMES, &tail].concat()];
    for (_, reference) in delta.references() {
        let mut key = target(reference.id(), reference.context().unwrap_or_default());
        key.extend_from_slice(&tail);
        keys.push(key);
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// How every key begins that says what refers to a target under a context; the empty one is none.
pub(crate) fn target(target: &str, context: &str) -> Vec<u8> {
    [TARGETS, target.as_bytes(), &[0], context.as_bytes(), &[0]].concat()
}

/// How every key begins that says what refers to a target.
pub(crate) fn any_context(target: &str) -> Vec<u8> {
    [TARGETS, target.as_bytes(), &[0]].concat()
}

/// How every key of the index by time begins.
pub(crate) fn by_time() -> Vec<u8> {
    TIMES.to_vec()
}

/// The context in a key that begins with `any`, as [`any_context`] makes it.
pub(crate) fn context_of<'a>(any: &[u8], key: &'a [u8]) -> Option<&'a str> {
    let rest = key.strip_prefix(any)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// The keys of an index that begin with `prefix`, from those behind a place on, up to a time.
pub(crate) fn span(prefix: &[u8], after: Option<&Place>, start: Option<Number>) -> Span {
    let mut span = Span::prefix(prefix);
    let mut from = prefix.to_vec();
    let start = start.filter(|start| start.get() > 0.0);
    match (after, start) {
        (Some(after), start) if start.is_none_or(|start| start <= after.timestamp) => {
            from.extend_from_slice(&time(after.timestamp));
            from.extend_from_slice(after.id.as_bytes());
            // Behind the zero that ends the id; no id has one.
            from.push(1);
        }
        (_, Some(start)) => from.extend_from_slice(&time(start)),
        _ => {}
    }
    span.from = Some(from);
    span
}

/// The place and the digest that the key of an index ends with.
pub(crate) fn tail_of<'a>(prefix: &[u8], key: &'a [u8]) -> Option<(&'a [u8], &'a str)> {
    let tail = key.strip_prefix(prefix)?;
    let end = tail.len().checked_sub(DIGEST_BYTES + 1)?;
    let id = std::str::from_utf8(tail.get(TIME_BYTES..end)?).ok()?;
    Some((tail, id))
}

/// A positive double in the order of its bytes.
fn time(number: Number) -> [u8; TIME_BYTES] {
    number.get().to_bits().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{indexes, record};
    use crate::delta::Delta;

    fn hex(key: &[u8]) -> String {
        key.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The vectors of `specs/vectors/deltas/keys.json`.
    #[test]
    fn keys_are_those_of_the_specification() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../specs/vectors/deltas/keys.json"
        );
        let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let cases = document["cases"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let got = match Delta::decode(case["input"]["json"].as_str().unwrap()) {
                Ok(delta) => {
                    let indexes: Vec<String> = indexes(&delta).iter().map(|key| hex(key)).collect();
                    json!({ "ok": { "record": hex(&record(&delta)), "indexes": indexes } })
                }
                Err(error) => json!({ "error": error.code() }),
            };
            assert_eq!(got, case["expect"], "{}", case["id"]);
        }
    }
}
