//! Documents: edited apart from each other, read whatever a stranger puts into them, begun anew.

use allod_crdt::{Authorship, Document, DocumentError, Edit, Epoch, Kind, Op, State, join_encoded};
use automerge::transaction::{CommitOptions, Transactable as _};
use automerge::{ActorId, AutoCommit, ROOT};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::world::{cases, writer};

fn by(number: usize) -> Authorship<'static> {
    Authorship {
        writer: writer(number),
        time_s: 7,
        message: Some("edited"),
    }
}

fn open(state: &State) -> Document {
    Document::open(state).unwrap()
}

fn made(value: &Json, number: usize) -> State {
    let mut document = open(&State::empty(Kind::Document));
    document.replace(value, by(number)).unwrap();
    document.state().clone()
}

fn edited(state: &State, number: usize, edits: &[Edit]) -> State {
    let mut document = open(state);
    document.edit(edits, by(number)).unwrap();
    document.state().clone()
}

fn value(state: &State) -> Json {
    open(state).value().unwrap()
}

fn set(path: &str, value: Json) -> Edit {
    let path = path.to_owned();
    Edit::Set { path, value }
}

/// A state with some chunks, whatever they are.
fn state(mut chunks: Vec<Vec<u8>>) -> State {
    // One state for each, so that nobody has to sort.
    let mut state = State::empty(Kind::Document);
    for chunk in chunks.drain(..) {
        let mut bytes = vec![0x82, 0xf6, 0x81, 0x5a];
        bytes.extend(u32::try_from(chunk.len()).unwrap().to_be_bytes());
        if chunk.len() < 24 {
            bytes.truncate(3);
            bytes.push(0x40 | u8::try_from(chunk.len()).unwrap());
        } else if chunk.len() < 256 {
            bytes.truncate(3);
            bytes.extend([0x58, u8::try_from(chunk.len()).unwrap()]);
        } else if chunk.len() < 65_536 {
            bytes.truncate(3);
            bytes.push(0x59);
            bytes.extend(u16::try_from(chunk.len()).unwrap().to_be_bytes());
        }
        bytes.extend(chunk);
        let one = State::decode(Kind::Document, &bytes).unwrap();
        state = state.join(&one).unwrap();
    }
    state
}

/// A chunk with this content and a right hash.
fn chunk(content: &[u8]) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let mut hashed = vec![1];
    let mut length = content.len();
    while length >= 0x80 {
        hashed.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    hashed.push(u8::try_from(length).unwrap());
    hashed.extend(content);
    let mut chunk = vec![0x85, 0x6f, 0x4a, 0x83];
    chunk.extend(&Sha256::digest(&hashed)[..4]);
    chunk.extend(hashed);
    chunk
}

