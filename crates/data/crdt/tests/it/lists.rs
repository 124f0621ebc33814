//! Lists: what is written at one place is not mixed, and a tree of any shape is gone through.

use allod_crdt::{Epoch, Kind, Op, OpError, State, Writer};
use proptest::prelude::*;

use crate::world::{cases, writer};

fn insert(state: &mut State, index: usize, value: &str, by: Writer) {
    let op = Op::Insert(index, value.as_bytes().to_vec());
    state.apply(&op, by, 0).unwrap();
}

fn text(state: &State) -> String {
    let shown = state
        .value()
        .map(|value| value.to_string())
        .unwrap_or_default();
    shown.replace(['[', ']', '"', ','], "")
}

/// Writes a word at a place, from its first letter on or from its last one back.
fn write(state: &mut State, at: usize, word: &str, is_backwards: bool, by: Writer) {
    for (offset, letter) in word.chars().enumerate() {
        if is_backwards {
            let letter = word.chars().rev().nth(offset).unwrap();
            insert(state, at, &letter.to_string(), by);
        } else {
            insert(state, at + offset, &letter.to_string(), by);
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    /// Words that several write at one place come one after the other, whichever way they were written.
    #[test]
    fn words_are_not_mixed(
        before in "[xy]{0,4}",
        words in proptest::collection::vec(("[a-c]{1,5}", any::<bool>()), 1..4),
        place in any::<prop::sample::Index>(),
    ) {
        let mut start = State::empty(Kind::List);
        write(&mut start, 0, &before, false, writer(9));
        let at = place.index(before.len() + 1);
        let mut all = start.clone();
        for (number, (word, is_backwards)) in words.iter().enumerate() {
            let mut mine = start.clone();
            write(&mut mine, at, word, *is_backwards, writer(number));
            all = all.join(&mine).unwrap();
        }
        let shown = text(&all);
        prop_assert!(shown.starts_with(&before[..at]) && shown.ends_with(&before[at..]));
        let middle = &shown[at..shown.len() - (before.len() - at)];
        // Some order of the words is what is there.
        let orders: [&[usize]; 6] =
            [&[0, 1, 2], &[0, 2, 1], &[1, 0, 2], &[1, 2, 0], &[2, 0, 1], &[2, 1, 0]];
        let in_order = |order: &[usize]| {
            let words = order.iter().filter_map(|number| words.get(*number));
            words.map(|(word, _)| word.as_str()).collect::<String>()
        };
        prop_assert!(orders.iter().any(|order| in_order(order) == middle), "{}", shown);
    }
}

proptest! {
    #![proptest_config(cases())]

    /// What is at hand of a list that is edited is what would be found anew.
    #[test]
    fn edits_do_the_same_to_a_list_that_was_just_read(
        edits in proptest::collection::vec((0_u8..8, any::<prop::sample::Index>(), 0_usize..3), 1..40),
    ) {
        let mut lists = [(); 2].map(|()| State::empty(Kind::List));
        for (at, (what, place, who)) in edits.iter().enumerate() {
            let shown = text(&lists[0]).len();
            let [mut list, other] = lists;
            let read = State::decode(Kind::List, &list.encode().unwrap()).unwrap();
            let op = match what {
                0..4 => Some(Op::Insert(place.index(shown + 1), vec![b'a' + at as u8 % 26])),
                4 if shown > 0 => Some(Op::RemoveAt(place.index(shown))),
                _ => None,
            };
            if let Some(op) = op {
                let mut same = read;
                same.apply(&op, writer(*who), 0).unwrap();
                list.apply(&op, writer(*who), 0).unwrap();
                prop_assert_eq!(&same, &list);
                prop_assert_eq!(text(&same), text(&list));
            } else if *what == 5 {
                list.join_from(&other).unwrap();
            }
            // Both are edited in turn.
            lists = if *what > 5 { [other, list] } else { [list, other] };
        }
    }
}

/// A node may hang below one that its writer makes only now.
#[test]
fn what_hangs_below_a_new_node_comes_with_it() {
    let mut bytes = vec![0x82, 0xf6, 0x81, 0x82, 0x48];
    bytes.extend(writer(1).0);
    // Number 1 on the right of number 2, of the same writer: "o".
    bytes.extend([0x81, 0x84, 1, 2, 0xf5, 0x41, b'o']);
    let mut list = State::decode(Kind::List, &bytes).unwrap();
    assert_eq!(text(&list), "");
    insert(&mut list, 0, "n", writer(1));
    assert_eq!(text(&list), "no");
    insert(&mut list, 2, "d", writer(1));
    assert_eq!(text(&list), "nod");
    list.apply(&Op::RemoveAt(1), writer(1), 0).unwrap();
    assert_eq!(text(&list), "nd");
}

/// The encoding of a list whose nodes hang one below the other, or of one whose nodes go round in a circle.
fn chain(count: u64, is_right: bool, is_circle: bool) -> Vec<u8> {
    let mut nodes = Vec::new();
    for seq in 1..=count {
        let parent = if seq > 1 { seq - 1 } else { count };
        let mut node = vec![0x84];
        number(&mut node, seq);
        if seq == 1 && !is_circle {
            node.extend([0xf6, 0xf5]);
        } else {
            number(&mut node, parent);
            node.push(if is_right { 0xf5 } else { 0xf4 });
        }
        node.push(0x40);
        nodes.extend(node);
    }
    let mut bytes = vec![0x82, 0xf6, 0x81, 0x82, 0x48, 0, 0, 0, 0, 0, 0, 0, 1, 0x9a];
    bytes.extend(u32::try_from(count).unwrap().to_be_bytes());
    bytes.extend(nodes);
    bytes
}

fn number(bytes: &mut Vec<u8>, number: u64) {
    match number {
        0..24 => bytes.push(u8::try_from(number).unwrap()),
        24..256 => bytes.extend([0x18, u8::try_from(number).unwrap()]),
        256..65_536 => {
            bytes.push(0x19);
            bytes.extend(u16::try_from(number).unwrap().to_be_bytes());
        }
        _ => {
            bytes.push(0x1a);
            bytes.extend(u32::try_from(number).unwrap().to_be_bytes());
        }
    }
}

#[test]
fn deep_trees_and_circles_are_gone_through() {
    for is_right in [true, false] {
        for is_circle in [true, false] {
            let bytes = chain(80_000, is_right, is_circle);
            let mut state = State::decode(Kind::List, &bytes).unwrap();
            assert_eq!(state.encode().unwrap(), bytes);
            let len = text(&state).len();
            assert_eq!(len, 0);
            insert(&mut state, 0, "x", writer(2));
            assert_eq!(text(&state), "x");
            let epoch = Epoch {
                stamp: 1,
                writer: writer(3),
            };
            assert_eq!(state.compact(epoch).unwrap().value(), state.value());
        }
    }
}

#[test]
fn a_part_is_kept_and_shown_when_the_rest_comes() {
    let mut start = State::empty(Kind::List);
    write(&mut start, 0, "ab", false, writer(1));
    let mut later = start.clone();
    write(&mut later, 2, "cd", false, writer(2));
    let part = later.delta(&start);
    assert_eq!(text(&part), "");
    assert_eq!(text(&part.join(&start).unwrap()), "abcd");
}

#[test]
fn a_long_text_is_written_at_once() {
    let insert = |index: usize| Op::Insert(index, vec![b'x']);
    let mut ops: Vec<Op> = (0..20_000).map(insert).collect();
    ops.extend((0..10_000).map(|_| insert(7)));
    ops.extend((0..5_000).map(|_| Op::RemoveAt(9)));
    let mut list = State::empty(Kind::List);
    list.apply_all(&ops, writer(1), 0).unwrap();
    assert_eq!(text(&list).len(), 25_000);
    // None of them, if one cannot be done.
    let before = list.clone();
    let done = list.apply_all(&[insert(0), Op::RemoveAt(25_001)], writer(1), 0);
    let error = OpError::OutOfBounds {
        index: 25_001,
        len: 25_001,
    };
    assert_eq!((done, list), (Err(error), before));
}
