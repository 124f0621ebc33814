//! What the shell completes: commands, keywords, tables and their columns.

use serde_json::Value;

use crate::cli::sql::command::{COMMANDS, formats, is_command, words};
use crate::cli::sql::split::{self, Part};
use crate::cli::sql_args::PlotKind;

const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "AS OF",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COLLATE",
    "CROSS",
    "DELETE",
    "DESC",
    "DIFF",
    "DISTINCT",
    "ELSE",
    "END",
    "ESCAPE",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FROM",
    "FULL",
    "GLOB",
    "GROUP BY",
    "HAVING",
    "IN",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NATURAL",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "ON BRANCH",
    "OR",
    "ORDER BY",
    "OUTER",
    "OVER",
    "PARTITION",
    "RECURSIVE",
    "REPLACE",
    "RETURNING",
    "RIGHT",
    "SELECT",
    "SET",
    "THEN",
    "UNION",
    "UPDATE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// Behind these a table is named.
const BEFORE_TABLES: [&str; 5] = ["FROM", "INTO", "JOIN", "UPDATE", "ON"];

/// What there is to name.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// Tables, each with its columns.
    tables: Vec<(String, Vec<String>)>,
    functions: Vec<String>,
}

impl Words {
    /// Reads what `allod sql --tables --json` prints.
    pub(crate) fn read(text: &str) -> Self {
        let mut words = Self::default();
        for value in text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        {
            if let Some(name) = value["table"].as_str() {
                let columns = value["columns"].as_array().into_iter().flatten();
                let columns = columns.filter_map(|column| column["column"].as_str());
                let columns = columns.map(str::to_owned).collect();
                words.tables.push((name.to_owned(), columns));
            } else if let Some(name) = value["function"].as_str() {
                words.functions.push(name.to_owned());
            }
        }
        words
    }

    /// Where the word begins that ends at `end`, and what it may become.
    pub(crate) fn complete(&self, text: &str, end: usize) -> (usize, Vec<String>) {
        let Some(text) = text.get(..end) else {
            return (end, Vec::new());
        };
        if is_command(text) {
            return self.command(text);
        }
        let parts: Vec<_> = split::parts(text.as_bytes()).collect();
        if parts.last().is_some_and(|(part, ..)| *part == Part::Open) {
            return (end, Vec::new());
        }
        let mut before = parts.as_slice();
        let mut begin = end;
        if let [rest @ .., (Part::Word, from, _)] = before {
            (before, begin) = (rest, *from);
        }
        let typed = text.get(begin..).unwrap_or_default();
        let of = |(_, from, to): &(Part, usize, usize)| text.get(*from..*to).unwrap_or_default();
        if let [.., table @ (Part::Word, ..), (Part::Mark(b'.'), ..)] = before {
            return (begin, fitting(self.columns(of(table), text), typed));
        }
        let mut said = before.iter().filter(|(part, ..)| *part != Part::Blank);
        let last = said.next_back().map(of).unwrap_or_default();
        let tables = self.tables.iter().map(|(name, _)| name.as_str());
        let functions = self.functions.iter().map(String::as_str);
        let is_table = BEFORE_TABLES
            .iter()
            .any(|word| last.eq_ignore_ascii_case(word));
        // Of a join, ON is followed by a condition.
        if is_table && !last.eq_ignore_ascii_case("ON") {
            return (begin, fitting(tables.chain(functions), typed));
        }
        if typed.is_empty() {
            return (begin, Vec::new());
        }
        let names = tables.chain(functions).chain(self.columns("", text));
        let mut all = fitting(names, typed);
        let is_lower = typed.starts_with(|c: char| c.is_ascii_lowercase());
        for keyword in fitting(KEYWORDS.iter().copied(), typed) {
            all.push(if is_lower {
                keyword.to_ascii_lowercase()
            } else {
                keyword
            });
        }
        (begin, all)
    }