/// The content of the changes of a document of Automerge.
fn contents(doc: &mut AutoCommit) -> Vec<Vec<u8>> {
    let changes = doc.get_changes(&[]).into_iter();
    changes
        .map(|change| {
            let raw = change.raw_bytes();
            let length = raw[9..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
            raw[9 + length..].to_vec()
        })
        .collect()
}

#[test]
fn edits_apart_from_each_other_join() {
    let start = made(&json!({ "text": "tea and jam", "list": [1, 2], "n": 1 }), 1);
    let splice = |at, delete, insert: &str| Edit::Splice {
        path: "/text".to_owned(),
        at,
        delete,
        insert: insert.to_owned(),
    };
    let path = || "/list/-".to_owned();
    let insert = |value| Edit::Insert {
        path: path(),
        value,
    };
    let one = edited(
        &start,
        2,
        &[splice(0, 3, "milk"), insert(json!({ "a/b~": null }))],
    );
    let two = edited(
        &start,
        3,
        &[splice(11, 0, "!"), Edit::Delete { path: "/n".into() }],
    );
    let joined = one.join(&two).unwrap();
    assert_eq!(joined, two.join(&one).unwrap());
    let expected = json!({ "text": "milk and jam!", "list": [1, 2, { "a/b~": null }] });
    assert_eq!(value(&joined), expected);
    let edit = set("/list/2/a~1b~0", json!(true));
    assert_eq!(
        value(&edited(&joined, 2, &[edit]))["list"][2],
        json!({ "a/b~": true })
    );
    // Bytes are enough to join, and what was added is a part of its own.
    let bytes = [&one, &two].map(|state| state.encode().unwrap());
    let both = join_encoded(Kind::Document, &bytes[0], &bytes[1]).unwrap();
    assert_eq!(both, joined.encode().unwrap());
    assert!(one.delta(&start).encode().unwrap().len() < bytes[0].len());
    assert_eq!(one.delta(&start).join(&two).unwrap(), joined);
    let history = open(&joined).history();
    assert_eq!(history.len(), 3);
    assert_eq!(history[0].actor, writer(1).0);
    assert_eq!((history[0].seq, history[0].time_s), (1, 7));
    assert_eq!(history[0].message.as_deref(), Some("edited"));
    assert_eq!(joined.value().unwrap().to_string().len(), 3 * 67 + 1);
}

#[test]
fn edits_that_name_nothing_change_nothing() {
    let start = made(&json!({ "text": "tea", "list": [1], "map": {} }), 1);
    let mut document = open(&start);
    let splice = |path: &str, at, delete| Edit::Splice {
        path: path.to_owned(),
        at,
        delete,
        insert: String::new(),
    };
    let insert = |path: &str| Edit::Insert {
        path: path.to_owned(),
        value: json!(1),
    };
    let delete = |path: &str| Edit::Delete { path: path.into() };
    for edit in [
        set("", json!({})),
        set("text", json!(1)),
        set("/none/x", json!(1)),
        set("/list/1", json!(1)),
        set("/list/00", json!(1)),
        set("/text/0", json!(1)),
        set("/map/~2", json!(1)),
        insert("/list/2"),
        insert("/map/x"),
        delete("/none"),
        delete("/list/1"),
        delete("/list/-"),
        splice("/text", 2, 2),
        splice("/text", usize::MAX, 1),
        splice("/list", 0, 0),
    ] {
        let edits = [set("/map/x", json!(1)), edit.clone()];
        let done = document.edit(&edits, by(2));
        assert_eq!(
            done,
            Err(DocumentError::NoSuchPlace { index: 1 }),
            "{edit:?}"
        );
        assert_eq!(document.state(), &start);
    }
    assert_eq!(document.edit(&[], by(2)), Ok(false));
    assert_eq!(
        document.replace(&json!([]), by(2)),
        Err(DocumentError::NoObject)
    );
    let error = Document::open(&State::empty(Kind::List)).unwrap_err();
    assert_eq!(error, DocumentError::Kind(Kind::List));
    let mut deep = json!(1);
    for _ in 0..70 {
        deep = json!([deep]);
    }
    assert_eq!(
        document.edit(&[set("/x", deep)], by(2)),
        Err(DocumentError::TooDeep)
    );
    let mut state = start.clone();
    let op = state.apply(&Op::Set(vec![]), writer(1), 1).unwrap_err();
    assert_eq!(
        op.to_string(),
        "a document has no set; it is edited as a document of Automerge"
    );
    let large = "x".repeat(1 << 20);
    let done = document.edit(&[set("/x", json!(large))], by(2));
    assert!(matches!(done, Err(DocumentError::TooLarge(_))));
    assert_eq!(document.state(), &start);
}

#[test]
fn what_is_not_sound_is_left_out() {
    let mut doc = AutoCommit::new().with_actor(ActorId::from(&[9; 8][..]));
    for number in 0..3 {
        doc.put(ROOT, "n", number).unwrap();
        doc.commit_with(CommitOptions::default().with_time(0))
            .unwrap();
    }
    let sound = contents(&mut doc);
    let all: Vec<Vec<u8>> = sound.iter().map(|content| chunk(content)).collect();
    let document = open(&state(all.clone()));
    assert_eq!(
        (document.left_out(), document.value().unwrap()),
        (0, json!({ "n": 2 }))
    );
    // Without the second, the third waits.
    let document = open(&state(vec![all[0].clone(), all[2].clone()]));
    assert_eq!(
        (document.left_out(), document.value().unwrap()),
        (1, json!({ "n": 0 }))
    );
    // Content that says nothing.
    let document = open(&state(vec![all[0].clone(), chunk(&[]), chunk(&[0xff; 40])]));
    assert_eq!(
        (document.left_out(), document.value().unwrap()),
        (2, json!({ "n": 0 }))
    );
    // Another change with the same number of the same actor: the one with the lesser hash is taken.
    let mut other = AutoCommit::new().with_actor(ActorId::from(&[9; 8][..]));
    other.put(ROOT, "m", 1).unwrap();
    other
        .commit_with(CommitOptions::default().with_time(0))
        .unwrap();
    let twice = state(vec![all[0].clone(), chunk(&contents(&mut other)[0])]);
    let mut document = open(&twice);
    assert_eq!((document.left_out(), document.history().len()), (1, 1));
    // It stays in the state, and the document can be edited.
    document.edit(&[set("/x", json!(1))], by(1)).unwrap();
    assert!(document.state().includes(&twice));
}

#[test]
fn a_run_without_end_is_left_out() {
    // No dependencies, an actor, number 1, operation 1, time 0, no message, no other actors, one column:
    // actions (0x42), two to the 62 of them, all 1.
    let run: Vec<u8> = [&[0xff; 8][..], &[0x3f, 1]].concat();
    let mut content = vec![
        0,
        1,
        9,
        1,
        1,
        0,
        0,
        0,
        1,
        0x42,
        u8::try_from(run.len()).unwrap(),
    ];
    content.extend(&run);
    let document = open(&state(vec![chunk(&content)]));
    assert_eq!(document.left_out(), 1);
}

#[test]
fn a_new_epoch_keeps_the_contents() {
    let start = made(
        &json!({ "text": "tea", "list": [1, [true, null]], "n": -1.5 }),
        1,
    );
    let state = edited(&start, 2, &[set("/text", json!("jam"))]);
    let epoch = Epoch {
        stamp: 5,
        writer: writer(3),
    };
    let compact = state.compact(epoch).unwrap();
    assert_eq!(value(&compact), value(&state));
    let history = open(&compact).history();
    assert_eq!(
        (history.len(), &history[0].actor[..]),
        (1, &writer(3).0[..])
    );
    assert_eq!(state.compact(epoch).unwrap(), compact);
    let cleared = compact.cleared(Epoch { stamp: 6, ..epoch }).unwrap();
    assert_eq!((value(&cleared), cleared.value()), (json!({}), None));
    // One that is empty but has been written stays so.
    let empty = edited(
        &made(&json!({ "x": 1 }), 1),
        1,
        &[Edit::Delete { path: "/x".into() }],
    );
    let compact = empty.compact(epoch).unwrap();
    assert_eq!(
        (value(&compact), compact.value().is_some()),
        (json!({}), true)
    );
}

fn values() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (0..4_u64).prop_map(|number| Json::from(u64::MAX - number)),
        (-100..100_i32).prop_map(|number| Json::from(f64::from(number) / 4.0)),
        "[ab\u{e9}]{0,6}".prop_map(Json::from),
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from);
        let map = proptest::collection::btree_map("[a-c/~]{1,2}", inner, 0..4);
        prop_oneof![list, map.prop_map(|map| map.into_iter().collect())]
    });
    let fields = proptest::collection::btree_map("[a-c]", value, 0..4);
    fields.prop_map(|map| map.into_iter().collect())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_document_is_replaced_by_any_other(
        one in values(), two in values(), three in values(),
    ) {
        let start = made(&one, 1);
        prop_assert_eq!(value(&start), one.clone());
        let mut left = open(&start);
        left.replace(&two, by(2)).unwrap();
        prop_assert_eq!(left.value().unwrap(), two.clone());
        prop_assert_eq!(left.replace(&two, by(2)), Ok(false));
        let mut right = open(&start);
        right.replace(&three, by(3)).unwrap();
        // The same edits have the same bytes, and states join in any order.
        let mut again = open(&start);
        again.replace(&two, by(2)).unwrap();
        prop_assert_eq!(again.state(), left.state());
        let joined = left.state().join(right.state()).unwrap();
        prop_assert_eq!(&joined, &right.state().join(left.state()).unwrap());
        let bytes = joined.encode().unwrap();
        prop_assert_eq!(&State::decode(Kind::Document, &bytes).unwrap(), &joined);
        let read = open(&joined);
        prop_assert_eq!(read.left_out(), 0);
        // Edits back and forth, as those of a cherry-pick.
        let edits = Document::difference(&two, &one).unwrap();
        left.edit(&edits, by(2)).unwrap();
        prop_assert_eq!(left.value().unwrap(), one);
    }

    /// Content that was damaged is read or left out.
    #[test]
    fn damaged_changes_never_panic(
        value in values(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        which in any::<prop::sample::Index>(),
    ) {
        let mut document = open(&made(&value, 1));
        document.replace(&json!({ "a": "text" }), by(2)).unwrap();
        let mut doc = AutoCommit::new();
        let chunks = document.history().len();
        let bytes = document.state().encode().unwrap();
        // The chunks are the only place with these bytes.
        let magic = [0x85, 0x6f, 0x4a, 0x83];
        let starts: Vec<usize> = bytes.windows(4).enumerate()
            .filter(|(_, window)| *window == magic).map(|(at, _)| at).collect();
        prop_assert_eq!(starts.len(), chunks);
        for start in &starts {
            let change = bytes[*start..].to_vec();
            let length = change[9..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
            let size = change[9..9 + length].iter().rev()
                .fold(0_usize, |size, byte| (size << 7) | usize::from(byte & 0x7f));
            let raw = &change[..9 + length + size];
            doc.load_incremental(raw).unwrap();
        }
        let mut contents = contents(&mut doc);
        let content = which.index(contents.len());
        for (index, byte) in damage {
            let at = index.index(contents[content].len());
            contents[content][at] = byte;
        }
        let state = state(contents.iter().map(|content| chunk(content)).collect());
        if let Ok(mut document) = Document::open(&state) {
            let read = document.value();
            prop_assert!(read.is_ok() || read == Err(DocumentError::Unreadable));
            prop_assert!(document.history().len() + document.left_out() == contents.len());
        }
    }
}
