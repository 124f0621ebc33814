//! Some of the keys of a map, as spans between two keys.

use bytes::Bytes;

use crate::node::Node;
use crate::prefix_end;

/// Keys, as spans that ascend and do not touch: of each the first key, and the key behind its last one if
/// there is one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeySpans {
    spans: Vec<(Bytes, Option<Bytes>)>,
}

impl KeySpans {
    /// The keys that begin with one of `prefixes`.
    #[must_use]
    pub fn of_prefixes<P: AsRef<[u8]>>(prefixes: impl IntoIterator<Item = P>) -> Self {
        let mut prefixes: Vec<P> = prefixes.into_iter().collect();
        prefixes.sort_by(|one, other| one.as_ref().cmp(other.as_ref()));
        let mut spans: Vec<(Bytes, Option<Bytes>)> = Vec::new();
        for prefix in prefixes {
            let prefix = prefix.as_ref();
            let end = prefix_end(prefix).map(Bytes::from);
            match spans.last_mut() {
                // One that begins with one before adds nothing.
                Some((_, last)) if last.as_deref().is_none_or(|last| prefix < last) => {}
                Some((_, last)) if last.as_deref() == Some(prefix) => *last = end,
                _ => spans.push((Bytes::copy_from_slice(prefix), end)),
            }
        }
        Self { spans }
    }

    /// The spans: the first key of each, and the key behind its last.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, Option<&Bytes>)> {
        self.spans.iter().map(|(from, to)| (from, to.as_ref()))
    }

    /// Whether `key` is one of them.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        let span = self.last_from(key);
        span.is_some_and(|(_, end)| end.as_deref().is_none_or(|end| key < end))
    }

    /// Whether a node may have some of them: one whose last key is `last`, behind the key `floor`. Then no
    /// other node of its level has the place where the first or the last of them would be.
    #[must_use]
    pub fn meets(&self, floor: Option<&[u8]>, last: &[u8]) -> bool {
        match (floor, self.last_from(last)) {
            (_, None) => false,
            (Some(floor), Some((_, Some(end)))) => floor < &end[..],
            _ => true,
        }
    }

    /// The children of an inner node, behind the key `floor`, that may have some of them, and those right
    /// beside (`true`), on the way to the node that an edit of the last of them may need: of a node that
    /// is itself `beside` the first child.
    #[must_use]
    pub fn children(&self, node: &Node, floor: Option<&[u8]>, beside: bool) -> Vec<(usize, bool)> {
        if beside {
            return vec![(0, true)];
        }
        let mut children = Vec::new();
        let mut floor = floor.map(Bytes::copy_from_slice);
        let mut met = false;
        for index in 0..node.len() {
            let last = node.key_ref(index).to_bytes();
            let meets = self.meets(floor.as_deref(), &last);
            if meets || met {
                children.push((index, !meets));
            }
            met = meets;
            floor = Some(last);
        }
        children
    }

    /// Whether some of them come after `key`.
    #[must_use]
    pub fn go_beyond(&self, key: &[u8]) -> bool {
        let last = self.spans.last();
        last.is_some_and(|(_, end)| end.as_ref().is_none_or(|end| &end[..] > key))
    }

    /// The last span that begins at `key` or before.
    fn last_from(&self, key: &[u8]) -> Option<&(Bytes, Option<Bytes>)> {
        let count = self.spans.partition_point(|(from, _)| from <= key);
        self.spans.get(count.checked_sub(1)?)
    }
}