    /// The columns of a table; where it is none, of those that a text has, or else of all.
    fn columns<'a>(&'a self, table: &str, text: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let is_said = |name: &str| {
            let mut parts = split::parts(text.as_bytes());
            parts.any(|(_, from, to)| {
                text.get(from..to)
                    .is_some_and(|it| it.eq_ignore_ascii_case(name))
            })
        };
        let named = |wanted: &dyn Fn(&str) -> bool| -> Vec<&'a (String, Vec<String>)> {
            self.tables
                .iter()
                .filter(|(name, _)| wanted(name))
                .collect()
        };
        let mut chosen = named(&|name| name.eq_ignore_ascii_case(table));
        if chosen.is_empty() {
            chosen = named(&is_said);
        }
        if chosen.is_empty() {
            chosen = named(&|_| true);
        }
        chosen
            .into_iter()
            .flat_map(|(_, columns)| columns.iter().map(String::as_str))
    }

    fn command(&self, text: &str) -> (usize, Vec<String>) {
        let begin = text.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let typed = text.get(begin..).unwrap_or_default();
        let mut before = text.get(..begin).unwrap_or_default().split_whitespace();
        let choices = match (before.next(), before.next()) {
            (None, _) => COMMANDS.join(", "),
            (Some("\\d"), None) => {
                let tables = self.tables.iter().map(|(name, _)| name.as_str());
                return (begin, fitting(tables, typed));
            }
            (Some("\\format"), None) => formats(),
            (Some("\\plot"), None) => words::<PlotKind>(),
            (Some("\\timing"), None) => "on, off".to_owned(),
            _ => return (begin, Vec::new()),
        };
        (begin, fitting(choices.split(", "), typed))
    }
}

/// Those that begin as it was typed, each once, in order.
fn fitting<'a>(words: impl Iterator<Item = &'a str>, typed: &str) -> Vec<String> {
    let fits = |word: &&str| {
        let begins = word.get(..typed.len());
        begins.is_some_and(|begins| begins.eq_ignore_ascii_case(typed))
    };
    let mut all: Vec<String> = words.filter(fits).map(str::to_owned).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(text: &str) -> Vec<String> {
        let words = Words::read(
            "{\"table\":\"user\",\"columns\":[{\"column\":\"_key\"},{\"column\":\"name\"}]}\n\
             {\"table\":\"orders\",\"columns\":[{\"column\":\"amount\"},{\"column\":\"note\"}]}\n\
             {\"function\":\"allod_log\"}\nno json",
        );
        let (begin, all) = words.complete(text, text.len());
        assert!(text.is_char_boundary(begin), "{text}");
        all.into_iter()
            .map(|word| format!("{}{word}", &text[..begin]))
            .collect()
    }

    #[test]
    fn tables_follow_from_and_columns_their_table() {
        assert_eq!(
            completed("SELECT * FROM "),
            [
                "SELECT * FROM allod_log",
                "SELECT * FROM orders",
                "SELECT * FROM user"
            ]
        );
        assert_eq!(completed("select * from US"), ["select * from user"]);
        assert_eq!(
            completed("SELECT user."),
            ["SELECT user._key", "SELECT user.name"]
        );
        // By the tables that are there; an alias is one of them.
        assert_eq!(
            completed("SELECT * FROM orders o WHERE o.n"),
            ["SELECT * FROM orders o WHERE o.note"]
        );
        assert_eq!(
            completed("SELECT * FROM orders WHERE no"),
            [
                "SELECT * FROM orders WHERE note",
                "SELECT * FROM orders WHERE not"
            ]
        );
        assert_eq!(completed("SELECT na"), ["SELECT name", "SELECT natural"]);
        assert_eq!(completed("SEL"), ["SELECT"]);
    }

    #[test]
    fn nothing_is_completed_within_texts_and_from_nothing() {
        for text in [
            "",
            "SELECT ",
            "SELECT 'na",
            "-- SEL",
            "SELECT \"na",
            "SELECT \u{fc}",
        ] {
            assert!(completed(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn commands_are_completed() {
        assert_eq!(completed("\\"), COMMANDS);
        assert_eq!(completed("\\f"), ["\\format"]);
        assert_eq!(completed("\\d u"), ["\\d user"]);
        assert_eq!(completed("\\plot s"), ["\\plot scatter"]);
        assert_eq!(
            completed("\\format "),
            [
                "\\format csv",
                "\\format json",
                "\\format ndjson",
                "\\format table"
            ]
        );
        assert!(completed("\\plot bar x").is_empty());
    }
}
