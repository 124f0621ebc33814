//! A tree as a picture: `inspect tree --svg`.
//!
//! Each node is a box as wide as its share of the entries, its children below it. What is too
//! narrow to be seen is drawn together and not read, so a tree of any size is a picture of one size.

use std::ops::Range;

use allod_blocks::Cid;
use allod_tree::Node;
use anyhow::{Context as _, Result};

use crate::cli::io::{count, size};
use crate::cli::keys::key_text;
use crate::cli::svg::{escape, open};

/// Pixels of the root.
const WIDTH: usize = 1200;

/// Pixels of a level.
const LEVEL: usize = 36;

/// Pixels around the picture.
const EDGE: usize = 20;

/// Pixels for the words above and below it.
const WORDS: usize = 26;

/// Nodes narrower than this, in pixels, are drawn together.
const NARROW: f64 = 3.0;

/// Nodes narrower than this have no room for words.
const WORDY: f64 = 60.0;

/// Pixels that a character takes, about.
const CHAR: f64 = 7.0;

const STYLE: &str = "<style>\
    .own{fill:#f5b26b;stroke:#b35c00}.same{fill:#b9d3ea;stroke:#4a7fae}.many{fill:#d0d7de}\
    .key{font-size:11px}\
    @media (prefers-color-scheme:dark){.own{fill:#8a4b08;stroke:#e39a4d}\
    .same{fill:#1d3f5e;stroke:#6fa3cf}.many{fill:#30363d}}\
    </style>\n";

/// Reads a node.
pub(crate) type Load<'a> = &'a dyn Fn(&Cid) -> Result<Node>;

/// What is drawn, and how far it came.
struct Picture<'a> {
    load: Load<'a>,
    /// The root of the tree that this one is compared with.
    beside: Option<Cid>,
    svg: String,
    top: u8,
}

/// Nodes next to each other that are drawn together.
#[derive(Default)]
struct Narrow {
    nodes: u64,
    own: bool,
    span: Range<f64>,
}

/// Draws the tree of a root. With the root of another tree, nodes that both have look alike, and
/// those that this one has of its own stand out.
pub(crate) fn tree(root: &Cid, beside: Option<&Cid>, load: Load<'_>) -> Result<String> {
    let node = load(root)?;
    let top = node.level();
    let height = 2 * (EDGE + WORDS) + (usize::from(top) + 1) * LEVEL;
    let mut picture = Picture {
        load,
        beside: beside.copied(),
        svg: open((WIDTH + 2 * EDGE, height), "A tree"),
        top,
    };
    picture.svg += STYLE;
    let words = format!(
        "{} entries on {} levels, root {root}",
        count(node.total()),
        u32::from(top) + 1
    );
    picture.words(EDGE + WORDS / 2, &words);
    if beside.is_some() {
        let words = "blue: nodes that the other tree has too; orange: of this tree alone";
        picture.words(height - EDGE, words);
    }
    let span = EDGE as f64..(EDGE + WIDTH) as f64;
    let own = beside != Some(root);
    picture.node(root, &node, own, span)?;
    Ok(picture.svg + "</svg>\n")
}

