//! The rows of a plot: labels or numbers to go by, and numbers to draw.

use allod_sql::Scalar;
use anyhow::Result;

use crate::cli::Usage;
use crate::cli::sql::format::Sink;
use crate::cli::sql::table;

/// Rows that are drawn: several for each pixel of the widest screen.
const ROWS_MAX: usize = 10_000;

/// Columns that are drawn: as many as there are colours that are told apart.
pub(crate) const SERIES_MAX: usize = 7;

/// Columns that are looked at for numbers.
const COLUMNS_MAX: usize = 32;

/// Numbers beyond this are not drawn: sums of them would not be finite.
const NUMBER_MAX: f64 = 1e300;

/// What is drawn.
#[derive(Debug, PartialEq)]
pub(crate) struct Data {
    /// What x is called.
    pub(crate) x_name: String,
    /// What x is in each row.
    pub(crate) labels: Vec<String>,
    /// The same as numbers, if it is a number in every row.
    pub(crate) xs: Option<Vec<f64>>,
    pub(crate) series: Vec<Series>,
}

/// A column of numbers, one for each row that has one.
#[derive(Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) values: Vec<Option<f64>>,
}

impl Data {
    /// All numbers that are drawn.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> + '_ {
        let series = self.series.iter();
        series.flat_map(|series| series.values.iter().copied().flatten())
    }
}

/// Keeps rows until all are there.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    names: Vec<String>,
    labels: Vec<String>,
    /// Of each column the numbers; none once it has something else.
    columns: Vec<Option<Vec<Option<f64>>>>,
}

impl Sink for Gather {
    fn begin(&mut self, names: &[String], _out: &mut Vec<u8>) -> Result<()> {
        self.names = names.iter().take(COLUMNS_MAX).cloned().collect();
        self.columns = vec![Some(Vec::new()); self.names.len()];
        Ok(())
    }

    fn row(&mut self, row: &[Scalar], _out: &mut Vec<u8>) -> Result<()> {
        if self.labels.len() == ROWS_MAX {
            let text =
                format!("a plot has at most {ROWS_MAX} rows; GROUP BY or LIMIT makes them fewer");
            return Err(Usage(text).into());
        }
        self.labels
            .push(row.first().map(table::text).unwrap_or_default());
        for (column, value) in self.columns.iter_mut().zip(row) {
            let number = match value {
                Scalar::Null => None,
                Scalar::Integer(number) => Some(*number as f64),
                Scalar::Real(number) => Some(*number).filter(|it| it.abs() <= NUMBER_MAX),
                Scalar::Text(_) | Scalar::Blob(_) => {
                    *column = None;
                    continue;
                }
            };
            if let Some(numbers) = column {
                numbers.push(number);
            }
        }
        Ok(())
    }

    fn end(&mut self, _are_all: bool, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}

impl Gather {
    /// What there is to draw. Fails if that is nothing.
    pub(crate) fn data(self) -> Result<Data> {
        let mut columns = self.names.into_iter().zip(self.columns);
        let (x_name, first) = columns.next().unwrap_or_default();
        let xs = first.and_then(|first| first.into_iter().collect::<Option<Vec<f64>>>());
        let series: Vec<Series> = columns
            .filter_map(|(name, values)| {
                Some(Series {
                    name,
                    values: values?,
                })
            })
            .filter(|series| series.values.iter().any(Option::is_some))
            .take(SERIES_MAX)
            .collect();
        if series.is_empty() {
            let text = "there are no numbers to draw: the first column is x, and those behind it are drawn if they are numbers";
            return Err(Usage(text.to_owned()).into());
        }
        Ok(Data {
            x_name,
            labels: self.labels,
            xs,
            series,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(names: &[&str], rows: &[&[Scalar]]) -> Result<Data> {
        let (mut gather, mut out) = (Gather::default(), Vec::new());
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        gather.begin(&names, &mut out)?;
        for row in rows {
            gather.row(row, &mut out)?;
        }
        gather.data()
    }

    #[test]
    fn columns_of_numbers_are_drawn() {
        let rows: [&[Scalar]; 2] = [
            &[1.into(), "a".into(), Scalar::Null, 1.into(), Scalar::Null],
            &[
                2.into(),
                5.into(),
                2.5.into(),
                f64::INFINITY.into(),
                Scalar::Null,
            ],
        ];
        let data = gathered(&["x", "t", "n", "i", "none"], &rows).unwrap();
        assert_eq!(data.labels, ["1", "2"]);
        assert_eq!(data.xs, Some(vec![1.0, 2.0]));
        let names: Vec<&str> = data.series.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["n", "i"]);
        assert_eq!(data.series[0].values, [None, Some(2.5)]);
        assert_eq!(data.values().collect::<Vec<_>>(), [2.5, 1.0]);
        let rows: [&[Scalar]; 1] = [&["mon".into(), 1.into()]];
        assert_eq!(gathered(&["x", "n"], &rows).unwrap().xs, None);
    }

    #[test]
    fn without_numbers_or_with_too_many_rows_nothing_is_drawn() {
        let row: &[Scalar] = &["mon".into(), 1.into()];
        assert!(gathered(&["x", "n"], &[]).is_err());
        assert!(gathered(&["x"], &[&row[1..]]).is_err());
        assert!(gathered(&["x", "n"], &vec![row; ROWS_MAX]).is_ok());
        assert!(gathered(&["x", "n"], &vec![row; ROWS_MAX + 1]).is_err());
    }
}
