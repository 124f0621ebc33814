//! A history as a picture: `log --svg`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Pixels from one commit to the next.
const ROW: usize = 30;

/// Pixels from one lane to the next.
const LANE: usize = 20;

/// Pixels around the picture.
const EDGE: usize = 20;

/// Pixels that a character takes, about.
pub(crate) const CHAR: usize = 7;

/// Characters of a message that are shown; the rest is in the hint that shows when the pointer rests.
const MESSAGE_CHARS: usize = 72;

/// Colours of lanes, told apart also by those who see red and green alike (Okabe and Ito).
pub(crate) const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f",
];

/// How all pictures look, in daylight and at night.
pub(crate) const STYLE: &str = "<style>\
    text{font:13px ui-monospace,monospace;fill:#1b1f24}\
    .soft{fill:#6a737d}.name{font-weight:600}.back{fill:#ffffff}\
    .badge{fill:#dbe9f9;stroke:#7aa7d9}\
    @media (prefers-color-scheme:dark){text{fill:#e6edf3}.soft{fill:#8b949e}.back{fill:#0d1117}\
    .badge{fill:#12304f;stroke:#3d7ab8}}\
    </style>";

/// A commit as it is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Row<T> {
    pub(crate) id: T,
    pub(crate) parents: Vec<T>,
    /// Names of branches and tags that lead to it.
    pub(crate) names: Vec<String>,
    /// Its short id.
    pub(crate) short: String,
    /// When, and by whom.
    pub(crate) about: String,
    pub(crate) message: String,
}

/// Draws commits, children before parents.
pub(crate) fn history<T: Copy + Ord>(rows: &[Row<T>]) -> String {
    let lanes = lanes(rows);
    let at: BTreeMap<T, (usize, usize)> = rows
        .iter()
        .zip(&lanes)
        .enumerate()
        .map(|(row, (commit, lane))| (commit.id, (*lane, row)))
        .collect();
    let width = lanes.iter().max().map_or(0, |lane| lane + 1);
    let text = EDGE + width * LANE + LANE / 2;
    let longest = rows.iter().map(|row| text_chars(row) * CHAR).max();
    let size = (
        text + longest.unwrap_or(0) + EDGE,
        2 * EDGE + rows.len().max(1) * ROW,
    );
    let mut svg = open(size, "The history of a space");
    for (row, (commit, lane)) in rows.iter().zip(&lanes).enumerate() {
        for parent in &commit.parents {
            // What is not drawn lies below.
            let (to, end) = at
                .get(parent)
                .map_or((*lane, size.1), |(lane, row)| (*lane, y(*row)));
            svg += &edge((*lane, y(row)), (to, end));
        }
    }
    for (row, (commit, lane)) in rows.iter().zip(&lanes).enumerate() {
        svg += &commit_text(commit, (x(*lane), y(row)), text, colour(*lane));
    }
    svg + "</svg>\n"
}

/// The beginning of a picture of that width and height.
pub(crate) fn open((width, height): (usize, usize), title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{}</title>{STYLE}\n\
         <rect class=\"back\" width=\"100%\" height=\"100%\"/>\n",
        escape(title)
    )
}

/// The lane of each commit. A commit stands in the leftmost lane that leads to it, and its first
/// parent goes on there unless it has a lane farther left.
fn lanes<T: Copy + Ord>(rows: &[Row<T>]) -> Vec<usize> {
    let mut open: Vec<Option<T>> = Vec::new();
    let mut lanes = Vec::new();
    for row in rows {
        let lane = open.iter().position(|waits| *waits == Some(row.id));
        let lane = lane.unwrap_or_else(|| free(&mut open));
        for waits in &mut open {
            if *waits == Some(row.id) {
                *waits = None;
            }
        }
        lanes.push(lane);
        // Nobody else takes its lane before its first parent did.
        if let Some(here) = open.get_mut(lane) {
            *here = Some(row.id);
        }
        let mut goes_on = false;
        for (number, parent) in row.parents.iter().enumerate() {
            let there = open.iter().position(|waits| *waits == Some(*parent));
            let place = match there {
                // The farther left, the straighter is the line that people look for.
                Some(there) if number == 0 && there > lane => {
                    if let Some(slot) = open.get_mut(there) {
                        *slot = None;
                    }
                    lane
                }
                Some(_) => continue,
                None if goes_on => free(&mut open),
                None => lane,
            };
            goes_on |= place == lane;
            if let Some(slot) = open.get_mut(place) {
                *slot = Some(*parent);
            }
        }
        if !goes_on && let Some(here) = open.get_mut(lane) {
            *here = None;
        }
    }
    lanes
}

