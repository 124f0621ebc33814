//! Plots as pictures.

use std::path::Path;

use anyhow::Result;
use unicode_width::UnicodeWidthStr as _;

use crate::cli::io::Io;
use crate::cli::pictures;
use crate::cli::sql::axis::Axis;
use crate::cli::sql::gather::{Data, Series};
use crate::cli::sql::table::cut;
use crate::cli::sql_args::PlotKind;
use crate::cli::svg::{CHAR, COLOURS, escape, open};

/// Pixels of the picture.
const WIDTH: usize = 860;
const HEIGHT: usize = 480;

/// Pixels around what is drawn.
const EDGE: f64 = 20.0;

/// Pixels of a line of text.
const LINE: f64 = 20.0;

/// Steps of the axis at the side, about.
const STEPS_UP: u32 = 8;

/// Steps of the axis below, about.
const STEPS_ACROSS: u32 = 12;

/// Characters of the title that are shown; the rest is in the title that programs read.
const TITLE_CHARS: usize = 100;

/// Characters of a name or a label: what is longer runs into the next.
const LABEL_CHARS: usize = 18;

/// The part of its place that a group of bars takes.
const BARS_SHARE: f64 = 0.8;

const STYLE: &str = "<style>\
    .grid{stroke:#d0d7de}.axis{stroke:#6a737d}.tick{font-size:12px}.end{text-anchor:end}.middle{text-anchor:middle}\
    @media (prefers-color-scheme:dark){.grid{stroke:#30363d}.axis{stroke:#8b949e}}\
    </style>\n";

/// Draws rows into a file.
pub(crate) fn write(
    data: &Data,
    kind: PlotKind,
    title: &str,
    file: &Path,
    io: &mut Io<'_>,
) -> Result<()> {
    pictures::write(&draw(data, kind, title), "the plot", file, io)
}

/// Draws rows.
pub(crate) fn draw(data: &Data, kind: PlotKind, title: &str) -> String {
    let picture = Picture::new(data, kind);
    let mut svg = open((WIDTH, HEIGHT), title) + STYLE;
    svg += &words(
        EDGE,
        EDGE + 4.0,
        "name",
        &cut(&one_line(title), TITLE_CHARS),
    );
    svg += &legend(data);
    svg += &picture.axes();
    let of_series = data.series.iter().zip(COLOURS).enumerate();
    for (index, (series, colour)) in of_series {
        svg += &match kind {
            PlotKind::Bar => picture.bars(series, (index, colour)),
            PlotKind::Line => picture.line(series, colour) + &picture.points(series, colour),
            PlotKind::Scatter => picture.points(series, colour),
        };
    }
    svg + "</svg>\n"
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn words(x: f64, y: f64, class: &str, text: &str) -> String {
    format!(
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>\n",
        escape(text)
    )
}

/// About how many pixels a text takes.
fn pixels(text: &str) -> f64 {
    (text.width() * CHAR) as f64
}

/// What is drawn in which colour, below the title.
fn legend(data: &Data) -> String {
    let (mut svg, mut x, y) = (String::new(), EDGE, EDGE + LINE);
    for (series, colour) in data.series.iter().zip(COLOURS) {
        let name = cut(&series.name, LABEL_CHARS);
        svg += &format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\n"
        );
        svg += &words(x + 15.0, y + 10.0, "", &name);
        x += 15.0 + pixels(&name) + EDGE;
    }
    svg
}

