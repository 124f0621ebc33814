//! Events into a space, once in effect (SRC).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use allod_events::CloudEvent;
use allod_feed::{Spaces as _, Told};
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, Content, Edit, Objection, Repo, RepoError, SpaceId};
use allod_sinks::Fault;
use allod_sinks::source::{
    Batch, From, Incoming, Origin, Position, Record, Seek, SourceDefinition, SourceHost,
    SourceRegister, SourceState, incoming, open_source, position_key, run_source,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{Node, START, key};

/// A node that imports, until what it reads breaks.
pub(crate) struct Importer {
    pub(crate) node: Node,
    key: SecretKey,
    /// After so many batches the connection is gone.
    breaks_after: Cell<Option<usize>>,
    /// A hook on the space.
    pub(crate) repo: RefCell<Repo>,
}

struct Breaking(Box<dyn Origin>, Option<usize>);

impl Origin for Breaking {
    fn seek(&mut self, to: Seek<'_>) -> Result<Position, Fault> {
        self.0.seek(to)
    }

    fn next(&mut self) -> Result<Batch, Fault> {
        if self.1 == Some(0) {
            return Err(Fault::Away {
                taken: 0,
                words: "the connection is gone".to_owned(),
                after: None,
            });
        }
        self.1 = self.1.map(|left| left - 1);
        self.0.next()
    }
}

impl SourceHost for Importer {
    fn repo(&self, space: SpaceId) -> Result<Option<Repo>, RepoError> {
        let is_here = self.node.repo(space)?.is_some();
        Ok(is_here.then(|| self.repo.borrow().clone()))
    }

    fn author(&self) -> Result<Author<'_>, String> {
        let agent = self.key.agent_id();
        let key = &self.key;
        Ok(Author { agent, key })
    }

    fn now_ms(&self) -> u64 {
        START
    }

    fn chance(&self) -> u64 {
        0
    }

    fn open(&self, from: &From) -> Result<Box<dyn Origin>, Fault> {
        Ok(Box::new(Breaking(
            open_source(from)?,
            self.breaks_after.take(),
        )))
    }

    fn committed(&self) {}

    fn is_stopping(&self) -> bool {
        false
    }

    fn rest(&self, _at_most: Duration) {}
}

impl Importer {
    pub(crate) fn new() -> Self {
        let node = Node::new();
        Self {
            repo: RefCell::new(node.repo.clone()),
            node,
            key: key(),
            breaks_after: Cell::new(None),
        }
    }

    pub(crate) fn register(&self) -> SourceRegister {
        SourceRegister::new(self.node.store.clone())
    }

    pub(crate) fn add(&self, from: From) {
        let definition = self.definition(from);
        self.register().add("in", &definition, None).unwrap();
    }

