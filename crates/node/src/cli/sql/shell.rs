//! The shell: statements one by one, at a terminal.
//!
//! Each statement is a command of its own, so that the home is free between them, a running node answers if
//! there is one, and Ctrl-C ends what runs and nothing else.

use std::borrow::Cow;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Usage;
use crate::cli::args::Cli;
use crate::cli::io::Io;
use crate::cli::sql::command::{self, HELP, Plot, Said};
use crate::cli::sql::complete::Words;
use crate::cli::sql_args::{RowFormat, SqlArgs, word};

const PROMPT: &str = "allod> ";

/// The file of the home in which the shell keeps what was said.
const HISTORY: &str = "sql_history";

/// What is kept of what was said: more than anybody looks through.
const HISTORY_MAX: usize = 2000;

/// The number of the signal that Ctrl-C sends, by POSIX.
const SIGINT: i32 = 2;

/// What the line editor asks about what is typed.
struct Typing {
    words: Words,
}

impl Helper for Typing {}

impl Hinter for Typing {
    type Hint = String;
}

impl Highlighter for Typing {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        Cow::Borrowed(line)
    }
}

impl Completer for Typing {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.words.complete(line, pos))
    }
}

impl Validator for Typing {
    fn validate(&self, typed: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if command::is_whole(typed.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

/// What was chosen so far.
struct Shell<'a> {
    program: PathBuf,
    home: &'a Path,
    cli: &'a Cli,
    options: &'a SqlArgs,
    format: RowFormat,
    timing: bool,
    last: Option<String>,
}

/// Takes statements from the terminal until somebody leaves.
pub(crate) fn run(home: &Path, cli: &Cli, options: &SqlArgs, io: &mut Io<'_>) -> Result<()> {
    super::check_output(options)?;
    if options.output.is_some() {
        let text = "the shell prints; a statement on the command line writes a file";
        return Err(Usage(text.to_owned()).into());
    }
    // Once somebody listens to it, the signal ends commands and not the shell.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _interrupts = runtime.block_on(async { signal(SignalKind::interrupt()) })?;
    let default = if cli.json {
        RowFormat::Ndjson
    } else {
        RowFormat::Table
    };
    let mut shell = Shell {
        program: std::env::current_exe()?,
        home,
        cli,
        options,
        format: options.format.unwrap_or(default),
        timing: options.timing,
        last: None,
    };
    let config = Config::builder()
        .max_history_size(HISTORY_MAX)?
        .completion_type(CompletionType::List)
        .auto_add_history(true)
        .build();
    let mut editor: Editor<Typing, DefaultHistory> = Editor::with_config(config)?;
    let words = shell.words()?;
    editor.set_helper(Some(Typing { words }));
    let history = home.join(HISTORY);
    // There is none at first, and one that is damaged keeps nobody from asking.
    editor.load_history(&history).ok();
    io.say("\\? helps, \\q leaves")?;
    loop {
        match editor.readline(PROMPT) {
            Ok(typed) => {
                editor.append_history(&history).ok();
                let goes_on = shell.said(&typed, &mut editor, io)?;
                if !goes_on {
                    return Ok(());
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

impl Shell<'_> {
    /// Does what was typed. Returns whether the shell goes on.
    fn said(
        &mut self,
        typed: &str,
        editor: &mut Editor<Typing, DefaultHistory>,
        io: &mut Io<'_>,
    ) -> Result<bool> {
        if typed.trim().is_empty() {
            return Ok(true);
        }
        if !command::is_command(typed) {
            self.last = Some(typed.to_owned());
            let mut asked = self.asked();
            asked.args(["--format", &word(self.format)]);
            ask(asked, typed, io)?;
            return Ok(true);
        }
        match command::parse(typed) {
            Err(wrong) => writeln!(io.err, "{wrong}")?,
            Ok(Said::Quit) => return Ok(false),
            Ok(Said::Help) => io.line(HELP)?,
            Ok(Said::Tables) => {
                let mut asked = self.asked();
                asked.arg("--tables");
                ask(asked, "", io)?;
                if let (Ok(words), Some(typing)) = (self.words(), editor.helper_mut()) {
                    typing.words = words;
                }
            }
            Ok(Said::Columns(name)) => {
                let mut asked = self.asked();
                asked.arg(format!("--describe={name}"));
                ask(asked, "", io)?;
            }
            Ok(Said::Timing(wanted)) => {
                self.timing = wanted.unwrap_or(!self.timing);
                io.say(if self.timing {
                    "timing is on"
                } else {
                    "timing is off"
                })?;
            }
            Ok(Said::Format(format)) => self.format = format,
            Ok(Said::Plot(plot)) => self.plot(plot, io)?,
        }
        Ok(true)
    }

    fn plot(&mut self, plot: Plot, io: &mut Io<'_>) -> Result<()> {
        if plot.sql.is_some() {
            self.last = plot.sql;
        }
        let Some(sql) = self.last.clone() else {
            writeln!(io.err, "there is no statement yet to draw")?;
            return Ok(());
        };
        let mut asked = self.asked();
        asked.args(["--plot", &word(plot.kind)]);
        if let Some(file) = plot.file {
            asked.arg(format!("--svg={file}"));
        }
        ask(asked, &sql, io)
    }

    /// The command that asks, with what was said when the shell began.
    fn asked(&self) -> Command {
        let mut asked = Command::new(&self.program);
        asked.arg("--home").arg(self.home);
        if let Some(space) = &self.cli.space {
            asked.arg(format!("--space={space}"));
        }
        if self.cli.quiet {
            asked.arg("--quiet");
        }
        asked.arg("sql");
        if let Some(at) = &self.options.at {
            asked.arg(format!("--at={at}"));
        }
        if let Some(millis) = self.options.timeout {
            asked.arg(format!("--timeout={}.{:03}", millis / 1000, millis % 1000));
        }
        if let Some(rows) = self.options.max_rows {
            asked.arg(format!("--max-rows={rows}"));
        }
        if self.timing {
            asked.arg("--timing");
        }
        asked
    }

    /// What there is to complete.
    fn words(&self) -> Result<Words> {
        let mut asked = self.asked();
        let answer = asked.args(["--tables", "--json"]).output()?;
        if !answer.status.success() {
            let text = String::from_utf8_lossy(&answer.stderr);
            bail!("{}", text.trim_start_matches("error: ").trim_end());
        }
        let text = String::from_utf8(answer.stdout).context("names of tables")?;
        Ok(Words::read(&text))
    }
}

/// Runs a command that gets a text as its standard input. It tells itself what goes wrong.
fn ask(mut asked: Command, text: &str, io: &mut Io<'_>) -> Result<()> {
    let mut running = asked.stdin(Stdio::piped()).spawn()?;
    if let Some(mut input) = running.stdin.take() {
        // A command that fails early does not read on.
        input.write_all(text.as_bytes()).ok();
    }
    let status: ExitStatus = running.wait()?;
    match status.signal() {
        Some(SIGINT) => writeln!(io.err, "\ncancelled")?,
        Some(signal) => writeln!(io.err, "ended by signal {signal}")?,
        None => {}
    }
    Ok(())
}
