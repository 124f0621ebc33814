//! How much whoever asks may take (HTTP, "Limits").

use std::time::Duration;

/// Connections at a time: a browser opens six, a service a pool; each costs a task and its buffers.
pub(crate) const CONNECTIONS_MAX: usize = 256;

/// Connections that have become sockets (HTTP, "Limits"): as many again.
pub(crate) const SOCKETS_MAX: usize = 256;

/// The head of a request, in bytes: a key of 4,096 bytes takes three times as many in a URL, and cursors of a
/// history 60 for each line that is open.
pub(crate) const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Header fields of a request: browsers send about 20.
pub(crate) const HEADERS_MAX: usize = 64;

/// How long the head of a request may take, and a connection rest between two.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(10);

/// How long a client may take nothing of an answer, or give nothing of a body.
pub(crate) const STALL_TIME: Duration = Duration::from_secs(30);

/// How long a body of JSON may take: 8 MiB at 2 Mbit/s.
pub(crate) const JSON_TIME: Duration = Duration::from_secs(40);

/// How long an upload may take: 4 GiB at 10 Mbit/s.
pub(crate) const UPLOAD_TIME: Duration = Duration::from_hours(1);

/// A body of JSON, in bytes: a thousand records, or a few values of the most that an entry has inline.
pub(crate) const JSON_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bodies of JSON that are in memory at a time, in bytes.
pub(crate) const JSON_BYTES_ALL: usize = 64 * 1024 * 1024;

/// A value that is uploaded, in bytes: an upload that breaks begins anew, so that larger files are added on the
/// node.
pub(crate) const UPLOAD_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Requests that the store works for at a time: more wait for the disk anyway.
pub(crate) const WORK_MAX: usize = 32;

/// How long a request waits for its turn.
pub(crate) const WORK_WAIT: Duration = Duration::from_secs(10);

/// After how many seconds to ask again whoever was turned away.
pub(crate) const RETRY_AFTER_S: &str = "5";

/// Items of a page: what a person scrolls through, and a program asks for again.
pub(crate) const PAGE_ITEMS_MAX: u64 = 1000;

/// Items of a page unless it is said otherwise.
pub(crate) const PAGE_ITEMS: u64 = 100;

/// Values in a page, in bytes, after which it ends.
pub(crate) const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Changes of one commit in one request: its body allows 80 bytes for each.
pub(crate) const CHANGES_MAX: usize = 100_000;

/// Lines of a history that a cursor keeps: as many as a branch may have heads.
pub(crate) const CURSOR_COMMITS_MAX: usize = 256;

/// An answer of SQL that is given whole, in bytes; longer ones are asked for as lines.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Rows of a statement that are handed over at a time, in bytes.
pub(crate) const ROWS_BYTES: usize = 64 * 1024;

/// How long rows wait for others.
pub(crate) const ROWS_WAIT: Duration = Duration::from_millis(100);

/// The longest that a statement may ask to run, in milliseconds: whoever asks for more uses the command line.
pub(crate) const SQL_TIME_MS_MAX: u64 = 60_000;

/// Entries that are looked at for one that links to a blob whose key is not said: about a second.
pub(crate) const SEARCH_ENTRIES_MAX: usize = 500_000;

/// How long requests under way may take once the node stops.
pub(crate) const STOP_TIME: Duration = Duration::from_secs(10);
