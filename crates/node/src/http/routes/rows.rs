//! A statement, run apart from the runtime, and its rows as lines of JSON.

use std::ops::ControlFlow;
use std::time::Instant;

use allod_sql::{ResultColumn, Scalar, Session};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;

use super::sql::AnswerColumn;
use crate::http::limits::{ROWS_BYTES, ROWS_WAIT};
use crate::http::problem::Problem;
use crate::shown::scalar_value;

/// Runs a statement and hands its rows over as lines: first the columns, then each row. Returns how many rows
/// there were. Ends early where nobody takes them.
pub(crate) fn run(
    session: &mut Session,
    (sql, params): (&str, &[Scalar]),
    give: &mpsc::Sender<Bytes>,
) -> Result<u64, Problem> {
    let mut statement = session.prepare(sql)?;
    if !statement.is_read_only() {
        let words = "statements only read here; a write is a commit";
        return Err(Problem::new("E_SQL_READ_ONLY", words));
    }
    let mut lines = head(statement.columns())?;
    let (mut fault, mut given) = (None, Instant::now());
    let done = statement.query(params, &mut |row| {
        let values: Vec<_> = row.to_scalars().iter().map(scalar_value).collect();
        if let Err(error) = serde_json::to_writer(&mut lines, &values) {
            fault = Some(Problem::fault(error));
            return ControlFlow::Break(());
        }
        lines.push(b'\n');
        if lines.len() < ROWS_BYTES && given.elapsed() < ROWS_WAIT {
            return ControlFlow::Continue(());
        }
        given = Instant::now();
        match give.blocking_send(std::mem::take(&mut lines).into()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    let rows = done?.rows;
    // Nobody may be there to take it.
    give.blocking_send(lines.into()).ok();
    Ok(rows)
}

/// The line that says what columns there are.
fn head(columns: Vec<ResultColumn>) -> Result<Vec<u8>, Problem> {
    let columns = columns.into_iter().map(|column| AnswerColumn {
        name: column.name,
        declared: column.declared,
    });
    let columns: Vec<AnswerColumn> = columns.collect();
    let mut line = serde_json::to_vec(&json!({ "columns": columns })).map_err(Problem::fault)?;
    line.push(b'\n');
    Ok(line)
}
