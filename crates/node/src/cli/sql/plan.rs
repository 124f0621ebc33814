//! How tables would be read: EXPLAIN and `--explain`.

use allod_sql::{PlanRow, Scalar, Session, SqlError};
use anyhow::Result;

use crate::cli::Usage;
use crate::cli::io::Io;
use crate::cli::sql::csv::Csv;
use crate::cli::sql::format::{Json, Sink};
use crate::cli::sql::split::behind_explain;
use crate::cli::sql_args::RowFormat;

/// Where the statement begins whose plan is wanted; `None` if it is to be run.
pub(crate) fn offset(sql: &str, is_asked_for: bool) -> Option<usize> {
    behind_explain(sql).or(is_asked_for.then_some(0))
}

/// The plan of the statement that begins there.
pub(crate) fn read(
    session: &mut Session,
    sql: &str,
    offset: usize,
) -> Result<Vec<PlanRow>, SqlError> {
    // As long as before, so that places stay what they are.
    let mut blank = " ".repeat(offset);
    blank.push_str(sql.get(offset..).unwrap_or_default());
    session.explain(&blank)
}

/// Prints a plan: for people each line below the one that it belongs to.
pub(crate) fn print(rows: &[PlanRow], format: RowFormat, io: &mut Io<'_>) -> Result<()> {
    let mut sink: Box<dyn Sink> = match format {
        RowFormat::Table => {
            for line in tree(rows) {
                io.line(line)?;
            }
            return Ok(());
        }
        RowFormat::Json => Box::new(Json::array()),
        RowFormat::Ndjson => Box::new(Json::lines()),
        RowFormat::Csv => Box::new(Csv::new()),
        // Of a statement that begins with EXPLAIN.
        RowFormat::Arrow | RowFormat::Parquet => {
            return Err(Usage("a plan is printed, as text or JSON".to_owned()).into());
        }
    };
    let mut out = Vec::new();
    sink.begin(&["id", "parent", "detail"].map(str::to_owned), &mut out)?;
    for row in rows {
        let detail = Scalar::from(row.detail.as_str());
        sink.row(&[row.id.into(), row.parent.into(), detail], &mut out)?;
    }
    sink.end(true, &mut out)?;
    Ok(io.out.write_all(&out)?)
}

fn tree(rows: &[PlanRow]) -> Vec<String> {
    let mut depths = std::collections::BTreeMap::new();
    let mut lines = Vec::new();
    for row in rows {
        // A line comes behind the one that it belongs to.
        let depth = depths.get(&row.parent).map_or(0, |depth| depth + 1);
        depths.insert(row.id, depth);
        lines.push(format!("{}{}", "  ".repeat(depth), row.detail));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_below_what_they_belong_to() {
        let row = |id, parent, detail: &str| PlanRow {
            id,
            parent,
            detail: detail.to_owned(),
        };
        let rows = [
            row(2, 0, "a"),
            row(5, 2, "b"),
            row(9, 5, "c"),
            row(12, 2, "d"),
            row(20, 0, "e"),
        ];
        assert_eq!(tree(&rows), ["a", "  b", "    c", "  d", "e"]);
    }
}
