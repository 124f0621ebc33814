//! What a statement names, before the engine sees it (SQL-1 to SQL-7).
//!
//! The engine knows no states. So this finds each table that a statement names and the state that it
//! asks for, by position: behind FROM, JOIN, INTO, UPDATE, IN, or a comma between tables. Whatever looks like a
//! state and is not behind a table there is refused, so that no statement is answered from another
//! state than it asks for.

use crate::error::{SqlError, StateFault};
use crate::outline::{OWN_NAMES, Outline, Source, Wanted};
use crate::table::At;
use crate::token::{Kind, Token, tokens};
use crate::value::Scalar;
use crate::words;

/// The function that gives what differs between two states of a table.
const DIFF_FUNCTION: &str = "allod_diff";

/// What a comma or a name means, between two parentheses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Level {
    /// Nothing to us.
    Other,
    /// A table comes next, to be read.
    Read,
    /// A table comes next, to be written.
    Write,
    /// Between tables: a comma is before another one.
    Sources,
}

struct Pass<'a> {
    sql: &'a str,
    tokens: &'a [Token],
    at: usize,
    levels: Vec<Level>,
    outline: Outline,
}

/// Reads a statement.
pub(crate) fn read(sql: &str) -> Result<Outline, SqlError> {
    let tokens = tokens(sql)?;
    let mut pass = Pass {
        sql,
        tokens: &tokens,
        at: 0,
        levels: vec![Level::Other],
        outline: Outline::default(),
    };
    pass.statement()?;
    Ok(pass.outline)
}

