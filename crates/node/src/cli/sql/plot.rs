//! Plots as text, for a terminal.

use allod::shown::real_text;
use unicode_width::UnicodeWidthStr as _;

use crate::cli::sql::axis::Axis;
use crate::cli::sql::gather::{Data, SERIES_MAX, Series};
use crate::cli::sql::table::cut;
use crate::cli::sql_args::PlotKind;

/// What each series is drawn with.
const MARKS: [char; SERIES_MAX] = ['#', '*', 'o', '+', 'x', '=', '@'];

/// Characters of a line where no terminal says how many it has.
const COLUMNS: usize = 80;

/// Fewer characters than this show nothing.
const COLUMNS_MIN: usize = 40;

/// Lines of a plot with two axes: with what is around it, it fits a terminal of 24.
const LINES: usize = 16;

/// Lines from one number at the side to the next.
const LINES_PER_TICK: u32 = 3;

/// Characters from one number below to the next.
const COLUMNS_PER_TICK: usize = 14;

/// Draws rows in a terminal of that many columns.
pub(crate) fn draw(data: &Data, kind: PlotKind, columns: Option<usize>) -> String {
    let columns = columns.unwrap_or(COLUMNS).max(COLUMNS_MIN);
    let mut text = legend(data, kind);
    text += &match kind {
        PlotKind::Bar => bars(data, columns),
        PlotKind::Line | PlotKind::Scatter => Grid::new(data, kind, columns).text(data),
    };
    text
}

/// What is drawn with which mark.
fn legend(data: &Data, kind: PlotKind) -> String {
    let marks = data.series.iter().zip(MARKS);
    let names = marks.map(|(series, mark)| match (&data.series[..], kind) {
        ([_], PlotKind::Bar) => cut(&series.name, COLUMNS_MIN),
        _ => format!("{mark} {}", cut(&series.name, COLUMNS_MIN)),
    });
    names.collect::<Vec<_>>().join("   ") + "\n"
}

