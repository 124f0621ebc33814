//! Arbitrary bytes as a node: what is accepted can be read everywhere and is bounded.

#![no_main]

use allod_tree::{KEY_BYTES_MAX, NODE_BYTES_MAX, Node, VALUE_BYTES_MAX};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(node) = Node::decode(data) else {
        return;
    };
    assert!(data.len() <= NODE_BYTES_MAX);
    let mut before = None;
    let mut total = 0;
    for index in 0..node.len() {
        let key = node.key(index).unwrap();
        assert!(key.len() <= KEY_BYTES_MAX);
        assert!(before.is_none_or(|before| before < key));
        before = Some(key);
        assert!(
            node.value(index)
                .is_none_or(|value| value.len() <= VALUE_BYTES_MAX)
        );
        assert_eq!(node.link(index).is_some(), !node.is_leaf());
        total += node.count(index).unwrap();
    }
    assert_eq!(total, node.total());
    for last_of_level in [true, false] {
        // Either answer is fine; neither may panic.
        node.check_end(last_of_level).ok();
    }
});