/// Where things are in the picture.
struct Picture<'a> {
    data: &'a Data,
    x: Option<Axis>,
    y: Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl<'a> Picture<'a> {
    fn new(data: &'a Data, kind: PlotKind) -> Self {
        // A bar is as long as its number says only if it begins at 0.
        let zero = (kind == PlotKind::Bar).then_some(0.0);
        let y = Axis::over(data.values().chain(zero), STEPS_UP);
        let side = y.ticks().map(|(_, text)| pixels(&text)).fold(0.0, f64::max);
        let x = match (&data.xs, kind) {
            (Some(xs), PlotKind::Line | PlotKind::Scatter) => {
                Some(Axis::over(xs.iter().copied(), STEPS_ACROSS))
            }
            _ => None,
        };
        Self {
            data,
            x,
            y,
            left: EDGE + side + 8.0,
            right: WIDTH as f64 - 1.5 * EDGE,
            top: EDGE + 2.5 * LINE,
            bottom: HEIGHT as f64 - EDGE - 2.0 * LINE,
        }
    }

    /// The width of the place of a row, where x is no number.
    fn band(&self) -> f64 {
        (self.right - self.left) / self.data.labels.len().max(1) as f64
    }

    /// Where a row is, from left to right.
    fn across(&self, row: usize) -> f64 {
        match (&self.x, &self.data.xs) {
            (Some(axis), Some(xs)) => self.at(axis, xs.get(row).copied().unwrap_or(0.0)),
            _ => self.left + (row as f64 + 0.5) * self.band(),
        }
    }

    fn at(&self, axis: &Axis, number: f64) -> f64 {
        self.left + axis.place(number) * (self.right - self.left)
    }

    /// Where a number is, from top to bottom.
    fn down(&self, value: f64) -> f64 {
        self.bottom - self.y.place(value) * (self.bottom - self.top)
    }

    fn axes(&self) -> String {
        let (left, right, bottom) = (self.left, self.right, self.bottom);
        let mut svg = String::new();
        for (value, text) in self.y.ticks() {
            let y = self.down(value);
            svg += &format!("<path class=\"grid\" d=\"M{left:.1} {y:.1}H{right:.1}\"/>\n");
            svg += &words(left - 8.0, y + 4.0, "tick end", &text);
        }
        for (x, text) in self.below() {
            svg += &format!("<path class=\"axis\" d=\"M{x:.1} {bottom:.1}v5\"/>\n");
            svg += &words(x, bottom + LINE, "tick middle", &text);
        }
        svg += &format!(
            "<path class=\"axis\" fill=\"none\" d=\"M{left:.1} {:.1}V{bottom:.1}H{right:.1}\"/>\n",
            self.top
        );
        let name = cut(&self.data.x_name, LABEL_CHARS);
        svg + &words(
            f64::midpoint(left, right),
            bottom + 2.0 * LINE,
            "soft middle",
            &name,
        )
    }

    /// What stands below the axis: all numbers, or as many labels as there is room for.
    fn below(&self) -> Vec<(f64, String)> {
        if let Some(axis) = &self.x {
            let ticks = axis.ticks();
            return ticks
                .map(|(number, text)| (self.at(axis, number), text))
                .collect();
        }
        let labels = self.data.labels.iter().map(|label| cut(label, LABEL_CHARS));
        let (mut shown, mut end) = (Vec::new(), f64::NEG_INFINITY);
        for (row, label) in labels.enumerate() {
            let (x, half) = (self.across(row), pixels(&label) / 2.0);
            if x - half >= end {
                end = x + half + CHAR as f64;
                shown.push((x, label));
            }
        }
        shown
    }

    /// What shows when the pointer rests on a row.
    fn hint(&self, series: &Series, row: usize, value: f64) -> String {
        let label = self.data.labels.get(row).map_or("", String::as_str);
        format!(
            "<title>{}: {} {value}</title>",
            escape(label),
            escape(&series.name)
        )
    }

    fn bars(&self, series: &Series, (index, colour): (usize, &str)) -> String {
        let group = self.band() * BARS_SHARE;
        let width = group / self.data.series.len().max(1) as f64;
        let mut svg = String::new();
        for (row, value) in numbers(series) {
            let x = self.across(row) - group / 2.0 + index as f64 * width;
            let (zero, end) = (self.down(0.0), self.down(value));
            svg += &format!(
                "<rect x=\"{x:.2}\" y=\"{:.2}\" width=\"{width:.2}\" height=\"{:.2}\" fill=\"{colour}\">{}</rect>\n",
                zero.min(end),
                (zero - end).abs(),
                self.hint(series, row, value)
            );
        }
        svg
    }

    fn line(&self, series: &Series, colour: &str) -> String {
        let (mut path, mut goes_on) = (String::new(), false);
        for (row, value) in series.values.iter().enumerate() {
            if let Some(value) = value {
                let command = if goes_on { 'L' } else { 'M' };
                path += &format!("{command}{:.1} {:.1}", self.across(row), self.down(*value));
            }
            goes_on = value.is_some();
        }
        format!("<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n")
    }

    fn points(&self, series: &Series, colour: &str) -> String {
        let points = numbers(series).map(|(row, value)| {
            format!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\" fill-opacity=\"0.8\">{}</circle>\n",
                self.across(row),
                self.down(value),
                self.hint(series, row, value)
            )
        });
        points.collect()
    }
}

