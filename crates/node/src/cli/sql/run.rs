//! One statement, run by a thread of its own while this one prints.
//!
//! The one who asked may be gone, and the node may stop, while a statement computes and gives no rows: this
//! thread looks after both and cancels it.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use allod_sql::{Cancel, ResultColumn, Scalar, Session, SqlError};
use anyhow::Result;

use crate::cli::io::Io;
use crate::cli::sql::format::Sink;

/// How often it is looked whether somebody still waits, and how long rows wait for others.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Rows that are handed over at a time: enough that handing over costs nothing beside making them.
const BATCH_ROWS: usize = 256;

/// Bytes of texts after which rows are handed over even if they are few: values may be large.
const BATCH_BYTES: usize = 256 * 1024;

/// Batches that wait to be printed, so that a reader who is slow holds the statement up.
const BATCHES: usize = 2;

/// How a statement ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) rows: u64,
    pub(crate) written: u64,
    pub(crate) has_columns: bool,
    pub(crate) is_read_only: bool,
}

enum Event {
    Columns(Vec<ResultColumn>),
    Rows(Vec<Vec<Scalar>>),
}

/// Runs a statement and gives its rows to a sink. The outer result is about the output, the inner one
/// about the statement.
pub(crate) fn run(
    session: &mut Session,
    (sql, params): (&str, &[Scalar]),
    sink: &mut dyn Sink,
    io: &mut Io<'_>,
) -> Result<Result<Done, SqlError>> {
    let cancel = session.canceller();
    thread::scope(|scope| {
        let (give, take) = sync_channel(BATCHES);
        let engine = scope.spawn(move || ask(session, (sql, params), &give));
        let printed = print(&take, &cancel, sink, io);
        if printed.is_err() {
            cancel.cancel();
        }
        // Whoever waits to hand rows over goes on, and ends.
        drop(take);
        let done = match engine.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        printed?;
        finish(sink, done.is_ok(), io)?;
        Ok(done)
    })
}

