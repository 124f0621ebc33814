//! Files of lines (SINK-30).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use allod_events::CloudEvent;
use allod_sinks::Definition;

use crate::world::Node;

fn names(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let lines = text
        .lines()
        .map(|line| CloudEvent::from_json(line.as_bytes()).unwrap());
    lines
        .map(|event| format!("{} {}", event.source, event.id))
        .collect()
}

/// Wherever the file was cut off, it has the log in the end, each event once.
#[test]
fn a_file_that_was_cut_off_anywhere_has_the_log_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    let node = Node::new();
    let to = serde_json::json!({ "to": { "file": { "path": path } } });
    let definition: Definition = to.to_string().parse().unwrap();
    let from = node.tail.feed().beginning();
    node.register().add("file", &definition, from).unwrap();
    node.put(&[("a", "1"), ("b", "2")]);
    node.put(&[("a", "3")]);
    node.carry("file").unwrap();
    let whole = fs::read(&path).unwrap();
    assert_eq!(names(&path), node.log());
    for length in (0..whole.len()).step_by(37).chain([whole.len() - 1]) {
        fs::write(&path, &whole[..length]).unwrap();
        node.carry("file").unwrap();
        // A file that has nothing says nothing: then the sink's own cursor counts.
        let has_line = whole[..length].contains(&b'\n');
        let expected = if has_line { node.log() } else { Vec::new() };
        assert_eq!(names(&path), expected, "cut off at {length}");
    }
    // What comes later goes on.
    fs::write(&path, &whole).unwrap();
    node.put(&[("c", "4")]);
    node.carry("file").unwrap();
    assert_eq!(names(&path), node.log());
}

/// A file of somebody else is not written into, nor cut off.
#[test]
fn a_file_of_other_lines_stops_the_sink() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    for text in [
        "my notes\n",
        "my notes\nand more",
        "no newline",
        "{\"a\":1}\n",
    ] {
        fs::write(&path, text).unwrap();
        let node = Node::new();
        let to = serde_json::json!({ "to": { "file": { "path": path } } });
        let from = node.tail.feed().beginning();
        let definition: Definition = to.to_string().parse().unwrap();
        node.register().add("file", &definition, from).unwrap();
        node.put(&[("a", "1")]);
        let state = node.carry("file").unwrap();
        assert!(state.stopped, "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

/// A file that is put by is begun anew, and nothing is in neither.
#[test]
fn a_file_that_is_put_by_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (path, aside) = (dir.path().join("events"), dir.path().join("events.1"));
    let node = Node::new();
    let to = serde_json::json!({ "to": { "file": { "path": path } } });
    let definition: Definition = to.to_string().parse().unwrap();
    let target = allod_sinks::open(&definition, || 0, Arc::new(|| false));
    let from = node.tail.feed().beginning();
    node.register().add("file", &definition, from).unwrap();
    node.put(&[("a", "1")]);
    node.carry("file").unwrap();
    fs::rename(&path, &aside).unwrap();
    node.put(&[("b", "2")]);
    node.carry("file").unwrap();
    assert_eq!([names(&aside), names(&path)].concat(), node.log());
    // Also while it is open.
    let mut target = target.unwrap();
    assert!(target.deliver(&[]).is_ok());
    fs::rename(&path, &aside).unwrap();
    assert!(target.deliver(&[]).is_ok());
    assert!(path.exists());
}
