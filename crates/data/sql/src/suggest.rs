//! The name that somebody may have meant.

/// Names longer than this are not compared: the time grows with the square.
const NAME_CHARS_MAX: usize = 64;

/// The nearest of some names, if it is near.
pub(crate) fn nearest(name: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    let length = name.chars().count();
    // One letter of three may be wrong.
    let most = (length / 3).max(1);
    names
        .into_iter()
        .filter(|other| other.chars().count() <= NAME_CHARS_MAX && length <= NAME_CHARS_MAX)
        .map(|other| (distance(name, &other), other))
        .filter(|(steps, _)| *steps <= most)
        .min()
        .map(|(_, other)| other)
}

/// How many letters have to be put in, left out or changed, without regard to case.
fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in two.iter().enumerate() {
            let is_same = letter.eq_ignore_ascii_case(other);
            let best = (diagonal + usize::from(!is_same))
                .min(row[column] + 1)
                .min(row[column + 1] + 1);
            diagonal = std::mem::replace(&mut row[column + 1], best);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_one_letter_wrong_is_found_and_another_is_not() {
        let names = || ["order", "user", "users"].map(str::to_owned);
        assert_eq!(nearest("usr", names()).as_deref(), Some("user"));
        assert_eq!(nearest("ODER", names()).as_deref(), Some("order"));
        assert_eq!(nearest("usrs", names()).as_deref(), Some("users"));
        assert_eq!(nearest("price", names()), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