    pub(crate) fn definition(&self, from: From) -> SourceDefinition {
        let from = serde_json::to_string(&from).unwrap();
        let space = self.node.repo.id();
        format!(r#"{{"from":{from},"space":"{space}"}}"#)
            .parse()
            .unwrap()
    }

    pub(crate) fn import(&self) -> SourceState {
        run_source(self, &self.register(), ("in", true)).unwrap()
    }

    /// What the space has, but for the position.
    pub(crate) fn entries(&self) -> BTreeMap<String, String> {
        let view = self.node.repo.state(&BranchName::main()).unwrap();
        let mut found = BTreeMap::new();
        for item in view.range(&allod_repo::Span::all(), false) {
            let (key, _) = item.unwrap();
            if key == position_key("in") {
                continue;
            }
            if let Some(Content::Bytes(value)) = view.get(&key).unwrap() {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                found.insert(text(&key), text(&value));
            }
        }
        found
    }

    /// How often each key was written, the position left out.
    fn writes(&self) -> BTreeMap<String, usize> {
        let from = self.node.tail.feed().beginning();
        let mut reader = self.node.tail.feed().read(from, Arc::default()).unwrap();
        let mut found = BTreeMap::new();
        loop {
            let page = reader.page(&self.node, 100, usize::MAX).unwrap();
            for event in &page.events {
                if let Told::Change { key, .. } = &event.told
                    && *key != position_key("in")
                {
                    let key = String::from_utf8(key.to_vec()).unwrap();
                    *found.entry(key).or_default() += 1;
                }
            }
            if page.is_end {
                return found;
            }
        }
    }

    fn commits(&self) -> usize {
        let names = self.node.log();
        names
            .iter()
            .filter(|name| !name.split(' ').next_back().unwrap().contains('/'))
            .count()
    }
}

fn file(path: &Path) -> From {
    From::File {
        path: path.to_owned(),
    }
}

fn append(path: &Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn temp() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    (dir, path)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// SRC-10, SRC-13: wherever it is cut off, and whatever it forgot of what it keeps beside the space: each record
    /// is written once.
    #[test]
    fn each_record_counts_once(
        rounds in prop::collection::vec((0..40usize, any::<bool>(), prop::option::of(0..2usize), any::<bool>()), 1..8),
    ) {
        let (_dir, path) = temp();
        append(&path, "");
        let importer = Importer::new();
        importer.add(file(&path));
        let (_, first) = importer.register().get("in").unwrap();
        let (mut expected, mut offset, mut number) = (BTreeMap::new(), 0, 0);
        let mut rest = String::new();
        for (count, is_half, breaks, is_forgotten) in rounds {
            let mut text = std::mem::take(&mut rest);
            for _ in 0..count {
                let line = format!("line {number}");
                number += 1;
                expected.insert(format!("events/in/0-{offset}"), line.clone());
                offset += line.len() + 1;
                text += &line;
                text.push('\n');
            }
            if is_half && !text.is_empty() {
                rest = text.split_off(text.len() / 2);
            }
            append(&path, &text);
            importer.breaks_after.set(breaks);
            importer.import();
            if is_forgotten {
                let (_, now) = importer.register().get("in").unwrap();
                importer.register().keep("in", (&now, &first), &[]).unwrap();
            }
        }
        append(&path, &rest);
        importer.import();
        importer.import();
        let writes = importer.writes();
        prop_assert!(writes.values().all(|count| *count == 1), "{:?}", writes);
        prop_assert_eq!(importer.entries(), expected);
    }
}

fn record(payload: &str) -> Record {
    Record {
        at: 7,
        next: 8,
        payload: Some(Bytes::copy_from_slice(payload.as_bytes())),
        ..Record::default()
    }
}

fn event(kind: &str, data: &str) -> Record {
    record(&format!(
        r#"{{"specversion":"1.0","id":"1","source":"/s","type":"{kind}","data":{data}}}"#
    ))
}

fn put(key: &str, value: &str) -> Incoming {
    let value = Edit::Put(Bytes::copy_from_slice(value.as_bytes()));
    Incoming::Entry(Bytes::copy_from_slice(key.as_bytes()), value)
}

/// A definition, changed as a test needs it.
fn changed(change: impl FnOnce(&mut SourceDefinition)) -> SourceDefinition {
    let mut definition = Importer::new().definition(file(Path::new("/x")));
    change(&mut definition);
    definition
}

fn dead(made: Incoming) -> String {
    match made {
        Incoming::Dead { words, .. } => words,
        other => panic!("{other:?}"),
    }
}

/// SRC-20, SRC-23 to SRC-25: what Allod tells of entries becomes these, where they are another space's.
#[test]
fn events_of_entries_become_entries() {
    let definition = changed(|definition| definition.prefix = "far/".to_owned());
    let made = |record: &Record| incoming("in", &definition, record).unwrap();
    let entry = |space: &str, rest: &str| {
        let data = format!(r#"{{"space":"{space}","branch":"main",{rest}}}"#);
        made(&event("org.allod.entry.put.v1", &data))
    };
    let text = r#""key":"k","value":{"text":"v"}"#;
    assert_eq!(entry("b", text), put("far/k", "v"));
    assert_eq!(
        entry("b", r#""key":"k","value":{"json":{"a":1.0}}"#),
        put("far/k", r#"{"a":1.0}"#)
    );
    assert_eq!(
        entry("b", r#""key_base64":"/w==","value":{"base64":"AP8="}"#),
        Incoming::Entry(
            Bytes::from_static(b"far/\xff"),
            Edit::Put(Bytes::from_static(b"\x00\xff"))
        )
    );
    let link = entry("b", r#""key":"k","value":{"link":"bafy"}"#);
    assert_eq!(link, Incoming::Link);
    assert_eq!(entry(&definition.space, text), Incoming::Passed);
    let position = entry("b", r#""key":"allod/source/x","value":{"text":"v"}"#);
    assert_eq!(position, Incoming::Passed);
    let gone = r#"{"space":"b","branch":"main","key":"k","value":null}"#;
    assert_eq!(
        made(&event("org.allod.entry.deleted.v1", gone)),
        Incoming::Entry("far/k".into(), Edit::Delete)
    );
    assert_eq!(made(&event("org.allod.commit.v1", "{}")), Incoming::Passed);
    // Of another branch, or of a space that is not named.
    let draft = r#"{"space":"b","branch":"draft","key":"k","value":{"text":"v"}}"#;
    assert_eq!(
        made(&event("org.allod.entry.put.v1", draft)),
        Incoming::Passed
    );
    let of_draft = changed(|definition| definition.their_branch = Some("draft".to_owned()));
    let of_draft = |record: &Record| incoming("in", &of_draft, record).unwrap();
    assert_eq!(
        of_draft(&event("org.allod.entry.put.v1", draft)),
        put("k", "v")
    );
    let of_c = changed(|definition| definition.their_space = Some("c".to_owned()));
    let main = r#"{"space":"b","branch":"main","key":"k","value":{"text":"v"}}"#;
    let passed = incoming("in", &of_c, &event("org.allod.entry.put.v1", main)).unwrap();
    assert_eq!(passed, Incoming::Passed);
    let bad = |kind: &str, data: &str| dead(made(&event(kind, data)));
    assert!(bad("org.allod.entry.put.v1", "[]").contains("none of an entry"));
    assert!(bad("org.allod.entry.put.v2", gone).contains("type"));
    assert!(bad("org.allod.entry.put.v1", gone).contains("no value"));
    let avro = r#"{"specversion":"1.0","id":"1","source":"/s","type":"org.allod.entry.put.v1","data_base64":"AA=="}"#;
    assert!(dead(made(&record(avro))).contains("JSON"));
}

/// SRC-21, SRC-22: other events and messages are entries of their own, in whatever form they come.
#[test]
fn other_records_become_entries() {
    let definition = changed(|_| {});
    let made = |record: &Record| incoming("in", &definition, record).unwrap();
    assert_eq!(
        made(&event("order", r#"{"n":1}"#)),
        put("events/in/%2Fs/1", r#"{"n":1}"#)
    );
    assert_eq!(made(&record("hello")), put("events/in/0-7", "hello"));
    assert_eq!(
        made(&record(r#"{"a":1}"#)),
        put("events/in/0-7", r#"{"a":1}"#)
    );
    // Headers say it too: of HTTP and NATS, and of Kafka.
    for prefix in ["ce-", "ce_"] {
        let mut binary = record("body");
        for (name, value) in [
            ("specversion", "1.0"),
            ("id", "1"),
            ("source", "/s"),
            ("type", "t"),
        ] {
            binary
                .headers
                .push((format!("{prefix}{name}"), value.to_owned()));
        }
        assert_eq!(made(&binary), put("events/in/%2Fs/1", "body"));
    }
    let mut named = record("hello");
    named
        .headers
        .push(("Nats-Msg-Id".to_owned(), "m1".to_owned()));
    assert_eq!(made(&named), put("events/in/m1", "hello"));
    let large = Record {
        payload: None,
        ..record("")
    };
    assert!(dead(made(&large)).contains("longer"));
    assert!(dead(made(&record(r#"{"specversion":"0.3"}"#))).contains("specversion"));
}

/// SRC-21, SRC-25: a template leads to any key, but not to those of positions.
#[test]
fn templates_make_keys_of_attributes() {
    let by = |key: &str, record: &Record| {
        let definition = changed(|definition| definition.key = Some(key.to_owned()));
        incoming("in", &definition, record).unwrap()
    };
    let mut subject = event("t", "1");
    assert!(dead(by("{id}{subject}", &subject)).contains("no subject"));
    subject.subject = Some("x".to_owned());
    assert_eq!(by("{id}{subject}", &subject), put("1x", "1"));
    subject.subject = Some("allod/source/in".to_owned());
    assert!(dead(by("{subject}", &subject)).contains("allod/source/"));
    for length in [0, 4097] {
        subject.subject = Some("x".repeat(length));
        assert!(dead(by("{subject}", &subject)).contains("bytes"));
    }
    let whole = changed(|definition| definition.whole = true);
    let whole = incoming("in", &whole, &event("t", "1")).unwrap();
    let Incoming::Entry(_, Edit::Put(value)) = whole else {
        panic!("{whole:?}");
    };
    assert_eq!(CloudEvent::from_json(&value).unwrap().kind, "t");
}

/// SRC-12: a file that is not the one that was read stops its source, and somebody says from where it goes on.
#[test]
fn a_file_that_was_replaced_stops_its_source() {
    let (_dir, path) = temp();
    append(&path, "one\ntwo\n");
    let importer = Importer::new();
    importer.add(file(&path));
    assert_eq!(importer.import().imported, 2);
    for (text, count) in [("one\n", 2), ("uno\nTWO\nthree\n", 5)] {
        std::fs::write(&path, text).unwrap();
        let state = importer.import();
        let words = state.words.unwrap_or_default();
        assert!(state.stopped && words.contains("E_SOURCE_GAP"), "{words}");
        importer.register().seek("in", true).unwrap();
        let state = importer.import();
        assert!(state.words.is_none(), "{:?}", state.words);
        // What the space has already is not written again.
        assert_eq!(state.imported, count, "{text}");
    }
    std::fs::write(&path, "a\nb\n").unwrap();
    assert!(importer.import().stopped);
    importer.register().seek("in", false).unwrap();
    append(&path, "c\n");
    // The end is where it is when it is looked for.
    assert_eq!(importer.import().imported, 5);
    append(&path, "d\n");
    assert_eq!(importer.import().imported, 6);
}

/// SRC-13, SRC-14: what is passed over leads to no commit, and is not read again.
#[test]
fn what_is_passed_over_is_no_commit() {
    let (_dir, path) = temp();
    let importer = Importer::new();
    let own = importer.node.repo.id();
    let echo = format!(
        r#"{{"specversion":"1.0","id":"1","source":"/s","type":"org.allod.entry.put.v1","data":{{"space":"{own}","branch":"main","key":"k","value":{{"text":"v"}}}}}}"#
    );
    append(&path, &format!("{echo}\n{echo}\n"));
    importer.add(file(&path));
    let before = importer.commits();
    assert_eq!(importer.import().passed, 2);
    assert_eq!(importer.import().passed, 2);
    assert_eq!(importer.commits(), before);
    append(&path, "hello\n");
    let state = importer.import();
    assert_eq!((state.passed, state.imported), (2, 1));
    assert_eq!(importer.commits(), before + 1);
}

/// SRC-26: what cannot be read, or what the space refuses, holds up nothing, and is known; a source of nothing else
/// stops.
#[test]
fn what_cannot_be_imported_is_a_dead_letter() {
    let (_dir, path) = temp();
    let importer = Importer::new();
    let hooked = importer.node.repo.clone().hooked(Arc::new(|proposal| {
        let after = proposal.after().map_err(|error| error.to_string())?;
        match after.get(b"events/in/0-6") {
            Ok(None) => Ok(()),
            _ => Err("not this one".to_owned().into()),
        }
    }));
    *importer.repo.borrow_mut() = hooked;
    let long = "x".repeat(1024 * 1024 + 1);
    append(
        &path,
        &format!("hello\nbad\nworld\n{{\"specversion\":\"9\"}}\n{long}\nend\n"),
    );
    importer.add(file(&path));
    let state = importer.import();
    assert_eq!((state.imported, state.dead, state.words), (3, 3, None));
    let dead = importer.register().dead("in").unwrap();
    let words: Vec<&str> = dead.iter().map(|letter| &letter.words[..]).collect();
    assert!(words[0].contains("not this one"), "{words:?}");
    assert!(
        words[1].contains("specversion") && words[2].contains("longer"),
        "{words:?}"
    );
    assert_eq!(dead[0].at, 6);
    assert_eq!(importer.register().drop_dead("in").unwrap(), 3);
    for _ in 0..1001 {
        append(&path, "{\"specversion\":\"9\"}\n");
    }
    append(&path, "after\n");
    let state = importer.import();
    assert!(state.stopped, "{:?}", state.words);
    while importer.register().drop_dead("in").unwrap() > 0 {
        importer.import();
    }
    assert_eq!(importer.register().get("in").unwrap().1.imported, 4);
}

/// SRC-16: what a hook has not judged is no dead letter. It waits, and the status says why, until the hook judges.
#[test]
fn what_a_hook_has_not_judged_waits_for_it() {
    let (_dir, path) = temp();
    let importer = Importer::new();
    let is_there = Arc::new(AtomicBool::new(false));
    let judges = Arc::clone(&is_there);
    let hooked = importer.node.repo.clone().hooked(Arc::new(move |_| {
        if judges.load(Ordering::SeqCst) {
            return Err("no".to_owned().into());
        }
        Err(Objection::Failed("the hook is not there".to_owned()))
    }));
    *importer.repo.borrow_mut() = hooked;
    append(&path, "hello\nworld\n");
    importer.add(file(&path));
    for failures in 1..3 {
        let state = importer.import();
        assert_eq!((state.imported, state.dead), (0, 0));
        assert_eq!((state.failures, state.stopped), (failures, false));
        assert!(state.words.unwrap().contains("the hook is not there"));
    }
    // One that says no is heard.
    is_there.store(true, Ordering::SeqCst);
    let state = importer.import();
    assert_eq!((state.imported, state.dead, state.words), (0, 2, None));
    *importer.repo.borrow_mut() = importer.node.repo.clone();
    append(&path, "end\n");
    assert_eq!(importer.import().imported, 1);
}

/// SRC-16: what is too much for a hook at a time is put to it in parts; and what it does not judge by itself waits, and
/// holds up nothing that came before.
#[test]
fn what_a_hook_has_not_judged_is_put_to_it_in_parts() {
    let (_dir, path) = temp();
    let importer = Importer::new();
    let hooked = importer.node.repo.clone().hooked(Arc::new(|proposal| {
        let changes = proposal.changes().map_err(|error| error.to_string())?;
        let after = proposal.after().map_err(|error| error.to_string())?;
        let falls = after
            .get(b"events/in/0-80")
            .map_err(|error| error.to_string())?;
        // The position is one of them.
        if changes.count() > 5 || falls.is_some() {
            return Err(Objection::Failed("it took too long".to_owned()));
        }
        Ok(())
    }));
    *importer.repo.borrow_mut() = hooked;
    importer.add(file(&path));
    append(&path, &"line\n".repeat(16));
    let state = importer.import();
    assert_eq!((state.imported, state.dead, state.words), (16, 0, None));
    append(&path, &"line\n".repeat(3));
    for failures in 1..3 {
        let state = importer.import();
        assert_eq!((state.imported, state.dead), (16, 0));
        assert_eq!((state.failures, state.stopped), (failures, false));
        assert!(state.words.unwrap().contains("it took too long"));
    }
    *importer.repo.borrow_mut() = importer.node.repo.clone();
    assert_eq!(importer.import().imported, 19);
}

/// SRC, "Settings": what is no definition is refused, and what is one is read as it was written.
#[test]
fn what_is_no_source_is_refused() {
    let space = Importer::new().node.repo.id();
    let of = |from: &str, rest: &str| {
        let text = format!(r#"{{"from":{from},"space":"{space}"{rest}}}"#);
        text.parse::<SourceDefinition>()
    };
    let file = r#"{"file":{"path":"/x"}}"#;
    for (from, rest) in [
        (r#"{"file":{"path":""}}"#, ""),
        (r#"{"mail":{}}"#, ""),
        (r#"{"kafka":{"brokers":"x","topic":""}}"#, ""),
        (r#"{"nats":{"url":"","stream":"s"}}"#, ""),
        (file, r#","more":1"#),
        (file, r#","branch":"a b""#),
        (file, r#","branch":"meta""#),
        (file, r#","key":"{""#),
    ] {
        assert!(of(from, rest).is_err(), "{from} {rest}");
    }
    let long = format!(r#","prefix":"{}""#, "x".repeat(1025));
    assert!(of(file, &long).is_err());
    assert!(r#"{"from":{"file":{"path":"/x"}},"space":"x"}"#.parse::<SourceDefinition>().is_err());
    assert_eq!(allod_sinks::source::BadSource::CODE, "E_SOURCE");
    for (from, rest) in [
        (
            file,
            r#","key":"a/{id}","whole":true,"paused":true,"prefix":"p""#,
        ),
        (
            r#"{"nats":{"url":"nats://x","stream":"s","subject":"a.>"}}"#,
            "",
        ),
        (
            r#"{"kafka":{"brokers":"x:1,y:1","topic":"t","properties":"/p"}}"#,
            r#","branch":"b""#,
        ),
    ] {
        let read = of(from, rest).unwrap();
        let text = serde_json::to_string(&read).unwrap();
        assert_eq!(text.parse::<SourceDefinition>().unwrap(), read);
    }
    let bad = [
        "",
        "{}",
        "[]",
        r#"{"of":1,"parts":{}}"#,
        r#"{"of":"x","parts":{"a":{"next":1}}}"#,
    ];
    for bad in bad {
        assert!(bad.parse::<Position>().is_err(), "{bad}");
    }
}

/// SRC-26: what a stranger calls itself does not stop a source, however long it is; and of another record at the place
/// of a dead letter there is another.
#[test]
fn dead_letters_are_short_and_of_their_records() {
    let (_dir, path) = temp();
    let importer = Importer::new();
    let long = "x".repeat(70_000);
    let of = |id: &str| format!(r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"t"}}"#);
    append(&path, &format!("{}\n", of(&long)));
    importer.add(file(&path));
    let state = importer.import();
    assert_eq!((state.dead, state.words), (1, None));
    let dead = importer.register().dead("in").unwrap();
    assert_eq!(dead[0].id.len(), 1024);
    // The file is another one, with another record there.
    std::fs::write(&path, format!("{}\n", of(&"y".repeat(70_000)))).unwrap();
    assert!(importer.import().stopped);
    importer.register().seek("in", true).unwrap();
    assert_eq!(importer.import().dead, 1);
    let dead = importer.register().dead("in").unwrap();
    assert!(dead[0].id.starts_with('y'), "{dead:?}");
}

/// A position that somebody has made nonsense of stops a source, and it goes on from where it is told to.
#[test]
fn a_position_that_is_none_stops_a_source() {
    let (_dir, path) = temp();
    let importer = Importer::new();
    append(&path, "one\n");
    importer.add(file(&path));
    assert_eq!(importer.import().imported, 1);
    let main = BranchName::main();
    let nonsense = (position_key("in"), Edit::Put(Bytes::from_static(b"\xff")));
    let key = key();
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    importer.node.repo.stage(&main, [nonsense], START).unwrap();
    importer
        .node
        .repo
        .commit_staged(&main, author, "", START)
        .unwrap();
    append(&path, "two\n");
    assert!(importer.import().stopped);
    importer.register().seek("in", true).unwrap();
    let state = importer.import();
    assert_eq!((state.imported, state.words), (2, None));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_waited_for() {
    let importer = Importer::new();
    importer.add(file(Path::new("/dev/zero")));
    let state = importer.import();
    assert!(state.stopped && state.words.unwrap().contains("no regular file"));
}
