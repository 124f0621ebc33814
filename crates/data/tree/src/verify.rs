//! Checking a whole tree, and counting it.

use allod_blocks::Block;

use crate::error::{LinkFault, TreeError};
use crate::loaded::{Loaded, check_child};
use crate::node::{Node, node_cid};
use crate::tree::Tree;

/// Figures about a tree.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TreeStats {
    /// How many nodes a path from the root to a leaf has.
    pub depth: u32,
    /// How many nodes there are, leaves included.
    pub nodes: u64,
    /// How many leaves there are.
    pub leaves: u64,
    /// How many entries there are.
    pub entries: u64,
    /// How many bytes the blocks of all nodes have.
    pub bytes: u64,
}

impl Tree {
    /// Reads every node and counts.
    pub fn stats(&self) -> Result<TreeStats, TreeError> {
        self.traverse(false)
    }

    /// Reads every node and checks every rule: its name, its encoding, what its parent says of it
    /// (TREE-16), and that it ends where it must (TREE-5).
    pub fn verify(&self) -> Result<TreeStats, TreeError> {
        self.traverse(true)
    }

    fn traverse(&self, check: bool) -> Result<TreeStats, TreeError> {
        let mut stats = TreeStats {
            depth: self.depth(),
            ..TreeStats::default()
        };
        let root = self.loaded_root();
        if !root.node.is_leaf() && root.node.len() == 1 {
            return Err(TreeError::Link {
                cid: self.root(),
                fault: LinkFault::LoneChild,
            });
        }
        if check {
            self.check_node(&root.node, self.root(), true)?;
        }
        self.visit(&root, check, true, None, &mut stats)?;
        Ok(stats)
    }

    /// Counts a node and those below it. Calls itself once per level (TREE-9).
    fn visit(
        &self,
        node: &Loaded,
        check: bool,
        last: bool,
        floor: Option<&[u8]>,
        stats: &mut TreeStats,
    ) -> Result<(), TreeError> {
        stats.nodes += 1;
        stats.bytes += node.node.bytes().len() as u64;
        if node.node.is_leaf() {
            stats.leaves += 1;
            stats.entries += node.node.len() as u64;
            return Ok(());
        }
        let mut before = floor.map(<[u8]>::to_vec);
        for index in 0..node.node.len() {
            let child = self.child_once(node, index)?;
            let last = last && index + 1 == node.node.len();
            if check {
                let cid = node_cid(node.node.digest(index));
                self.check_node(&child.node, cid, last)?;
                check_child(&node.node, index, before.as_deref(), &child.node)
                    .map_err(|fault| TreeError::Link { cid, fault })?;
            }
            self.visit(&child, check, last, before.as_deref(), stats)?;
            node.node
                .key_ref(index)
                .write(before.get_or_insert_default());
        }
        Ok(())
    }

    fn check_node(&self, node: &Node, cid: cid::Cid, last: bool) -> Result<(), TreeError> {
        Block::verify(cid, node.to_bytes())
            .map_err(|_error| allod_blocks::StoreError::corrupt_block(&cid))?;
        Node::decode(node.bytes())
            .and_then(|node| node.check_end_with(self.chunking(), last))
            .map_err(|fault| TreeError::Node { cid, fault })
    }
}
