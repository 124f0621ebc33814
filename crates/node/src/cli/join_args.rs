//! The options of commands for values that join.

use std::path::PathBuf;

use allod_crdt::Kind;
use clap::{Args, Subcommand};

/// `values`.
#[derive(Debug, Subcommand)]
pub(crate) enum ValuesCommand {
    /// Say that keys have values that join, for ever: by the owner of the space
    #[command(
        after_help = "Kinds: g-counter, pn-counter, lww-register, mv-register, 2p-set, or-set, counted-set, lww-map, list, document; \
        `allod values kinds` tells them apart.\n\nExamples:\n  allod values define 'likes:*' pn-counter\n  allod values define tags or-set\n  \
        allod values define 'note:*' document"
    )]
    Define {
        /// A key, or the beginning of keys and a `*`
        pattern: String,
        /// How their values join
        kind: Kind,
    },
    /// List which keys have values that join
    List,
    /// Tell what kinds there are
    Kinds,
    /// Show a value with its kind, its epoch and its size
    Show {
        /// The key
        key: String,
        /// As of a branch or commit
        #[arg(long, value_name = "COMMIT")]
        at: Option<String>,
    },
    /// Let the history of a value go; what others do to it meanwhile is put aside when it comes
    Compact {
        /// The key
        key: String,
    },
}

/// `counter`.
#[derive(Debug, Subcommand)]
pub(crate) enum CounterCommand {
    /// Add to a counter
    Incr {
        /// The key
        key: String,
        /// How much
        #[arg(default_value_t = 1)]
        by: u64,
    },
    /// Take from a counter
    Decr {
        /// The key
        key: String,
        /// How much
        #[arg(default_value_t = 1)]
        by: u64,
    },
    /// Print a counter
    Show(ShowValue),
}

/// `set`.
#[derive(Debug, Subcommand)]
pub(crate) enum SetCommand {
    /// Add elements
    Add(Elements),
    /// Remove elements
    Rm(Elements),
    /// Add to the count of an element of a counted set, or take from it
    #[command(allow_negative_numbers = true)]
    Count {
        /// The key
        key: String,
        /// The element
        element: String,
        /// How much
        by: i64,
    },
    /// Print a set
    Show(ShowValue),
}

/// Elements of a set.
#[derive(Debug, Args)]
pub(crate) struct Elements {
    /// The key
    pub(crate) key: String,
    /// The elements
    #[arg(required = true)]
    pub(crate) elements: Vec<String>,
}

/// A key whose value is printed.
#[derive(Debug, Args)]
pub(crate) struct ShowValue {
    /// The key
    pub(crate) key: String,
    /// As of a branch or commit
    #[arg(long, value_name = "COMMIT")]
    pub(crate) at: Option<String>,
}

/// `register`.
#[derive(Debug, Subcommand)]
pub(crate) enum RegisterCommand {
    /// Give a register its value
    Set {
        /// The key
        key: String,
        /// The value
        value: String,
    },
    /// Print a register: its value, or all that were written at the same time
    Show(ShowValue),
}

/// `map`.
#[derive(Debug, Subcommand)]
pub(crate) enum MapCommand {
    /// Give a field its value
    Put {
        /// The key
        key: String,
        /// The field
        field: String,
        /// The value
        value: String,
    },
    /// Remove a field
    Rm {
        /// The key
        key: String,
        /// The field
        field: String,
    },
    /// Print a map
    Show(ShowValue),
}

/// `list`.
#[derive(Debug, Subcommand)]
pub(crate) enum ListCommand {
    /// Insert values behind the last one, or before another
    Insert {
        /// The key
        key: String,
        /// The values
        #[arg(required = true)]
        values: Vec<String>,
        /// Before the value with this index, from 0
        #[arg(long, value_name = "INDEX")]
        at: Option<usize>,
    },
    /// Remove a value
    Rm {
        /// The key
        key: String,
        /// Its index, from 0
        index: usize,
    },
    /// Print a list
    Show(ShowValue),
}

/// `doc`.
#[derive(Debug, Subcommand)]
pub(crate) enum DocCommand {
    /// Edit a document
    #[command(
        after_help = "A path is a JSON Pointer, as /notes/0/title. What is no JSON is a text. Edits are made in this order: removals, values, insertions, text.\n\nExamples:\n  \
        allod doc edit note:1 --set /title=Groceries --set '/items=[]'\n  allod doc edit note:1 --insert /items/-=milk\n  \
        allod doc edit note:1 --text /title@9=' for Sunday'\n  allod doc edit note:1 --replace note.json"
    )]
    Edit(EditDocument),
    /// Print a document
    Show(ShowValue),
    /// Tell who changed a document, when, and what for
    History {
        /// The key
        key: String,
    },
}

/// `doc edit`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct EditDocument {
    /// The key
    pub(crate) key: String,
    /// Remove what is at a path
    #[arg(long, value_name = "PATH", group = "what")]
    pub(crate) rm: Vec<String>,
    /// Give a path another value
    #[arg(long, value_name = "PATH=VALUE", group = "what")]
    pub(crate) set: Vec<String>,
    /// Insert an element into a list before the one at a path; `-` is behind the last
    #[arg(long, value_name = "PATH=VALUE", group = "what")]
    pub(crate) insert: Vec<String>,
    /// Insert characters into a text, in place of so many
    #[arg(long, value_name = "PATH@AT[-COUNT]=TEXT", group = "what")]
    pub(crate) text: Vec<String>,
    /// Make the document say what is in a file of JSON, or in standard input if it is `-`, with as few edits as can be
    #[arg(long, value_name = "FILE", group = "what", conflicts_with_all = ["rm", "set", "insert", "text"])]
    pub(crate) replace: Option<PathBuf>,
    /// What the history says of it
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
}