fn numbers(series: &Series) -> impl Iterator<Item = (usize, f64)> + '_ {
    let values = series.values.iter().enumerate();
    values.filter_map(|(row, value)| Some((row, (*value)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Data {
        let series = |name: &str, values: &[Option<f64>]| Series {
            name: name.to_owned(),
            values: values.to_vec(),
        };
        Data {
            x_name: "day".to_owned(),
            labels: ["<a>", "b", "c"].map(str::to_owned).to_vec(),
            xs: None,
            series: vec![
                series("in & out", &[Some(10.0), None, Some(-4.0)]),
                series("all", &[Some(1.0), Some(2.0), Some(3.0)]),
            ],
        }
    }

    /// What a picture says where a name stands, as numbers.
    fn attributes(svg: &str, name: &str) -> Vec<f64> {
        let begins = format!(" {name}=\"");
        let found = svg.split(&begins).skip(1);
        found
            .filter_map(|rest| rest.split('"').next()?.parse().ok())
            .collect()
    }

    #[test]
    fn a_picture_has_axes_a_legend_and_each_number() {
        for (kind, shapes) in [
            (PlotKind::Bar, 0),
            (PlotKind::Line, 5),
            (PlotKind::Scatter, 5),
        ] {
            let svg = draw(&two(), kind, "SELECT '<x>'\nFROM t");
            assert!(
                svg.contains("<title>SELECT '&lt;x&gt;'\nFROM t</title>"),
                "{svg}"
            );
            assert!(svg.contains(">SELECT '&lt;x&gt;' FROM t</text>"), "{svg}");
            assert!(
                svg.contains(">in &amp; out</text>") && svg.contains(">day</text>"),
                "{svg}"
            );
            assert!(svg.contains(">&lt;a&gt;</text>"), "{svg}");
            assert_eq!(svg.matches("<circle").count(), shapes, "{svg}");
            // The back, two in the legend, and the bars.
            let rects = if kind == PlotKind::Bar { 8 } else { 3 };
            assert_eq!(svg.matches("<rect").count(), rects, "{svg}");
            assert!(
                svg.contains(">-4</text>") && svg.contains(">10</text>"),
                "{svg}"
            );
            assert!(svg.contains(COLOURS[0]) && svg.contains(COLOURS[1]));
            assert!(svg.ends_with("</svg>\n"));
            for (name, end) in [("x", WIDTH), ("cx", WIDTH), ("y", HEIGHT), ("cy", HEIGHT)] {
                let places = attributes(&svg, name);
                assert!(
                    places.iter().all(|at| (0.0..=end as f64).contains(at)),
                    "{name} {places:?}"
                );
            }
        }
    }

    #[test]
    fn a_line_is_broken_where_a_number_is_missing() {
        let data = two();
        let picture = Picture::new(&data, PlotKind::Line);
        let moves = |series: usize| {
            picture
                .line(&data.series[series], "#000")
                .matches('M')
                .count()
        };
        assert_eq!((moves(0), moves(1)), (2, 1));
    }

    #[test]
    fn labels_do_not_run_into_each_other() {
        let mut data = two();
        data.labels = (0..500).map(|row| format!("label {row}")).collect();
        data.series[0].values = vec![Some(1.0); 500];
        let picture = Picture::new(&data, PlotKind::Bar);
        let below = picture.below();
        assert!((2..40).contains(&below.len()));
        for pair in below.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= pixels(&pair[0].1), "{pair:?}");
        }
    }
}