fn ask(
    session: &mut Session,
    (sql, params): (&str, &[Scalar]),
    give: &SyncSender<Event>,
) -> Result<Done, SqlError> {
    let mut statement = session.prepare(sql)?;
    let columns = statement.columns();
    let (has_columns, is_read_only) = (!columns.is_empty(), statement.is_read_only());
    let (mut batch, mut bytes, mut given) = (Vec::new(), 0, Instant::now());
    let mut columns = Some(columns);
    // Only a printer that failed takes no more, and its failure is what is told.
    let done = statement.query(params, &mut |row| {
        if let Some(columns) = columns.take()
            && give.send(Event::Columns(columns)).is_err()
        {
            return ControlFlow::Break(());
        }
        let row = row.to_scalars();
        bytes += row.iter().map(length).sum::<usize>();
        batch.push(row);
        let is_due =
            batch.len() >= BATCH_ROWS || bytes >= BATCH_BYTES || given.elapsed() >= LOOK_EVERY;
        if !is_due {
            return ControlFlow::Continue(());
        }
        (bytes, given) = (0, Instant::now());
        match give.send(Event::Rows(std::mem::take(&mut batch))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    // What came before a failure is shown, as it would be if it had come one by one.
    if done.is_ok() || columns.is_none() {
        let columns = columns.take().map(Event::Columns);
        for event in columns.into_iter().chain([Event::Rows(batch)]) {
            give.send(event).ok();
        }
    }
    let done = done?;
    Ok(Done {
        rows: done.rows,
        written: done.written,
        has_columns,
        is_read_only,
    })
}

const fn length(value: &Scalar) -> usize {
    match value {
        Scalar::Text(text) => text.len(),
        Scalar::Blob(bytes) => bytes.len(),
        Scalar::Null | Scalar::Integer(_) | Scalar::Real(_) => 0,
    }
}

/// Prints what comes until there is no more.
fn print(
    take: &Receiver<Event>,
    cancel: &Cancel,
    sink: &mut dyn Sink,
    io: &mut Io<'_>,
) -> Result<()> {
    let mut out = Vec::new();
    loop {
        match take.recv_timeout(LOOK_EVERY) {
            Ok(Event::Columns(columns)) => {
                let (names, declared): (Vec<_>, Vec<_>) =
                    columns.into_iter().map(|it| (it.name, it.declared)).unzip();
                sink.declared(&declared);
                sink.begin(&names, &mut out)?;
            }
            Ok(Event::Rows(rows)) => {
                for row in &rows {
                    sink.row(row, &mut out)?;
                }
            }
            // Fails once nobody reads any more.
            Err(RecvTimeoutError::Timeout) => io.out.flush()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        io.out.write_all(&out)?;
        out.clear();
        if io.is_stopping() {
            cancel.cancel();
        }
    }
}

fn finish(sink: &mut dyn Sink, are_all: bool, io: &mut Io<'_>) -> Result<()> {
    let mut out = Vec::new();
    sink.end(are_all, &mut out)?;
    Ok(io.out.write_all(&out)?)
}

#[cfg(test)]
mod tests {
    use std::io::{Result as IoResult, Write, empty};
    use std::sync::Arc;

    use allod_sql::{At, Catalog, Limits, Table, TableError};
    use tokio::sync::watch;

    use super::*;
    use crate::cli::sql::format::Json;

    /// A catalog without tables.
    struct Nothing;

    impl Catalog for Nothing {
        fn table(&self, _: &str, _: &At) -> Result<Option<Arc<dyn Table>>, TableError> {
            Ok(None)
        }

        fn diff(&self, _: &str, _: &str, _: &str) -> Result<Option<Arc<dyn Table>>, TableError> {
            Ok(None)
        }

        fn names(&self) -> Vec<String> {
            Vec::new()
        }
    }

    /// Somebody who asked and went away.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> IoResult<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> IoResult<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }

    const ENDLESS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";

    fn ran(
        sql: &str,
        out: &mut dyn Write,
        stop: Option<watch::Receiver<bool>>,
    ) -> Result<Result<Done, SqlError>> {
        let limits = Limits {
            rows: 1000,
            ..Limits::default()
        };
        // The clock stands still, so that only a cancel ends what has no end.
        let mut session = Session::new(Arc::new(Nothing), limits, || 0).unwrap();
        let mut io = Io {
            out,
            err: &mut std::io::sink(),
            input: &mut empty(),
            json: false,
            quiet: false,
            verbose: 0,
            live: false,
            columns: None,
            dir: std::path::PathBuf::new(),
            net: None,
            stop,
            secret: None,
        };
        run(&mut session, (sql, &[]), &mut Json::array(), &mut io)
    }

    #[test]
    fn a_statement_ends_when_nobody_waits_for_it() {
        let sql = format!("{ENDLESS} SELECT count(*) FROM c");
        let error = ran(&sql, &mut Gone, None).unwrap_err();
        let error = error.downcast_ref::<std::io::Error>().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        // It waits to hand rows over, then.
        let sql = format!("{ENDLESS} SELECT x FROM c");
        assert!(ran(&sql, &mut Gone, None).is_err());
    }

    #[test]
    fn a_statement_ends_when_the_node_stops() {
        let (_stop, stopped) = watch::channel(true);
        let sql = format!("{ENDLESS} SELECT count(*) FROM c");
        let done = ran(&sql, &mut Vec::new(), Some(stopped)).unwrap();
        assert_eq!(done.unwrap_err(), SqlError::Cancelled);
    }

    #[test]
    fn rows_before_a_failure_are_shown() {
        let mut out = Vec::new();
        let done = ran(&format!("{ENDLESS} SELECT x FROM c"), &mut out, None).unwrap();
        assert_eq!(done.unwrap_err().code(), "E_SQL_LIMIT");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 1001);
        assert!(text.ends_with("{\"x\":1000}"), "the array stays open");
        let mut out = Vec::new();
        let done = ran("SELECT 1 AS x WHERE 0", &mut out, None)
            .unwrap()
            .unwrap();
        assert_eq!(
            (done.rows, done.has_columns, done.is_read_only),
            (0, true, true)
        );
        assert_eq!(out, b"[]\n");
    }
}