/// The leftmost lane that leads nowhere.
fn free<T>(open: &mut Vec<Option<T>>) -> usize {
    let found = open.iter().position(Option::is_none);
    found.unwrap_or_else(|| {
        open.push(None);
        open.len() - 1
    })
}

const fn x(lane: usize) -> usize {
    EDGE + lane * LANE + LANE / 2
}

const fn y(row: usize) -> usize {
    EDGE + row * ROW + ROW / 2
}

const fn colour(lane: usize) -> &'static str {
    COLOURS[lane % COLOURS.len()]
}

/// A line from a commit down to its parent. To the right it goes over at once, to the left at the end,
/// so that it never lies over the line of another.
fn edge((from, top): (usize, usize), (to, bottom): (usize, usize)) -> String {
    let (left, right) = (x(from), x(to));
    let turn = if to < from { bottom - ROW } else { top };
    let (end, colour) = (turn + ROW, colour(from.max(to)));
    format!(
        "<path d=\"M{left} {top}V{turn}C{left} {end} {right} {turn} {right} {end}V{bottom}\" \
         fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n"
    )
}

fn commit_text<T>(row: &Row<T>, (cx, cy): (usize, usize), text: usize, colour: &str) -> String {
    let mut svg = format!(
        "<g><title>{}</title><circle cx=\"{cx}\" cy=\"{cy}\" r=\"5\" fill=\"{colour}\"/>",
        escape(&row.message)
    );
    let mut at = text;
    for name in &row.names {
        let width = (name.chars().count() + 2) * CHAR;
        // Writing to a text does not fail.
        write!(
            svg,
            "<rect class=\"badge\" x=\"{at}\" y=\"{}\" width=\"{width}\" height=\"18\" rx=\"4\"/>\
             <text class=\"name\" x=\"{}\" y=\"{}\">{}</text>",
            cy - 9,
            at + CHAR,
            cy + 4,
            escape(name)
        )
        .ok();
        at += width + CHAR;
    }
    let baseline = cy + 4;
    svg + &format!(
        "<text x=\"{at}\" y=\"{baseline}\"><tspan class=\"soft\">{}  {}</tspan>  {}</text></g>\n",
        escape(&row.short),
        escape(&row.about),
        escape(&line(&row.message))
    )
}

fn text_chars<T>(row: &Row<T>) -> usize {
    let names: usize = row.names.iter().map(|name| name.chars().count() + 3).sum();
    let chars = |text: &str| text.chars().count();
    names + chars(&row.short) + chars(&row.about) + chars(&line(&row.message)) + 4
}

/// The first line of a message, cut if it is long.
fn line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    if line.chars().count() <= MESSAGE_CHARS {
        return line.to_owned();
    }
    let cut: String = line.chars().take(MESSAGE_CHARS).collect();
    cut + "..."
}

/// Text for XML 1.0, which has no place for most control characters.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                escaped.push(char::REPLACEMENT_CHARACTER);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u8, parents: &[u8]) -> Row<u8> {
        Row {
            id,
            parents: parents.to_vec(),
            names: Vec::new(),
            short: id.to_string(),
            about: String::new(),
            message: format!("commit {id}"),
        }
    }

    #[test]
    fn commits_have_lanes_of_their_own() {
        let of = |history: &[(u8, &[u8])]| {
            let rows: Vec<_> = history.iter().map(|(id, of)| row(*id, of)).collect();
            lanes(&rows)
        };
        assert_eq!(of(&[(2, &[1]), (1, &[])]), [0, 0]);
        assert_eq!(
            of(&[(4, &[2, 3]), (3, &[1]), (2, &[1]), (1, &[])]),
            [0, 1, 0, 0]
        );
        // A lane that ended is taken again.
        assert_eq!(
            of(&[(5, &[4]), (3, &[]), (4, &[]), (2, &[]), (1, &[])]),
            [0, 1, 0, 0, 0]
        );
    }

    #[test]
    fn a_picture_shows_each_commit_and_each_way() {
        let mut rows = vec![row(4, &[2, 3]), row(3, &[1]), row(2, &[1]), row(1, &[0])];
        rows[0].names = vec!["main".to_owned(), "<b>&\"\u{1}".to_owned()];
        let svg = history(&rows);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert_eq!(svg.matches("<path").count(), 5);
        assert!(svg.contains("&lt;b&gt;&amp;&quot;\u{fffd}"), "{svg}");
        for id in 1..=4 {
            assert!(svg.contains(&format!("commit {id}")), "{svg}");
        }
        assert!(history::<u8>(&[]).ends_with("</svg>\n"));
    }
}
