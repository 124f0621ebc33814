//! Rows as JSON, and what all forms of output have in common.

use allod::shown::scalar_value;
use allod_sql::Scalar;
use anyhow::Result;
use serde_json::json;

/// Takes the rows of one statement, and writes them in some form.
pub(crate) trait Sink {
    /// What the columns were declared as, where they are columns of tables. Said first.
    fn declared(&mut self, _declared: &[Option<String>]) {}

    /// The rows have these columns.
    fn begin(&mut self, names: &[String], out: &mut Vec<u8>) -> Result<()>;

    /// The next row.
    fn row(&mut self, row: &[Scalar], out: &mut Vec<u8>) -> Result<()>;

    /// There are no more rows: those were all, or the statement failed behind them.
    fn end(&mut self, are_all: bool, out: &mut Vec<u8>) -> Result<()>;
}

/// Rows as objects.
#[derive(Debug, Default)]
pub(crate) struct Json {
    is_array: bool,
    /// Of each column what comes before its value: the name and a colon.
    names: Vec<String>,
    has_rows: bool,
}

impl Json {
    /// All rows as one array.
    pub(crate) fn array() -> Self {
        Self {
            is_array: true,
            ..Self::default()
        }
    }

    /// Each row on a line of its own.
    pub(crate) fn lines() -> Self {
        Self::default()
    }
}

impl Sink for Json {
    fn begin(&mut self, names: &[String], out: &mut Vec<u8>) -> Result<()> {
        for name in distinct(names) {
            self.names.push(format!("{}:", json!(name)));
        }
        if self.is_array && !names.is_empty() {
            out.push(b'[');
        }
        Ok(())
    }

    fn row(&mut self, row: &[Scalar], out: &mut Vec<u8>) -> Result<()> {
        if self.is_array {
            let before: &[u8] = if self.has_rows { b",\n" } else { b"\n" };
            out.extend(before);
        }
        self.has_rows = true;
        out.push(b'{');
        for (at, (name, value)) in self.names.iter().zip(row).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend(name.as_bytes());
            serde_json::to_writer(&mut *out, &scalar_value(value))?;
        }
        out.push(b'}');
        if !self.is_array {
            out.push(b'\n');
        }
        Ok(())
    }

    fn end(&mut self, are_all: bool, out: &mut Vec<u8>) -> Result<()> {
        // An array that stays open is not taken for a whole one.
        if self.is_array && are_all && !self.names.is_empty() {
            let close: &[u8] = if self.has_rows { b"\n]\n" } else { b"]\n" };
            out.extend(close);
        }
        Ok(())
    }
}

/// Names as they are, but that one which was there before gets a number: an object has each name once.
pub(crate) fn distinct(names: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut taken: std::collections::BTreeSet<String> = names.iter().cloned().collect();
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        let mut given = name.clone();
        let mut number = 1_usize;
        if !seen.insert(name.clone()) {
            while !taken.insert(given.clone()) {
                number += 1;
                given = format!("{name}_{number}");
            }
        }
        all.push(given);
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    pub(crate) fn written(mut sink: impl Sink, names: &[&str], rows: &[&[Scalar]]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut out = Vec::new();
        sink.begin(&names, &mut out).unwrap();
        for row in rows {
            sink.row(row, &mut out).unwrap();
        }
        sink.end(true, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_are_objects_with_exact_numbers() {
        let row: &[Scalar] = &[
            i64::MAX.into(),
            1.0.into(),
            f64::NEG_INFINITY.into(),
            "\"\n".into(),
            vec![0, 255].into(),
            Scalar::Null,
        ];
        let names = ["i", "r", "f", "t", "b", "n\""];
        assert_eq!(
            written(Json::lines(), &names, &[row]),
            "{\"i\":9223372036854775807,\"r\":1.0,\"f\":\"-Infinity\",\"t\":\"\\\"\\n\",\
             \"b\":{\"base16\":\"00ff\"},\"n\\\"\":null}\n"
        );
        let text = written(Json::array(), &names, &[row, row]);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.as_array().unwrap().len(), 2);
        assert_eq!(written(Json::array(), &["x"], &[]), "[]\n");
    }

    #[test]
    fn no_name_is_there_twice() {
        let names = ["x", "x", "x_2", "x", "y"].map(str::to_owned);
        assert_eq!(distinct(&names), ["x", "x_3", "x_2", "x_4", "y"]);
    }
}
