//! The numbers that bound what an adapter takes (TAB-22).

/// The most bytes of a row, with all that stands between its values: what the engine takes for a
/// row too (SQL-14).
pub(crate) const ROW_BYTES_MAX: usize = 1024 * 1024;

/// The most columns: what the engine takes for a table (SQL-14).
pub(crate) const COLUMNS_MAX: usize = 1000;

/// The most bytes of a column's name: a longer one is no name but a text in the wrong place.
pub(crate) const NAME_BYTES_MAX: usize = 256;

/// How deep arrays and objects stand in each other: what the parser of JSON takes, which recurses over them.
pub(crate) const DEPTH_MAX: usize = 127;

/// Bytes that are read at a time: enough that asking the system for them costs nothing beside reading them.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// The most bytes of rows that are kept so that joins find them again: a table of reference
/// fits, and a large one is read again.
pub(crate) const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Rows between two looks at whether the statement has to end: a few milliseconds.
pub(crate) const LOOK_ROWS: u64 = 4096;

/// Characters of a value that an error shows: enough to find it by.
pub(crate) const SHOWN_CHARS: usize = 40;
