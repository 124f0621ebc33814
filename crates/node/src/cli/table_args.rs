//! What can be said about tables of outside data.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct TableArgs {
    #[command(subcommand)]
    pub(crate) command: Option<TableCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// Register a file, an answer of a server or a table of another space as a table of SQL
    #[command(
        after_help = "Examples:\n  allod table add prices --csv prices.csv\n  \
        allod table add prices --csv prices.tsv --delimiter tab --column sku:text\n  \
        allod table add pairs --csv pairs.csv --no-header --column left --column right:integer\n  \
        allod table add events --json-file events.ndjson\n  \
        allod table add rates --url https://example.org/rates.json --at /data/rates\n  \
        allod table add people --from-space contacts --type person\n  \
        allod sql 'SELECT * FROM orders JOIN prices USING (sku)'\n\n\
        All of it is read once, to find the columns: boolean, integer, number or text, or json for what is none of these.\n\
        Statements read it anew. What does not fit its column any more is an error; `allod table refresh` finds columns anew.\n\
        The table is known to this node alone, and cannot be written."
    )]
    Add(AddTable),
    /// List the tables of outside data
    List,
    /// Show where a table comes from, and its columns
    Show {
        /// Its name
        name: String,
    },
    /// Find the columns of a table anew
    Refresh {
        /// Its name
        name: String,
    },
    /// Take a table away; what it is of stays as it is
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
#[command(group(
    ArgGroup::new("where")
        .args(["csv", "json_file", "url", "parquet", "from_space"])
        .required(true)
))]
pub(crate) struct AddTable {
    /// What statements call it
    pub(crate) name: String,
    /// A file of CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// A file of JSON: an array of objects, or NDJSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json_file: Option<PathBuf>,
    /// An address whose answer is JSON, as in a file; asked once by each command that reads it
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// A Parquet file (in builds with the feature arrow)
    #[arg(long, value_name = "FILE")]
    pub(crate) parquet: Option<PathBuf>,
    /// Another space of this home, as it is in its branch main
    #[arg(long, value_name = "SPACE", requires = "table_type")]
    pub(crate) from_space: Option<String>,
    /// A type or projection of the other space
    #[arg(
        long = "type",
        id = "table_type",
        value_name = "TYPE",
        requires = "from_space"
    )]
    pub(crate) kind: Option<String>,
    /// A column and what its values are: boolean, integer, number, real, text or json
    #[arg(long, value_name = "NAME[:KIND]")]
    pub(crate) column: Vec<String>,
    /// What is between fields of CSV: a character, or the word tab
    #[arg(long, value_name = "CHAR", default_value = ",", value_parser = delimiter)]
    pub(crate) delimiter: char,
    /// The first record of CSV is a row: columns are c1, c2 and so on, or as --column says in their order
    #[arg(long)]
    pub(crate) no_header: bool,
    /// Where in the document the rows are, as a JSON pointer
    #[arg(long, value_name = "POINTER")]
    pub(crate) at: Option<String>,
}

fn delimiter(text: &str) -> Result<char, String> {
    let mut chars = text.chars();
    match (text, chars.next(), chars.next()) {
        ("tab" | "\\t", ..) => Ok('\t'),
        (_, Some(one), None) if one.is_ascii() && !"\"\r\n".contains(one) => Ok(one),
        _ => Err("an ASCII character that is no quote, or the word tab".to_owned()),
    }
}
