//! Words that say where a table is, and where not.

/// What a statement begins with.
pub(crate) const STATEMENTS: &[&str] = &[
    "DELETE", "INSERT", "REPLACE", "SELECT", "UPDATE", "VALUES", "WITH",
];

/// What ends the tables of a FROM, or the table that is written.
pub(crate) const AFTER_TABLES: &[&str] = &[
    "DEFAULT",
    "EXCEPT",
    "GROUP",
    "HAVING",
    "INTERSECT",
    "LIMIT",
    "ORDER",
    "RETURNING",
    "SELECT",
    "SET",
    "UNION",
    "VALUES",
    "WHERE",
    "WINDOW",
];

/// What may come where a table is expected, and is none.
pub(crate) const NO_TABLES: &[&str] = &["SELECT", "SET", "VALUES", "WITH"];

/// What follows a table that has no name of its own.
pub(crate) const AFTER_TABLE: &[&str] = &[
    "CROSS",
    "DEFAULT",
    "EXCEPT",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "INDEXED",
    "INNER",
    "INTERSECT",
    "JOIN",
    "LEFT",
    "LIMIT",
    "NATURAL",
    "NOT",
    "ON",
    "ORDER",
    "OUTER",
    "RETURNING",
    "RIGHT",
    "SELECT",
    "SET",
    "UNION",
    "USING",
    "VALUES",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// What goes on with an expression behind a column.
pub(crate) const OPERATORS: &[&str] = &[
    "AND", "BETWEEN", "COLLATE", "GLOB", "IN", "IS", "ISNULL", "LIKE", "MATCH", "NOT", "NOTNULL",
    "OR", "REGEXP",
];

/// Whether a word is one of these.
pub(crate) fn is_in(word: &str, words: &[&str]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other))
}
