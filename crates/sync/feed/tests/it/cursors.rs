//! Texts of cursors and filters.

use allod_feed::{CURSOR_BYTES_MAX, Cursor, Feed, FeedError, Filter};
use proptest::prelude::*;

use crate::world::{Node, Person, START, put};

fn some_cursors() -> Vec<Cursor> {
    let ada = Person::new(1);
    let mut node = Node::new();
    let repo = node.space(&ada, "space");
    put(
        &repo,
        &ada,
        "main",
        &[("a", Some("1")), ("b", Some("2"))],
        START,
    );
    put(&repo, &ada, "main", &[("b", None)], START + 1);
    let feed: Feed = node.feed();
    let mut cursors = vec![
        feed.beginning(),
        feed.now().unwrap(),
        feed.snapshot().unwrap(),
    ];
    for from in [feed.beginning(), feed.snapshot().unwrap()] {
        let mut reader = feed.read(from, std::sync::Arc::default()).unwrap();
        while !reader.page(&node, 1, usize::MAX).unwrap().is_end {
            cursors.push(reader.cursor());
        }
    }
    cursors
}

/// FEED-10: the text of a cursor is one, and gives the cursor back.
#[test]
fn a_cursor_is_its_text() {
    let cursors = some_cursors();
    assert!(cursors.len() > 7, "{}", cursors.len());
    for cursor in cursors {
        let text = cursor.to_string();
        assert_eq!(text.parse::<Cursor>().unwrap(), cursor, "{text}");
        assert!(text.len() < 300, "{text}");
    }
}

/// What is no cursor is refused, whatever it is.
#[test]
fn what_is_no_cursor_is_refused() {
    let text = some_cursors()[1].to_string();
    let too_long = "A".repeat(CURSOR_BYTES_MAX + 4);
    for bad in [
        "",
        "=",
        "AAAA",
        &text[1..],
        &text[..text.len() - 2],
        &format!("{text}AAAA"),
        &too_long,
    ] {
        let refused = bad.parse::<Cursor>();
        assert!(
            matches!(refused, Err(FeedError::Cursor)),
            "{bad}: {refused:?}"
        );
    }
}

proptest! {
    /// One byte that is another makes another cursor, or none; never a fault.
    #[test]
    fn a_damaged_cursor_is_another_or_none(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), by in 33..127u8) {
        let cursors = some_cursors();
        let cursor = which.get(&cursors);
        let mut text = cursor.to_string().into_bytes();
        let at = at.index(text.len());
        prop_assume!(text[at] != by);
        text[at] = by;
        if let Ok(other) = String::from_utf8(text).unwrap().parse::<Cursor>() {
            prop_assert_ne!(&other, cursor);
        }
    }
}

/// FEED-30, FEED-31: nothing is taken for a filter that is none.
#[test]
fn what_is_no_filter_is_refused() {
    let many = format!(r#"{{"prefixes":[{}"x"]}}"#, r#""x","#.repeat(256));
    let long = format!(r#"{{"prefixes":["{}"]}}"#, "x".repeat(17_000));
    for bad in [
        "",
        "[]",
        r#"{"prefix":["a"]}"#,
        r#"{"kinds":["commits"]}"#,
        r#"{"spaces":["nowhere"]}"#,
        r#"{"authors":["did:key:z"]}"#,
        r#"{"prefixes":"a"}"#,
        r#"{"kinds":["commit"],"kinds":["move"]}"#,
        &many,
        &long,
    ] {
        let refused = bad.parse::<Filter>();
        assert!(
            matches!(refused, Err(FeedError::Filter(_))),
            "{bad}: {refused:?}"
        );
    }
    for good in [
        "{}",
        r#"{"kinds":null}"#,
        r#"{"kinds":[],"prefixes":["a",""]}"#,
    ] {
        let filter: Filter = good.parse().unwrap();
        let text = serde_json::to_string(&filter).unwrap();
        assert_eq!(text.parse::<Filter>().unwrap(), filter);
    }
}