impl Pass<'_> {
    fn statement(&mut self) -> Result<(), SqlError> {
        if let Some(bad) = self.sql.bytes().position(|byte| byte == 0) {
            return Err(syntax("a statement has no NUL", Some(bad)));
        }
        if self.is_word(0, "EXPLAIN") {
            self.at = 1;
            if self.is_word(1, "QUERY") && self.is_word(2, "PLAN") {
                self.at = 3;
            }
            self.outline.explained = Some(self.offset(self.at));
        }
        let Some(verb) = self.token(self.at).filter(|token| !is_mark(*token, b';')) else {
            return Err(syntax("there is no statement", None));
        };
        let text = verb.text(self.sql);
        if verb.kind == Kind::Word && text.eq_ignore_ascii_case("DIFF") {
            self.diff()?;
        } else if verb.kind != Kind::Word {
            let message = format!("near \"{text}\": a statement begins with a word");
            return Err(syntax(message, Some(verb.start)));
        } else if !words::is_in(text, words::STATEMENTS) {
            return Err(SqlError::Denied {
                what: text.to_ascii_uppercase(),
                offset: Some(verb.start),
            });
        }
        while let Some(token) = self.token(self.at) {
            if is_mark(token, b';') {
                return match self.token(self.at + 1) {
                    Some(more) => Err(syntax("one statement at a time", Some(more.start))),
                    None => Ok(()),
                };
            }
            self.outline.end = token.end;
            self.step(token)?;
        }
        Ok(())
    }

    /// Goes beyond a token, and whatever belongs to it.
    fn step(&mut self, token: Token) -> Result<(), SqlError> {
        if matches!(self.level(), Level::Read | Level::Write) && self.name_or_verb(token)? {
            return Ok(());
        }
        self.at += 1;
        match token.kind {
            Kind::Mark(b'(') => {
                // Behind FROM, a subquery or tables that are joined first.
                let inner = match self.level() {
                    Level::Read => Level::Read,
                    Level::Other | Level::Write | Level::Sources => Level::Other,
                };
                if inner == Level::Read {
                    self.set(Level::Sources);
                }
                self.levels.push(inner);
            }
            Kind::Mark(b')') if self.levels.len() > 1 => {
                self.levels.pop();
            }
            Kind::Mark(b',') if self.level() == Level::Sources => self.set(Level::Read),
            Kind::Word => self.word(token)?,
            Kind::Quoted
            | Kind::Text
            | Kind::Number
            | Kind::Blob
            | Kind::Parameter
            | Kind::Mark(_) => {}
        }
        Ok(())
    }

    /// A word that may begin or end a list of tables.
    fn word(&mut self, token: Token) -> Result<(), SqlError> {
        let text = token.text(self.sql);
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        let before = |back: usize, word: &str| {
            let at = self.at.checked_sub(1 + back);
            at.is_some_and(|at| self.is_word(at, word))
        };
        if is("FROM") {
            let is_operator = before(1, "DISTINCT") && (before(2, "IS") || before(2, "NOT"));
            if !is_operator {
                self.set(Level::Read);
            }
        } else if is("JOIN") {
            self.set(Level::Read);
        } else if is("INTO") || is("UPDATE") {
            self.set(Level::Write);
        } else if is("IN") {
            self.in_table()?;
        } else if words::is_in(text, words::AFTER_TABLES) {
            self.set(Level::Other);
        } else if (is("AS") && self.is_word(self.at, "OF"))
            || (is("ON") && self.is_word(self.at, "BRANCH"))
        {
            let is_state = self.token(self.at + 1).is_some_and(|next| {
                matches!(
                    next.kind,
                    Kind::Text | Kind::Number | Kind::Blob | Kind::Parameter
                )
            });
            if is_state {
                return Err(state(StateFault::NotATable, token.start));
            }
        }
        Ok(())
    }

    /// Where a table may come: takes it. False if this is not a table after all.
    fn name_or_verb(&mut self, token: Token) -> Result<bool, SqlError> {
        match token.kind {
            Kind::Word => {}
            Kind::Quoted | Kind::Text => {
                let role = self.level();
                self.set(Level::Sources);
                self.table(role)?;
                return Ok(true);
            }
            Kind::Mark(b'(') => return Ok(false),
            Kind::Number | Kind::Blob | Kind::Parameter | Kind::Mark(_) => {
                self.set(Level::Other);
                return Ok(false);
            }
        }
        let role = self.level();
        if role == Level::Write && token.is_word(self.sql, "OR") {
            // UPDATE OR IGNORE t
            self.at += 2;
            return Ok(true);
        }
        if words::is_in(token.text(self.sql), words::NO_TABLES) {
            self.set(Level::Other);
            return Ok(false);
        }
        self.set(Level::Sources);
        self.table(role)?;
        Ok(true)
    }

    /// `x IN t` without parentheses.
    fn in_table(&mut self) -> Result<(), SqlError> {
        match self.token(self.at) {
            Some(next) if matches!(next.kind, Kind::Word | Kind::Quoted | Kind::Text) => {
                self.table(Level::Other)
            }
            _ => Ok(()),
        }
    }

    /// A table, by its name, and all that says which.
    fn table(&mut self, role: Level) -> Result<(), SqlError> {
        let Some(mut named) = self.token(self.at) else {
            return Ok(());
        };
        let start = named.start;
        self.at += 1;
        self.outline.end = named.end;
        let has_schema = self.is_mark(self.at, b'.');
        if has_schema {
            self.at += 1;
            let is_name = |it: &Token| matches!(it.kind, Kind::Word | Kind::Quoted | Kind::Text);
            let Some(next) = self.token(self.at).filter(is_name) else {
                return Ok(());
            };
            named = next;
            self.at += 1;
        }
        let name = named.unquoted(self.sql);
        if name
            .get(..OWN_NAMES.len())
            .is_some_and(|begins| begins.eq_ignore_ascii_case(OWN_NAMES))
        {
            return Err(SqlError::NoTable {
                name,
                offset: Some(named.start),
                nearest: None,
            });
        }
        if role != Level::Write && self.is_mark(self.at, b'(') && !has_schema {
            return self.function(name, start, role);
        }
        let clause = self.offset(self.at);
        let at = self.states(role)?;
        if has_schema && !at.is_own() {
            return Err(state(StateFault::Schema, clause));
        }
        let wanted = Wanted::Table {
            name: name.clone(),
            at,
        };
        self.source(start, wanted, name, role);
        Ok(())
    }

    /// `AS OF '...'` and `ON BRANCH '...'`, in either order.
    fn states(&mut self, role: Level) -> Result<At, SqlError> {
        let mut at = At::default();
        loop {
            let start = self.offset(self.at);
            let (slot, is_clause) =
                if self.is_word(self.at, "AS") && self.is_word(self.at + 1, "OF") {
                    (&mut at.as_of, !self.is_alias(self.at + 2, role))
                } else if self.is_word(self.at, "ON") && self.is_word(self.at + 1, "BRANCH") {
                    (&mut at.branch, !self.is_condition(self.at + 2))
                } else {
                    return Ok(at);
                };
            if !is_clause {
                return Ok(at);
            }
            let Some(literal) = self
                .token(self.at + 2)
                .filter(|token| token.kind == Kind::Text)
            else {
                return Err(state(StateFault::NotALiteral, start));
            };
            if slot.is_some() {
                return Err(state(StateFault::Twice, start));
            }
            *slot = Some(literal.unquoted(self.sql));
            self.at += 3;
        }
    }

    /// Whether `AS OF` before this token gives a table the name `of`.
    fn is_alias(&self, at: usize, role: Level) -> bool {
        match self.token(at) {
            None => true,
            Some(next) => match next.kind {
                Kind::Word => words::is_in(next.text(self.sql), words::AFTER_TABLE),
                Kind::Mark(b'(') => role == Level::Write,
                Kind::Mark(mark) => matches!(mark, b',' | b')' | b';'),
                Kind::Quoted | Kind::Text | Kind::Number | Kind::Blob | Kind::Parameter => false,
            },
        }
    }

    /// Whether `ON BRANCH` before this token is the condition of a join, on a column of that name.
    fn is_condition(&self, at: usize) -> bool {
        match self.token(at) {
            None => true,
            Some(next) => match next.kind {
                Kind::Word => {
                    let text = next.text(self.sql);
                    words::is_in(text, words::AFTER_TABLE) || words::is_in(text, words::OPERATORS)
                }
                Kind::Mark(_) => true,
                Kind::Quoted | Kind::Text | Kind::Number | Kind::Blob | Kind::Parameter => false,
            },
        }
    }

    /// A function that gives a table. What is between its parentheses is gone through later, unless
    /// they are literals.
    fn function(&mut self, name: String, start: usize, role: Level) -> Result<(), SqlError> {
        let literals = self.literals(self.at + 1);
        let is_diff = name.eq_ignore_ascii_case(DIFF_FUNCTION);
        let Some((arguments, behind)) = literals else {
            if is_diff {
                return Err(state(diff_arguments(), start));
            }
            // The engine's own, unless the catalog says that it has it.
            let wanted = Wanted::Function {
                name,
                arguments: None,
            };
            let span = start..self.offset(self.at);
            self.outline.sources.push(Source {
                span,
                wanted,
                alias: None,
                before: "",
            });
            return Ok(());
        };
        let wanted = if is_diff {
            let Ok([Scalar::Text(table), Scalar::Text(from), Scalar::Text(to)]) =
                <[Scalar; 3]>::try_from(arguments)
            else {
                return Err(state(diff_arguments(), start));
            };
            Wanted::Diff {
                name: table,
                from,
                to,
            }
        } else {
            Wanted::Function {
                name: name.clone(),
                arguments: Some(arguments),
            }
        };
        self.at = behind;
        self.source(start, wanted, name, role);
        Ok(())
    }

    /// Literals up to a closing parenthesis, and what is behind that.
    fn literals(&self, mut at: usize) -> Option<(Vec<Scalar>, usize)> {
        let mut all = Vec::new();
        if self.is_mark(at, b')') {
            return Some((all, at + 1));
        }
        loop {
            let first = at;
            let is_negative = self.is_mark(at, b'-');
            if is_negative || self.is_mark(at, b'+') {
                at += 1;
            }
            let token = self.token(at)?;
            if at > first && token.kind != Kind::Number {
                return None;
            }
            let text = token.text(self.sql);
            all.push(match token.kind {
                Kind::Number => number(text, is_negative)?,
                Kind::Text => Scalar::Text(token.unquoted(self.sql)),
                Kind::Blob => Scalar::Blob(bytes(text)?),
                Kind::Word if text.eq_ignore_ascii_case("NULL") => Scalar::Null,
                Kind::Word | Kind::Quoted | Kind::Parameter | Kind::Mark(_) => return None,
            });
            at += 2;
            match self.token(at - 1)?.kind {
                Kind::Mark(b',') => {}
                Kind::Mark(b')') => return Some((all, at)),
                _ => return None,
            }
        }
    }

    /// `DIFF 'a' 'b' ON t`, with what may follow.
    fn diff(&mut self) -> Result<(), SqlError> {
        let start = self.offset(self.at);
        let states = [self.token(self.at + 1), self.token(self.at + 2)];
        let [Some(from), Some(to)] = states.map(|token| token.filter(|it| it.kind == Kind::Text))
        else {
            return Err(state(StateFault::NotALiteral, start));
        };
        self.at += 3;
        if !self.is_word(self.at, "ON") {
            return Err(syntax(
                "DIFF 'a' 'b' ON a table",
                Some(self.offset(self.at)),
            ));
        }
        let Some(named) = self.token(self.at + 1).filter(|token| {
            let is_name = matches!(token.kind, Kind::Word | Kind::Quoted);
            is_name && !token.is_word(self.sql, "BRANCH")
        }) else {
            return Err(syntax(
                "DIFF 'a' 'b' ON a table",
                Some(self.offset(self.at)),
            ));
        };
        self.at += 2;
        if let Some(next) = self.token(self.at) {
            if is_mark(next, b'.') {
                return Err(state(StateFault::Schema, named.start));
            }
            let may_follow = is_mark(next, b';')
                || (next.kind == Kind::Word
                    && words::is_in(next.text(self.sql), &["WHERE", "ORDER", "LIMIT"]));
            if !may_follow {
                let message = format!("near \"{}\": syntax error", next.text(self.sql));
                return Err(syntax(message, Some(next.start)));
            }
        }
        let name = named.unquoted(self.sql);
        self.outline.end = named.end;
        self.outline.sources.push(Source {
            span: start..named.end,
            wanted: Wanted::Diff {
                name: name.clone(),
                from: from.unquoted(self.sql),
                to: to.unquoted(self.sql),
            },
            alias: Some(name),
            before: "SELECT * FROM ",
        });
        Ok(())
    }

    /// Notes a table whose last token was the one before.
    fn source(&mut self, start: usize, wanted: Wanted, name: String, role: Level) {
        let end = self.at.checked_sub(1).and_then(|at| self.token(at));
        let end = end.map_or(start, |token| token.end);
        self.outline.end = end;
        let has_alias = match self.token(self.at) {
            Some(next) if next.kind == Kind::Word => {
                let text = next.text(self.sql);
                text.eq_ignore_ascii_case("AS") || !words::is_in(text, words::AFTER_TABLE)
            }
            Some(next) => matches!(next.kind, Kind::Quoted | Kind::Text),
            None => false,
        };
        // Behind IN, an expression goes on and no alias is possible.
        let alias = (!has_alias && role != Level::Other).then_some(name);
        self.outline.sources.push(Source {
            span: start..end,
            wanted,
            alias,
            before: "",
        });
    }

    fn token(&self, at: usize) -> Option<Token> {
        self.tokens.get(at).copied()
    }

    fn is_word(&self, at: usize, word: &str) -> bool {
        self.token(at)
            .is_some_and(|token| token.is_word(self.sql, word))
    }

    fn is_mark(&self, at: usize, mark: u8) -> bool {
        self.token(at).is_some_and(|token| is_mark(token, mark))
    }

    /// Where a token begins, or the text ends.
    fn offset(&self, at: usize) -> usize {
        self.token(at).map_or(self.sql.len(), |token| token.start)
    }

    fn level(&self) -> Level {
        self.levels.last().copied().unwrap_or(Level::Other)
    }

    fn set(&mut self, level: Level) {
        if let Some(last) = self.levels.last_mut() {
            *last = level;
        }
    }
}

fn is_mark(token: Token, mark: u8) -> bool {
    token.kind == Kind::Mark(mark)
}

fn syntax(message: impl Into<String>, offset: Option<usize>) -> SqlError {
    SqlError::Syntax {
        message: message.into(),
        offset,
    }
}

fn state(fault: StateFault, offset: usize) -> SqlError {
    SqlError::State { fault, offset }
}

fn diff_arguments() -> StateFault {
    let takes = "('table', 'state', 'state')".to_owned();
    StateFault::Arguments(DIFF_FUNCTION.to_owned(), takes)
}

/// A number as it is written, without its sign.
fn number(text: &str, is_negative: bool) -> Option<Scalar> {
    let sign = if is_negative { "-" } else { "" };
    let digits = text.replace('_', "");
    if let Some(hex) = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        let number = i64::from_str_radix(&format!("{sign}{hex}"), 16);
        return number.ok().map(Scalar::Integer);
    }
    let signed = format!("{sign}{digits}");
    let whole = signed.parse().ok().map(Scalar::Integer);
    whole.or_else(|| signed.parse().ok().map(Scalar::Real))
}

/// The bytes of `x'...'`.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.get(2..text.len() - 1)?;
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}
