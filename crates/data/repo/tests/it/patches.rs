//! PATCH: differences, their text, and applying them.

use std::collections::BTreeMap;

use allod_blocks::{Batch, Block, Codec};
use allod_repo::{
    Difference, Edit, Patch, PatchError, Repo, RepoError, Span, State, View, write_patch,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{Person, START, main, on, put, put_on, scale, space};

/// The cases of `specs/vectors/patch/patch.json`.
#[test]
fn vectors() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../specs/vectors/patch/patch.json"
    );
    let vectors: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let words = |state: &State| match state {
        State::Tombstone => "none".to_owned(),
        State::Value(bytes) => format!("value {}", hex(bytes)),
        State::Link(cid) => format!("link {}", hex(&cid.to_bytes())),
        State::Joining(kind, state) => format!("{kind} {}", hex(state)),
        State::JoiningLink(kind, cid) => format!("{kind} link {}", hex(&cid.to_bytes())),
    };
    let (mut accepts, mut rejects) = (0, 0);
    for case in vectors["cases"].as_array().unwrap() {
        let (id, input) = (&case["id"], &case["input"]);
        let bytes = match input["text"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => unhex(input["bytes"].as_str().unwrap()),
        };
        let read = Patch::read(&mut &bytes[..]);
        if let Some(code) = case["expect"]["error"].as_str() {
            let error = read.expect_err(&id.to_string());
            assert_eq!(error.code(), Some(code), "{id}: {error}");
            rejects += 1;
            continue;
        }
        let patch = read.unwrap_or_else(|error| panic!("{id}: {error}"));
        let expected = &case["expect"]["ok"];
        let changes = patch.changes().iter().map(|change| {
            serde_json::json!([
                hex(&change.key),
                words(&change.before),
                words(&change.after)
            ])
        });
        assert_eq!(
            serde_json::Value::Array(changes.collect()),
            expected["changes"],
            "{id}"
        );
        let links: Vec<String> = patch
            .blocks()
            .keys()
            .map(|cid| hex(&cid.to_bytes()))
            .collect();
        let stated: Vec<&String> = expected["blocks"].as_object().unwrap().keys().collect();
        assert_eq!(links.iter().collect::<Vec<_>>(), stated, "{id}");
        let again = Patch::read(&mut patch.to_text().as_bytes()).unwrap();
        assert_eq!(again, patch, "{id}");
        accepts += 1;
    }
    assert!(accepts >= 10 && rejects >= 40, "{accepts} {rejects}");
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

type Values = BTreeMap<Bytes, State>;

fn values(view: &View) -> Values {
    let items = view.range(&Span::all(), false);
    items
        .map(|item| item.map(|(key, entry)| (key, entry.state)).unwrap())
        .collect()
}

/// The naive twin of a difference: every key of both maps is compared.
fn naive(before: &Values, after: &Values, span: &Span) -> Vec<Difference> {
    let mut keys: Vec<&Bytes> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    let of = |values: &Values, key| values.get(key).cloned().unwrap_or(State::Tombstone);
    keys.into_iter()
        .filter(|key| span.contains(key))
        .map(|key| Difference {
            key: key.clone(),
            before: of(before, key),
            after: of(after, key),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

fn patch(from: &View, to: &View, span: &Span) -> (Patch, String) {
    let mut text = Vec::new();
    let changes = write_patch(from, to, span, &mut text).unwrap();
    let patch = Patch::read(&mut &text[..]).unwrap();
    assert_eq!(patch.changes().len() as u64, changes);
    (patch, String::from_utf8(text).unwrap())
}

fn edits() -> impl Strategy<Value = Vec<(u8, Option<(u8, usize)>)>> {
    let value = proptest::option::of((any::<u8>(), prop_oneof![0usize..4, 1020usize..1030]));
    proptest::collection::vec((0u8..24, value), 0..20)
}

fn stage(repo: &Repo, edits: &[(u8, Option<(u8, usize)>)]) {
    let edits = edits.iter().map(|(key, value)| {
        // Some keys and values are no text.
        let edit = match value {
            Some((byte, length)) => Edit::Put(vec![*byte; *length].into()),
            None => Edit::Delete,
        };
        (Bytes::from(vec![b'k', key * 11]), edit)
    });
    repo.stage(&main(), edits, START).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48 * scale()))]

    /// Differences are those of the naive twin, staged edits and ranges included; applied to the
    /// first state they give the second, reversed the first again, also in a store that lacks the
    /// values.
    #[test]
    fn a_patch_leads_there_and_back(
        first in edits(),
        second in edits(),
        staged in edits(),
        from in proptest::option::of(any::<u8>()),
        to in proptest::option::of(any::<u8>()),
    ) {
        let me = Person::new(1);
        let repo = space(&me);
        let twin = space(&me);
        for repo in [&repo, &twin] {
            stage(repo, &first);
            put(repo, &me, &[("always", Some("x"))], START);
        }
        let a = repo.state(&main()).unwrap();
        stage(&repo, &second);
        put(&repo, &me, &[("always", Some("y"))], START);
        stage(&repo, &staged);
        let b = repo.working(&main()).unwrap();
        let span = Span {
            from: from.map(|byte| vec![b'k', byte]),
            to: to.map(|byte| vec![b'k', byte]),
        };
        let (before, after) = (values(&a), values(&b));
        for span in [&span, &Span::all()] {
            let found: Vec<Difference> = a.diff(&b, span).map(Result::unwrap).collect();
            prop_assert_eq!(&found, &naive(&before, &after, span));
            let back: Vec<Difference> = b.diff(&a, span).map(Result::unwrap).collect();
            prop_assert_eq!(&back, &naive(&after, &before, span));
            let (ranged, _) = patch(&a, &b, span);
            prop_assert_eq!(ranged.changes(), &found[..]);
        }
        let (patch, text) = patch(&a, &b, &Span::all());
        prop_assert_eq!(patch.to_text(), text);
        twin.apply_patch(&main(), &patch, START).unwrap();
        prop_assert_eq!(values(&twin.working(&main()).unwrap()), after);
        for (cid, bytes) in patch.blocks() {
            if patch.changes().iter().any(|change| change.after == State::Link(*cid)) {
                let block = twin.store().get(cid).unwrap().unwrap();
                prop_assert_eq!(block.bytes(), bytes);
            }
        }
        twin.apply_patch(&main(), &patch.reversed(), START).unwrap();
        prop_assert_eq!(values(&twin.working(&main()).unwrap()), before);
    }
}

