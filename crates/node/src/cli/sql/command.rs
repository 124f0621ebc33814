//! What can be said in the shell beside SQL.

use clap::ValueEnum as _;

use crate::cli::sql::split;
use crate::cli::sql_args::{PlotKind, RowFormat, word};

/// What `\?` prints.
pub(crate) const HELP: &str = "\
A statement ends with a semicolon and may have many lines. Tab completes, the arrow keys bring back
what was said before, Ctrl-C cancels, Ctrl-D leaves.

  \\?                     this
  \\d                     the tables
  \\d TABLE               the columns of a table
  \\timing [on|off]       how long statements take
  \\format FORMAT         table, json, ndjson or csv
  \\plot KIND [FILE] [STATEMENT;]
                         draws a statement, or else the last one: bar, line or scatter;
                         into a file if it ends with .svg
  \\q                     leaves

  SELECT * FROM t AS OF 'v1';           a table as it was, by tag, branch or commit
  SELECT * FROM t ON BRANCH 'draft';    a table on another branch
  DIFF 'v1' 'main' ON t;                what differs
  EXPLAIN SELECT ...;                   how tables would be read";

/// The commands, to complete them.
pub(crate) const COMMANDS: [&str; 6] = ["\\?", "\\d", "\\format", "\\plot", "\\q", "\\timing"];

/// What was said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Said {
    Help,
    Tables,
    Columns(String),
    /// On, off, or the other of both.
    Timing(Option<bool>),
    Format(RowFormat),
    Plot(Plot),
    Quit,
}

/// A plot of a statement, or of the last one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Plot {
    pub(crate) kind: PlotKind,
    pub(crate) file: Option<String>,
    pub(crate) sql: Option<String>,
}

/// Whether a text is a command, and no SQL.
pub(crate) fn is_command(text: &str) -> bool {
    text.trim_start().starts_with('\\')
}

/// Whether whoever types has come to an end.
pub(crate) fn is_whole(text: &str) -> bool {
    if !is_command(text) {
        return split::is_whole(text);
    }
    match parse(text) {
        Ok(Said::Plot(Plot { sql: Some(sql), .. })) => split::is_whole(&sql),
        Ok(_) | Err(_) => true,
    }
}

/// Reads a command. Fails with what is wrong about it.
pub(crate) fn parse(text: &str) -> Result<Said, String> {
    let (command, rest) = first_word(text.trim());
    // A semicolon behind a command is a habit.
    let argument = rest.trim_end_matches(';').trim_end();
    match (command.trim_end_matches(';'), argument) {
        ("\\?" | "\\h" | "\\help", "") => Ok(Said::Help),
        ("\\q" | "\\quit", "") => Ok(Said::Quit),
        ("\\d", "") => Ok(Said::Tables),
        ("\\d", name) => Ok(Said::Columns(unquoted(name))),
        ("\\timing", "") => Ok(Said::Timing(None)),
        ("\\timing", "on") => Ok(Said::Timing(Some(true))),
        ("\\timing", "off") => Ok(Said::Timing(Some(false))),
        ("\\format", name) => match RowFormat::from_str(name, true) {
            Ok(format) if format.is_file() => Err(format!(
                "{name} is a file: `allod sql --format {name} --output FILE` writes one"
            )),
            Ok(format) => Ok(Said::Format(format)),
            Err(_) => Err(format!("{name:?} is none of {}", formats())),
        },
        ("\\plot", _) => plot(rest),
        _ => Err(format!("no command {command}; \\? lists them")),
    }
}

fn plot(rest: &str) -> Result<Said, String> {
    let (name, rest) = first_word(rest);
    let kind = PlotKind::from_str(name.trim_end_matches(';'), true)
        .map_err(|_error| format!("{name:?} is none of {}", words::<PlotKind>()))?;
    let (next, behind) = first_word(rest);
    let name = next.trim_end_matches(';');
    let is_file = name.to_ascii_lowercase().ends_with(".svg");
    let (file, rest) = if is_file {
        (Some(name.to_owned()), behind)
    } else {
        (None, rest)
    };
    let sql = (!split::is_empty(rest)).then(|| rest.to_owned());
    Ok(Said::Plot(Plot { kind, file, sql }))
}

fn first_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn unquoted(name: &str) -> String {
    let inner = name
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'));
    inner.map_or_else(|| name.to_owned(), |inner| inner.replace("\"\"", "\""))
}

/// The words of the forms of rows that are printed.
pub(crate) fn formats() -> String {
    let all = RowFormat::value_variants().iter().copied();
    let printed: Vec<String> = all.filter(|it| !it.is_file()).map(word).collect();
    printed.join(", ")
}

/// The words of a choice.
pub(crate) fn words<T: clap::ValueEnum>() -> String {
    let all: Vec<String> = T::value_variants().iter().cloned().map(word).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        let plot = |kind, file: Option<&str>, sql: Option<&str>| {
            Said::Plot(Plot {
                kind,
                file: file.map(str::to_owned),
                sql: sql.map(str::to_owned),
            })
        };
        for (text, said) in [
            (" \\? ", Said::Help),
            ("\\q;", Said::Quit),
            ("\\d", Said::Tables),
            ("\\d \"a \"\"b\" ;", Said::Columns("a \"b".to_owned())),
            ("\\timing", Said::Timing(None)),
            ("\\timing off", Said::Timing(Some(false))),
            ("\\format CSV", Said::Format(RowFormat::Csv)),
            ("\\plot bar", plot(PlotKind::Bar, None, None)),
            (
                "\\plot line a.svg;",
                plot(PlotKind::Line, Some("a.svg"), None),
            ),
            (
                "\\plot bar SELECT 1;",
                plot(PlotKind::Bar, None, Some("SELECT 1;")),
            ),
            (
                "\\plot scatter b.SVG SELECT\n1",
                plot(PlotKind::Scatter, Some("b.SVG"), Some("SELECT\n1")),
            ),
        ] {
            assert_eq!(parse(text), Ok(said), "{text}");
        }
        for text in [
            "\\",
            "\\x",
            "\\q now",
            "\\format",
            "\\format xml",
            "\\format arrow",
            "\\plot",
            "\\plot pie",
            "\\timing 1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(
            parse("\\format xml")
                .unwrap_err()
                .contains("table, json, ndjson, csv")
        );
    }

    #[test]
    fn a_command_ends_with_its_line_and_a_plot_with_its_statement() {
        for text in [
            "\\d",
            "\\nothing",
            "\\plot bar",
            "\\plot bar SELECT 1;",
            "SELECT 1;",
        ] {
            assert!(is_whole(text), "{text}");
        }
        for text in [
            "\\plot bar SELECT 1",
            "\\plot bar x.svg SELECT ';",
            "SELECT 1",
        ] {
            assert!(!is_whole(text), "{text}");
        }
    }

    #[test]
    fn each_command_is_in_the_help() {
        for command in COMMANDS {
            assert!(HELP.contains(&format!("\n  {command} ")), "{command}");
        }
    }
}
