//! What can be said about SQL.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod sql \"SELECT role, count(*) FROM user GROUP BY role\"\n  \
    allod sql \"SELECT * FROM user WHERE age > ? AND role = ?\" --param 30 --param admin\n  \
    allod sql \"SELECT u.name, old.name FROM user u JOIN user AS OF 'v1' old USING (_key) WHERE u.name <> old.name\"\n  \
    allod sql \"DIFF 'v1' 'main' ON user\" --format csv > changes.csv\n  \
    allod sql \"SELECT * FROM user\" --format parquet --output users.parquet\n  \
    allod sql \"SELECT day, total FROM sales\" --plot line --svg sales.svg\n  \
    allod sql --watch \"SELECT role, count(*) AS n FROM user GROUP BY role\" --key role --json\n  \
    allod sql < statements.sql\n  \
    allod sql\n\n\
    Without a statement standard input is read, and on a terminal a shell starts: \\? helps there.\n\
    What a statement writes is staged; `allod commit` records it.\n\n\
    A value of --param is null, a number, or else a text; one in single quotes is always a text.\n\n\
    A watch with --json prints an object a line: the first says where it begins, unless it is to end; then added,\n\
    removed and modified rows, and behind those of a commit one with end, whose heads are where --from goes on."
)]
pub(crate) struct SqlArgs {
    /// The statement, or several with a semicolon behind each; `-` reads standard input
    #[arg(conflicts_with_all = ["tables", "describe"])]
    pub(crate) statement: Option<String>,
    /// How rows are printed [default: table]
    #[arg(long, value_enum, conflicts_with = "json")]
    pub(crate) format: Option<RowFormat>,
    /// Where an Arrow or Parquet file is written; it is there when all of it is
    #[arg(long, short = 'o', value_name = "FILE", requires = "format")]
    pub(crate) output: Option<PathBuf>,
    /// The value of the next parameter of the statement
    #[arg(
        long = "param",
        value_name = "VALUE",
        requires = "statement",
        allow_hyphen_values = true
    )]
    pub(crate) params: Vec<String>,
    /// As if the space stood at this branch or commit
    #[arg(long, value_name = "COMMIT")]
    pub(crate) at: Option<String>,
    /// Give up after so many seconds [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = milliseconds)]
    pub(crate) timeout: Option<u64>,
    /// Fail behind so many rows [default: 1000000; of a watch, 100000]
    #[arg(long, value_name = "N")]
    pub(crate) max_rows: Option<u64>,
    /// Show how tables would be read, and run nothing
    #[arg(long)]
    pub(crate) explain: bool,
    /// Draw the rows: the first column is x, the numbers behind it are what is drawn
    #[arg(long, value_enum, value_name = "KIND", conflicts_with_all = ["json", "format", "explain"])]
    pub(crate) plot: Option<PlotKind>,
    /// Draw into a file, as SVG; - for standard output
    #[arg(long, value_name = "FILE", requires = "plot")]
    pub(crate) svg: Option<PathBuf>,
    /// Say how long each statement took
    #[arg(long)]
    pub(crate) timing: bool,
    #[command(flatten)]
    pub(crate) changes: ChangesArgs,
    /// List the tables and their columns
    #[arg(long)]
    pub(crate) tables: bool,
    /// List the columns of a table
    #[arg(long, value_name = "TABLE", conflicts_with = "tables")]
    pub(crate) describe: Option<String>,
}

/// Of a statement that is watched.
#[derive(Debug, Args)]
pub(crate) struct ChangesArgs {
    /// Print what changes in the result: rows that come, go and change, with each commit and switch
    #[arg(long, requires = "statement", conflicts_with_all = ["format", "explain", "plot", "timing", "at", "tables", "describe"])]
    pub(crate) watch: bool,
    /// First what changed since this commit; several times for several heads together
    #[arg(long, value_name = "COMMIT", requires = "watch")]
    pub(crate) from: Vec<String>,
    /// The column by which a row is known when it changes [default: _key, if the result has it]
    #[arg(long, value_name = "COLUMN", requires = "watch")]
    pub(crate) key: Option<String>,
    /// Only what changed until now
    #[arg(long, requires = "from")]
    pub(crate) once: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum RowFormat {
    /// Columns for people
    Table,
    /// An array of objects
    Json,
    /// An object a line
    Ndjson,
    /// RFC 4180, with the names of the columns first
    Csv,
    /// An Arrow file, into --output (in builds with the feature arrow)
    Arrow,
    /// A Parquet file, into --output (in builds with the feature arrow)
    Parquet,
}

impl RowFormat {
    /// Whether it is a file, and no text that is printed.
    pub(crate) const fn is_file(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum PlotKind {
    /// A bar for each number
    Bar,
    /// Points, and lines from each to the next
    Line,
    /// Points
    Scatter,
}

/// The word by which one of several is chosen.
pub(crate) fn word(choice: impl ValueEnum) -> String {
    let value = choice.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Seconds as milliseconds.
fn milliseconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    let time =
        std::time::Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    match u64::try_from(time.as_millis()) {
        Ok(millis @ 1..) => Ok(millis),
        _ => Err("at least 0.001, at most 500 million years".to_owned()),
    }
}
