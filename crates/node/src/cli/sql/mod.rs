//! `sql`: statements over the tables of a space.
//!
//! ```text
//! argument, standard input, or shell --Script--> one statement --run--> rows --Sink--> output
//! ```

mod axis;
mod columns;
mod command;
mod complete;
mod csv;
mod describe;
mod fault;
mod format;
mod gather;
mod params;
mod plan;
mod plot;
mod plot_svg;
mod run;
mod script;
pub(crate) mod shell;
mod split;
mod table;
mod watch;

use allod::one_commit;
use std::io::{IsTerminal as _, stdin};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use allod::{Node, NodeCatalog};
use allod_repo::{CommitId, Repo};
use allod_sql::{Limits, Scalar, Session, SqlError};
use allod_tables::Own;
use anyhow::Result;

use self::fault::told;
use self::format::Sink;
use self::gather::Gather;
use self::script::{Piece, Script};
use crate::cli::Usage;
use crate::cli::io::{Io, count};
use crate::cli::space::say_part;
use crate::cli::sql_args::{RowFormat, SqlArgs};

/// Whether somebody at a terminal wants to say statements one by one.
pub(crate) fn wants_shell(options: &SqlArgs) -> bool {
    let is_told = options.statement.is_some() || options.tables || options.describe.is_some();
    !is_told && stdin().is_terminal()
}

pub(crate) fn sql(
    node: &Node,
    space: Option<&str>,
    options: &SqlArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    check_output(options)?;
    let repo = node.space(space)?;
    let own = own(node, &repo, options.at.as_deref())?;
    if options.tables {
        return describe::tables(&catalog(node, &repo, &own)?, io);
    }
    if let Some(name) = &options.describe {
        return describe::columns(&catalog(node, &repo, &own)?, name, io);
    }
    let params: Vec<Scalar> = options
        .params
        .iter()
        .map(|text| params::value(text))
        .collect();
    say_part(&repo, None, io)?;
    if options.changes.watch {
        return watch::watch(node, &repo, (options, params), io);
    }
    let limits = limits(options);
    let mut script = match options.statement.as_deref() {
        None | Some("-") => Script::of_input(limits.sql_bytes as usize),
        Some(text) => Script::of_text(text, limits.sql_bytes as usize),
    };
    let mut answers = Answers {
        options,
        params,
        branch: match &own {
            Own::Working(branch) => branch.to_string(),
            Own::Commit(id) => id.short(),
            Own::Commits(heads) => heads.first().map_or_else(String::new, CommitId::short),
        },
        number: 0,
    };
    let mut session = None;
    while let Some(piece) = script.next(io.input, io.json)? {
        let mut open = match session.take() {
            Some(open) => open,
            None => begin(node, &repo, &own, &limits)?,
        };
        let has_written = answers.answer(&mut open, &piece, io)?;
        if has_written {
            // What follows sees what was staged.
            node.touch();
        } else {
            session = Some(open);
        }
    }
    match (answers.number, &options.statement) {
        (0, Some(text)) if text != "-" => Err(Usage("there is no statement".to_owned()).into()),
        _ => Ok(()),
    }
}

/// Refuses a file without a place, and a place for what is no file.
fn check_output(options: &SqlArgs) -> Result<()> {
    let is_file = options.format.is_some_and(RowFormat::is_file);
    let wrong = match (is_file, &options.output) {
        (true, None) => "Arrow and Parquet are files: --output says where",
        (false, Some(_)) => "--output is for --format arrow and parquet; others are printed",
        (true, Some(_)) if options.explain => "a plan is printed, as text or JSON",
        _ => return Ok(()),
    };
    Err(Usage(wrong.to_owned()).into())
}

/// The state that names without a clause mean.
fn own(node: &Node, repo: &Repo, at: Option<&str>) -> Result<Own> {
    Ok(match at {
        None => node.position(repo)?.into(),
        Some(at) => match at.parse() {
            Ok(branch) if !repo.heads(&branch)?.is_empty() => Own::Working(branch),
            _ => Own::Commit(one_commit(repo, at)?),
        },
    })
}