impl Picture<'_> {
    fn words(&mut self, y: usize, text: &str) {
        self.svg += &format!("<text x=\"{EDGE}\" y=\"{y}\">{}</text>\n", escape(text));
    }

    fn node(&mut self, cid: &Cid, node: &Node, own: bool, span: Range<f64>) -> Result<()> {
        let last = node.len().checked_sub(1).and_then(|last| node.key(last));
        let (first, last) = (node.key(0).unwrap_or_default(), last.unwrap_or_default());
        let hint = format!(
            "{} of {}, {}\nfrom {}\nto {}\n{cid}",
            if node.is_leaf() { "leaf" } else { "inner node" },
            count(node.total()),
            size(node.bytes().len() as u64),
            key_text(&first),
            key_text(&last)
        );
        self.boxed(if own { "own" } else { "same" }, node.level(), &span, &hint);
        if span.end - span.start >= WORDY {
            #[expect(clippy::cast_sign_loss, reason = "there is room for some")]
            let room = ((span.end - span.start - 8.0) / CHAR) as usize;
            let key: String = key_text(&first).chars().take(room).collect();
            let (x, y) = (span.start + 4.0, self.y(node.level()) + LEVEL / 2 + 3);
            self.svg += &format!(
                "<text class=\"key\" x=\"{x:.1}\" y=\"{y}\">{}</text>\n",
                escape(&key)
            );
        }
        self.children(node, own, &span)
    }

    /// The children of a node; those next to each other that are too narrow are one box.
    fn children(&mut self, node: &Node, own: bool, span: &Range<f64>) -> Result<()> {
        let share = (span.end - span.start) / node.total().max(1) as f64;
        let mut from = span.start;
        let mut narrow = Narrow::default();
        for index in 0..node.len() {
            let (Some(link), Some(entries)) = (node.link(index), node.count(index)) else {
                return Ok(());
            };
            let level = node.level() - 1;
            // What is below a node that both have, both have.
            let own = own && !self.is_beside(&link, level, node.key(index).as_deref())?;
            let to = from + entries as f64 * share;
            if to - from >= NARROW {
                self.many(level, std::mem::take(&mut narrow));
                let child = (self.load)(&link)?;
                self.node(&link, &child, own, from..to)?;
            } else if narrow.nodes > 0 && narrow.own == own {
                narrow.nodes += 1;
                narrow.span.end = to;
            } else {
                let next = Narrow {
                    nodes: 1,
                    own,
                    span: from..to,
                };
                self.many(level, std::mem::replace(&mut narrow, next));
            }
            from = to;
        }
        if let Some(level) = node.level().checked_sub(1) {
            self.many(level, narrow);
        }
        Ok(())
    }

    /// Nodes of a level that are drawn together, with all that is below them.
    fn many(&mut self, level: u8, narrow: Narrow) {
        if narrow.nodes > 0 {
            let hint = format!("{} nodes and what is below them", count(narrow.nodes));
            let class = if narrow.own && self.beside.is_some() {
                "own"
            } else {
                "many"
            };
            self.boxed(class, level, &narrow.span, &hint);
        }
    }

    fn boxed(&mut self, class: &str, level: u8, span: &Range<f64>, hint: &str) {
        let (y, width) = (self.y(level), span.end - span.start);
        let height = LEVEL - 4;
        self.svg += &format!(
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\">\
             <title>{}</title></rect>\n",
            span.start,
            escape(hint)
        );
    }

    fn y(&self, level: u8) -> usize {
        EDGE + WORDS + usize::from(self.top.saturating_sub(level)) * LEVEL
    }

    /// Whether the other tree has a node: then it is on the way to the node's last key there.
    fn is_beside(&self, cid: &Cid, level: u8, last: Option<&[u8]>) -> Result<bool> {
        let Some(mut at) = self.beside else {
            return Ok(false);
        };
        while at != *cid {
            let there = (self.load)(&at)?;
            if there.level() <= level {
                return Ok(false);
            }
            let next = (0..there.len()).find(|index| there.key(*index).as_deref() >= last);
            let Some(index) = next else { return Ok(false) };
            at = there.link(index).context("an inner node without links")?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use allod_blocks::Block;
    use allod_tree::Tree;

    use super::*;

    fn load(blocks: &BTreeMap<Cid, Block>) -> impl Fn(&Cid) -> Result<Node> {
        |cid| {
            let block = blocks.get(cid).context("no block")?;
            Ok(Node::decode(block.bytes())?)
        }
    }

    #[test]
    fn a_changed_key_shows_as_one_path() {
        let mut blocks = BTreeMap::new();
        let mut out = |block: Block| drop(blocks.insert(*block.cid(), block));
        let pairs = (0..20_000u32).map(|n| (n.to_be_bytes(), [0; 20]));
        let before = Tree::build(pairs, &mut out).unwrap();
        let change = [(7_000u32.to_be_bytes(), Some([1; 20]))];
        let after = before.edit(change, &mut out).unwrap();
        let svg = tree(&after.root(), Some(&before.root()), &load(&blocks)).unwrap();
        let depth = after.stats().unwrap().depth as usize;
        assert_eq!(svg.matches("class=\"own\"").count(), depth);
        assert!(svg.matches("class=\"same\"").count() > 50);
        let alone = tree(&after.root(), None, &load(&blocks)).unwrap();
        assert!(!alone.contains("class=\"same\""));
    }

    #[test]
    fn a_large_tree_is_read_in_part() {
        let mut blocks = BTreeMap::new();
        let mut out = |block: Block| drop(blocks.insert(*block.cid(), block));
        let pairs = (0..100_000u32).map(|n| (n.to_be_bytes(), [0; 60]));
        let large = Tree::build(pairs, &mut out).unwrap();
        assert!(blocks.len() > 1500);
        let svg = tree(&large.root(), None, &load(&blocks)).unwrap();
        assert!(svg.contains("nodes and what is below them"));
        assert!(svg.matches("<rect").count() < 1500);
        assert!(
            tree(&Tree::empty().root(), None, &|_| Node::decode(&[
                0x88, 1, 0, 0, 0x40, 0, 0x40, 0, 0x40
            ])
            .map_err(Into::into))
            .unwrap()
            .contains("0 entries on 1 levels")
        );
    }
}