/// A number as it stands behind its bar.
fn number(value: f64) -> String {
    let text = real_text(value);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A bar a line, one for each number.
fn bars(data: &Data, columns: usize) -> String {
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let label_width = width(&mut data.labels.iter().map(|label| label.width())).min(columns / 3);
    let number_width = width(&mut data.values().map(|value| number(value).len()));
    // A space behind the label, the line, and a space before the number.
    let room = columns
        .saturating_sub(label_width + number_width + 3)
        .max(1);
    let (low, high) = data
        .values()
        .fold((0.0_f64, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    let scale = if high > low {
        room as f64 / (high - low)
    } else {
        0.0
    };
    let left = cells(-low * scale);
    let mut text = String::new();
    for (row, label) in data.labels.iter().enumerate() {
        for (index, (series, mark)) in data.series.iter().zip(MARKS).enumerate() {
            let label = if index == 0 {
                cut(label, label_width)
            } else {
                String::new()
            };
            text += &label;
            text += &" ".repeat(label_width.saturating_sub(label.width()) + 1);
            let value = series.values.get(row).copied().flatten();
            let length = value.map_or(0.0, |value| value * scale);
            let bar = |length: f64| mark.to_string().repeat(cells(length));
            text += &format!("{:>left$}|{}", bar(-length), bar(length));
            if let Some(value) = value {
                text += &format!(" {}", number(value));
            }
            text.push('\n');
        }
    }
    text
}

/// A length as whole cells; none if it is below 0.
#[expect(clippy::cast_sign_loss, reason = "it is at least 0")]
fn cells(length: f64) -> usize {
    length.round().max(0.0) as usize
}

/// A plane of characters between two axes.
struct Grid {
    columns: usize,
    cells: Vec<Vec<char>>,
    x: Option<Axis>,
    y: Axis,
    /// The width of the numbers at the side.
    side: usize,
}

impl Grid {
    fn new(data: &Data, kind: PlotKind, columns: usize) -> Self {
        let y = Axis::over(data.values(), LINES as u32 / LINES_PER_TICK);
        let side = y.ticks().map(|(_, text)| text.len()).max().unwrap_or(0);
        let columns = columns.saturating_sub(side + 2).max(2);
        let steps = u32::try_from(columns / COLUMNS_PER_TICK).unwrap_or(u32::MAX);
        let x = data
            .xs
            .as_ref()
            .map(|xs| Axis::over(xs.iter().copied(), steps));
        let mut grid = Self {
            columns,
            cells: vec![vec![' '; columns]; LINES],
            x,
            y,
            side,
        };
        for (series, mark) in data.series.iter().zip(MARKS) {
            grid.series(data, series, mark, kind);
        }
        grid
    }

    fn series(&mut self, data: &Data, series: &Series, mark: char, kind: PlotKind) {
        let mut before = None;
        for (row, value) in series.values.iter().enumerate() {
            let place = value.map(|value| (self.column(data, row), self.line(value)));
            if let Some(place) = place {
                let from = before.filter(|_| kind == PlotKind::Line).unwrap_or(place);
                self.way(from, place, mark);
            }
            before = place;
        }
    }

    /// Marks the cells from one to another, both included.
    fn way(&mut self, from: (usize, usize), to: (usize, usize), mark: char) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
        for step in 0..=steps {
            let between =
                |from: usize, to: usize| (from * (steps - step) + to * step + steps / 2) / steps;
            let (column, line) = (between(from.0, to.0), between(from.1, to.1));
            if let Some(cell) = self
                .cells
                .get_mut(line)
                .and_then(|line| line.get_mut(column))
            {
                *cell = mark;
            }
        }
    }

    fn column(&self, data: &Data, row: usize) -> usize {
        let place = match (&self.x, &data.xs) {
            (Some(axis), Some(xs)) => axis.place(xs.get(row).copied().unwrap_or(0.0)),
            _ => row as f64 / data.labels.len().saturating_sub(1).max(1) as f64,
        };
        cells(place * (self.columns - 1) as f64)
    }

    fn line(&self, value: f64) -> usize {
        cells((1.0 - self.y.place(value)) * (LINES - 1) as f64)
    }

    fn text(&self, data: &Data) -> String {
        let mut sides = vec![String::new(); LINES];
        for (value, tick) in self.y.ticks() {
            if let Some(side) = sides.get_mut(self.line(value)) {
                *side = tick;
            }
        }
        let mut text = String::new();
        for (side, cells) in sides.iter().zip(&self.cells) {
            let cells: String = cells.iter().collect();
            text += &format!("{side:>width$} |{}\n", cells.trim_end(), width = self.side);
        }
        text += &format!(
            "{:width$} +{}\n",
            "",
            "-".repeat(self.columns),
            width = self.side
        );
        let below = self.below(data);
        text += &format!("{:width$}  {}\n", "", below.trim_end(), width = self.side);
        text
    }

    /// What stands below the axis: as much as there is room for.
    fn below(&self, data: &Data) -> String {
        let ticks: Vec<(usize, String)> = match &self.x {
            Some(axis) => {
                let column = |place: f64| cells(place * (self.columns - 1) as f64);
                let ticks = axis.ticks();
                ticks
                    .map(|(number, text)| (column(axis.place(number)), text))
                    .collect()
            }
            None => {
                let labels = data.labels.iter().enumerate();
                labels
                    .map(|(row, label)| (self.column(data, row), label.clone()))
                    .collect()
            }
        };
        let mut line = String::new();
        for (column, text) in ticks {
            // In the middle of its place, if that is within the line.
            let begin = column.saturating_sub(text.width() / 2);
            let begin = begin.min((self.columns + 1).saturating_sub(text.width()));
            let end = line.width();
            if end == 0 || begin >= end + 2 {
                line += &" ".repeat(begin.saturating_sub(end));
                line += &text;
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(labels: &[&str], xs: Option<&[f64]>, series: &[(&str, &[Option<f64>])]) -> Data {
        Data {
            x_name: "x".to_owned(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            xs: xs.map(<[f64]>::to_vec),
            series: series
                .iter()
                .map(|(name, values)| Series {
                    name: (*name).to_owned(),
                    values: values.to_vec(),
                })
                .collect(),
        }
    }

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        let one = data(
            &["mon", "tuesday", "w"],
            None,
            &[("n", &[Some(30.0), Some(15.0), None])],
        );
        let text = draw(&one, PlotKind::Bar, Some(40));
        let bar = |length| "#".repeat(length);
        let expected = [
            "n".to_owned(),
            format!("mon     |{} 30", bar(28)),
            format!("tuesday |{} 15", bar(14)),
            "w       |".to_owned(),
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert!(text.lines().all(|line| line.len() <= 40));
    }

    #[test]
    fn bars_below_zero_go_to_the_left() {
        let two = data(
            &["a", "b"],
            None,
            &[
                ("up", &[Some(10.0), Some(0.0)]),
                ("down", &[Some(-10.0), Some(-5.5)]),
            ],
        );
        let text = draw(&two, PlotKind::Bar, Some(40));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "# up   * down");
        assert_eq!(lines.len(), 5);
        let zero = lines[1].find('|').unwrap();
        assert!(
            lines[1..].iter().all(|line| line.find('|') == Some(zero)),
            "{text}"
        );
        assert_eq!(lines[1].matches('#').count(), lines[2].matches('*').count());
        assert!(lines[1].find('#').unwrap() > zero && lines[2].find('*').unwrap() < zero);
        assert!(lines[4].ends_with("| -5.5"), "{text}");
        let none = data(&["a"], None, &[("n", &[Some(0.0)])]);
        assert!(draw(&none, PlotKind::Bar, None).ends_with("a | 0\n"));
    }

    #[test]
    fn points_are_where_the_axes_say() {
        let xs = [0.0, 10.0];
        let line = data(&["0", "10"], Some(&xs), &[("n", &[Some(0.0), Some(100.0)])]);
        let text = draw(&line, PlotKind::Scatter, Some(60));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + LINES + 2, "{text}");
        assert!(
            lines[1].starts_with("100 |") && lines[1].ends_with('#'),
            "{text}"
        );
        assert_eq!(lines[LINES], "  0 |#");
        assert!(lines[LINES + 1].starts_with("    +---"), "{text}");
        assert!(lines[LINES + 2].trim_start().starts_with('0') && lines[LINES + 2].ends_with("10"));
        assert_eq!(text.matches('#').count(), 3, "{text}");
        let text = draw(&line, PlotKind::Line, Some(60));
        // The legend, and a mark in each column.
        assert_eq!(text.matches('#').count(), 1 + 60 - 5, "{text}");
        assert!(text.lines().all(|line| line.len() <= 60));
    }

    #[test]
    fn a_line_has_gaps_where_numbers_are_missing() {
        let values = [Some(1.0), Some(1.0), None, Some(1.0), Some(1.0)];
        let labels = ["a", "b", "c", "d", "e"];
        let text = draw(
            &data(&labels, None, &[("n", &values)]),
            PlotKind::Line,
            Some(48),
        );
        let drawn = text
            .lines()
            .skip(1)
            .find(|line| line.contains('#'))
            .unwrap();
        assert!(
            drawn.contains("#   ") && drawn.trim_end().ends_with("##"),
            "{text}"
        );
        let below = text.lines().last().unwrap();
        assert_eq!(below.split_whitespace().collect::<Vec<_>>(), labels);
    }
}
