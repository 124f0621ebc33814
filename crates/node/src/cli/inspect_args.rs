//! What can be said about what things are made of.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum InspectCommand {
    /// Parents, tree, message, author and time
    Commit {
        /// The commit, or enough of its id, or a branch
        commit: String,
    },
    /// Depth, nodes, leaves, entries and bytes
    Tree {
        /// The root of the tree, or a commit or branch that has it
        tree: String,
        /// Draw it into a file, as SVG; - for standard output
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        svg: Option<PathBuf>,
        /// Show which nodes another tree has too
        #[arg(long, value_name = "TREE", requires = "svg")]
        beside: Option<String>,
    },
    /// Definition, root, depth, nodes and entries of a projection; compute it if it is not kept
    Projection {
        /// Its name
        name: String,
        /// As of a branch or commit
        #[arg(long, value_name = "COMMIT")]
        at: Option<String>,
    },
    /// Kind, sizes and links
    Block {
        /// The block
        cid: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Without what takes reading every block: their number, sizes and compression
    #[arg(long)]
    pub(crate) fast: bool,
}