#[test]
fn a_key_that_is_otherwise_stops_all_of_it() {
    let me = Person::new(1);
    let repo = space(&me);
    put(
        &repo,
        &me,
        &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))],
        START,
    );
    repo.create_branch(&on("draft"), &repo.heads(&main()).unwrap())
        .unwrap();
    put_on(
        &repo,
        &me,
        "draft",
        &[("a", Some("2")), ("b", None), ("d", Some("4"))],
        START,
    );
    let (from, to) = (
        repo.state(&main()).unwrap(),
        repo.state(&on("draft")).unwrap(),
    );
    let (patch, _) = patch(&from, &to, &Span::all());
    // Staged, so that PATCH-8 is seen to look at what is staged.
    let other = |key: &'static str| (Bytes::from(key), Edit::Put("other".into()));
    repo.stage(&main(), [other("b"), other("d")], START)
        .unwrap();
    let staged = values(&repo.working(&main()).unwrap());
    for result in [
        repo.check_patch(&main(), &patch),
        repo.apply_patch(&main(), &patch, START).map(|_count| ()),
    ] {
        match result {
            Err(PatchError::Differs { keys, total: 2 }) => assert_eq!(keys, ["b", "d"]),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(values(&repo.working(&main()).unwrap()), staged);
    repo.unstage(&main()).unwrap();
    repo.check_patch(&main(), &patch).unwrap();
    assert!(repo.staged(&main()).unwrap().is_empty());
    assert_eq!(repo.apply_patch(&main(), &patch, START).unwrap(), 3);
    assert_eq!(values(&repo.working(&main()).unwrap()), values(&to));
}

#[test]
fn a_link_needs_its_block() {
    let me = Person::new(1);
    let repo = space(&me);
    put(&repo, &me, &[("a", Some("1"))], START);
    // A raw block above 1 MiB is not in the patch.
    let block = Block::new(Codec::Raw, vec![7; 1024 * 1024 + 1]).unwrap();
    let mut batch = Batch::new();
    batch.put(block.clone());
    let _outcome = repo.store().commit(batch).unwrap();
    let before = repo.state(&main()).unwrap();
    let edit = Edit::Link(*block.cid());
    repo.stage(&main(), [(Bytes::from("a"), edit)], START)
        .unwrap();
    let (patch, text) = patch(&before, &repo.working(&main()).unwrap(), &Span::all());
    assert!(patch.blocks().is_empty() && text.len() < 300, "{text}");
    let other = space(&me);
    put(&other, &me, &[("a", Some("1"))], START);
    for result in [
        other.check_patch(&main(), &patch),
        other.apply_patch(&main(), &patch, START).map(|_count| ()),
    ] {
        let missing =
            matches!(&result, Err(PatchError::Repo(RepoError::Missing(cid))) if cid == block.cid());
        assert!(missing, "{result:?}");
    }
    assert!(other.staged(&main()).unwrap().is_empty());
}

#[test]
fn a_line_without_end_is_refused_before_it_is_whole() {
    let endless = std::io::Read::chain(
        &b"{\"format\":\"allod-patch\",\"version\":1,\"changes\":1}\n"[..],
        std::io::repeat(b' '),
    );
    let error = Patch::read(&mut std::io::BufReader::new(endless)).unwrap_err();
    assert_eq!(error.code(), Some("E_PATCH_LIMIT"));
}