fn catalog(node: &Node, repo: &Repo, own: &Own) -> Result<NodeCatalog> {
    Ok(node.catalog(repo, own.clone())?)
}

fn begin(node: &Node, repo: &Repo, own: &Own, limits: &Limits) -> Result<Session> {
    let catalog = Arc::new(catalog(node, repo, own)?);
    let started = Instant::now();
    let clock = move || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Session::new(catalog, limits.clone(), clock)?)
}

fn limits(options: &SqlArgs) -> Limits {
    let mut limits = Limits::default();
    if let Some(time_ms) = options.timeout {
        limits.time_ms = time_ms;
    }
    if let Some(rows) = options.max_rows {
        limits.rows = rows;
    }
    limits
}

/// What statements give, printed as it was asked for.
struct Answers<'a> {
    options: &'a SqlArgs,
    params: Vec<Scalar>,
    /// What is written to.
    branch: String,
    /// How many statements were begun.
    number: usize,
}

impl Answers<'_> {
    /// Runs a statement and prints what it gives. Returns whether it may have written something.
    fn answer(&mut self, session: &mut Session, piece: &Piece, io: &mut Io<'_>) -> Result<bool> {
        self.number += 1;
        let json = io.json;
        let fault = |error: SqlError| told(&error, piece, json);
        let started = Instant::now();
        let format = match self.options.format {
            Some(format) => format,
            None if io.json => RowFormat::Ndjson,
            None => RowFormat::Table,
        };
        if let Some(offset) = plan::offset(&piece.sql, self.options.explain) {
            let rows = plan::read(session, &piece.sql, offset).map_err(fault)?;
            plan::print(&rows, format, io)?;
            return Ok(false);
        }
        if let Some(kind) = self.options.plot {
            if self.number > 1 {
                return Err(Usage("a plot is of one statement".to_owned()).into());
            }
            let mut rows = Gather::default();
            let done = run::run(session, (&piece.sql, &self.params), &mut rows, io)?;
            done.map_err(fault)?;
            let data = rows.data()?;
            match &self.options.svg {
                Some(file) => {
                    let title = piece.sql.trim().trim_end_matches(';');
                    plot_svg::write(&data, kind, title, file, io)?;
                }
                None => {
                    let picture = plot::draw(&data, kind, io.columns);
                    io.out.write_all(picture.as_bytes())?;
                }
            }
            return Ok(false);
        }
        let mut sink: Box<dyn Sink> = match format {
            RowFormat::Table => Box::new(table::Table::new(self.number > 1)),
            RowFormat::Json => Box::new(format::Json::array()),
            RowFormat::Ndjson => Box::new(format::Json::lines()),
            RowFormat::Csv => Box::new(csv::Csv::new()),
            RowFormat::Arrow | RowFormat::Parquet => {
                if self.number > 1 {
                    return Err(Usage("a file is of one statement".to_owned()).into());
                }
                let output = self
                    .options
                    .output
                    .as_deref()
                    .unwrap_or_else(|| Path::new(""));
                columns::sink(format, &io.path(output))?
            }
        };
        let done = run::run(session, (&piece.sql, &self.params), sink.as_mut(), io)?;
        let done = done.map_err(fault)?;
        let time = if self.options.timing {
            format!(" in {:.3} s", started.elapsed().as_secs_f64())
        } else {
            String::new()
        };
        if done.has_columns {
            io.say(format!("{}{time}", rows(done.rows)))?;
        } else {
            if matches!(format, RowFormat::Json | RowFormat::Ndjson) {
                io.line(format!("{{\"written\":{}}}", done.written))?;
            }
            let (written, branch) = (rows(done.written), &self.branch);
            io.say(format!("{written} written, staged on {branch}{time}"))?;
        }
        Ok(!done.is_read_only)
    }
}

/// A number of rows, in words.
fn rows(number: u64) -> String {
    match number {
        1 => "1 row".to_owned(),
        _ => format!("{} rows", count(number)),
    }
}
