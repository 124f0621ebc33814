//! History as lanes of characters: `log --graph`.

use std::fmt::Write as _;

/// Lanes that are drawn; the graph of a history with more is cut at its right side.
const LANES_SHOWN: usize = 24;

/// Lanes from the top down: each waits for the commit that it leads to.
///
/// Commits come children before parents, so a lane ends at the row of its commit, or, if a lane
/// farther left leads there too, joins that one.
#[derive(Debug)]
pub(crate) struct Graph<T> {
    lanes: Vec<T>,
}

impl<T: Copy + Eq> Graph<T> {
    pub(crate) const fn new() -> Self {
        Self { lanes: Vec::new() }
    }

    /// The lines for the next commit: first the one that the commit stands on, then those that
    /// lead to its parents.
    pub(crate) fn row(&mut self, commit: T, parents: &[T]) -> Vec<String> {
        let at = self.lanes.iter().position(|lane| *lane == commit);
        let at = at.unwrap_or_else(|| {
            self.lanes.push(commit);
            self.lanes.len() - 1
        });
        let mut lines = vec![self.line(at, '*')];
        let (mut there, new): (Vec<T>, Vec<T>) = parents
            .iter()
            .partition(|parent| self.lanes.contains(parent));
        // A lane without new parents ends in the last one that has a lane.
        let last = if new.is_empty() { there.pop() } else { None };
        for parent in there {
            lines.extend(self.reach(at, self.lane(parent), false));
        }
        if let Some((first, others)) = new.split_first() {
            if let Some(lane) = self.lanes.get_mut(at) {
                *lane = *first;
            }
            for parent in others {
                self.lanes.insert(at + 1, *parent);
                lines.push(self.open(at));
            }
            return lines;
        }
        let ends = last.map_or(at, |parent| {
            let other = self.lane(parent);
            let (left, right) = (at.min(other), at.max(other));
            if let Some(lane) = self.lanes.get_mut(left) {
                *lane = parent;
            }
            lines.extend(self.reach(right, left, true));
            right
        });
        self.lanes.remove(ends);
        if ends < self.lanes.len() {
            lines.push(self.shift(ends));
        }
        lines
    }

    fn lane(&self, commit: T) -> usize {
        let lane = self.lanes.iter().position(|lane| *lane == commit);
        lane.unwrap_or_default()
    }

    fn line(&self, at: usize, mark: char) -> String {
        let cells = (0..self.lanes.len()).map(|lane| (if lane == at { mark } else { '|' }, ' '));
        text(cells)
    }

    /// A new lane right of `at`; those right of it move over.
    fn open(&self, at: usize) -> String {
        let last = self.lanes.len().saturating_sub(1);
        text((0..last).map(|lane| match lane.cmp(&at) {
            std::cmp::Ordering::Less => ('|', ' '),
            std::cmp::Ordering::Equal => ('|', '\\'),
            std::cmp::Ordering::Greater => (' ', '\\'),
        }))
    }

    /// The lanes from `from` on move one to the left, after the one that was there ended.
    fn shift(&self, from: usize) -> String {
        text(
            (0..=self.lanes.len()).map(|lane| match (lane < from, lane + 1 > self.lanes.len()) {
                (true, _) => ('|', ' '),
                (false, false) => (' ', '/'),
                (false, true) => (' ', ' '),
            }),
        )
    }

    /// A way from one lane to another that is there already; the first one goes on, or ends.
    fn reach(&self, from: usize, to: usize, ends: bool) -> Vec<String> {
        let (left, right) = (from.min(to), from.max(to));
        let way = |gap: usize, is_last: bool| match (from < to, is_last) {
            (true, _) if gap + 1 == right => '\\',
            (true, _) if gap >= left && gap < right => '_',
            (false, false) if gap + 1 == right => '/',
            (false, false) if gap > left && gap < right => '_',
            (false, true) if gap == left => '/',
            _ => ' ',
        };
        let line = |is_last: bool| {
            text((0..self.lanes.len()).map(|lane| {
                let upright = if ends && lane == from { ' ' } else { '|' };
                (upright, way(lane, is_last))
            }))
        };
        // To the left it takes two lines, so that it is not taken for a lane between.
        let mut lines = vec![line(false)];
        if from > to + 1 {
            lines.push(line(true));
        }
        lines
    }
}

fn text(cells: impl Iterator<Item = (char, char)>) -> String {
    let mut line = String::new();
    for (at, (lane, gap)) in cells.enumerate() {
        if at == LANES_SHOWN {
            line.push_str("...");
            break;
        }
        // Writing to a text does not fail.
        write!(line, "{lane}{gap}").ok();
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(history: &[(u8, &[u8])], expected: &[&str]) {
        let mut graph = Graph::new();
        let mut lines = Vec::new();
        for (commit, parents) in history {
            let mut row = graph.row(*commit, parents);
            row[0] = format!("{} {commit}", row[0]);
            lines.extend(row);
        }
        assert_eq!(lines, expected, "\n{}", lines.join("\n"));
    }

    #[test]
    fn a_line_and_a_merge() {
        check(&[(2, &[1]), (1, &[])], &["* 2", "* 1"]);
        check(
            &[(4, &[2, 3]), (3, &[1]), (2, &[1]), (1, &[])],
            &["* 4", "|\\", "| * 3", "* | 2", "|/", "* 1"],
        );
    }

    #[test]
    fn two_heads_and_two_roots() {
        check(
            &[(4, &[2]), (3, &[1]), (2, &[]), (1, &[])],
            &["* 4", "| * 3", "* | 2", " /", "* 1"],
        );
    }

    #[test]
    fn merges_in_both_directions() {
        check(
            &[(5, &[2, 3]), (4, &[2, 3]), (3, &[1]), (2, &[1]), (1, &[])],
            &[
                "* 5", "|\\", "| | * 4", "| |/|", "|/| |", "| |/", "| * 3", "* | 2", "|/", "* 1",
            ],
        );
    }

    #[test]
    fn merges_of_many() {
        check(
            &[(5, &[2, 3, 4]), (4, &[1]), (3, &[1]), (2, &[1]), (1, &[])],
            &[
                "* 5", "|\\", "|\\ \\", "| * | 4", "| | * 3", "| |/", "* | 2", "|/", "* 1",
            ],
        );
        check(
            &[
                (6, &[2]),
                (5, &[3]),
                (4, &[1]),
                (3, &[2, 1]),
                (2, &[1]),
                (1, &[]),
            ],
            &[
                "* 6", "| * 5", "| | * 4", "| * | 3", "|/| |", "| |/", "* | 2", "|/", "* 1",
            ],
        );
    }

    #[test]
    fn a_wide_history_is_cut() {
        let mut graph = Graph::new();
        for commit in 0..100u32 {
            let row = graph.row(commit, &[commit + 1000]);
            assert!(row.iter().all(|line| line.len() <= 2 * LANES_SHOWN + 3));
        }
    }
}
