//! LIKE, in time proportional to the text times the pattern whatever they are (VIEW-15).

use std::collections::BTreeMap;

/// Sets of positions in a pattern, 64 in each.
type Positions = Vec<u64>;

/// A pattern whose `%` are taken out: a text matches if the end of the rest can be reached.
///
/// Matching keeps, for what was read of the text, the set of all beginnings of the pattern that match it. Going back,
/// as is usual, would take a time that grows with a power of the length.
#[derive(Debug)]
pub(super) struct Pattern {
    /// For each character of the pattern, the positions that it can be at, those of `_` among them.
    exact: BTreeMap<char, Positions>,
    /// The positions of `_`, which is where any other character can be.
    any: Positions,
    /// The positions that have a `%` before them.
    many: Positions,
    /// The end.
    end: usize,
}

/// A part of a pattern.
#[derive(Clone, Copy)]
enum Part {
    Exact(char),
    Any,
}

impl Pattern {
    /// Reads a pattern. None if it ends with the escape, so that nothing matches.
    pub(super) fn new(pattern: &str, escape: Option<char>) -> Option<Self> {
        let (mut parts, mut stars) = (Vec::new(), Vec::new());
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                _ if Some(c) == escape => parts.push(Part::Exact(fold(chars.next()?))),
                '%' => stars.push(parts.len()),
                '_' => parts.push(Part::Any),
                _ => parts.push(Part::Exact(fold(c))),
            }
        }
        let end = parts.len();
        let none = vec![0; end / 64 + 1];
        let (mut any, mut many) = (none.clone(), none);
        for star in stars {
            insert(&mut many, star);
        }
        let numbered = || parts.iter().copied().enumerate();
        for (at, part) in numbered() {
            if matches!(part, Part::Any) {
                insert(&mut any, at);
            }
        }
        let mut exact = BTreeMap::new();
        for (at, part) in numbered() {
            if let Part::Exact(c) = part {
                insert(exact.entry(c).or_insert_with(|| any.clone()), at);
            }
        }
        Some(Self {
            exact,
            any,
            many,
            end,
        })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let mut reached = vec![0; self.any.len()];
        insert(&mut reached, 0);
        for c in text.chars() {
            let here = self.exact.get(&fold(c)).unwrap_or(&self.any);
            let mut carry = 0;
            for ((reached, here), many) in reached.iter_mut().zip(here).zip(&self.many) {
                let moved = *reached & here;
                *reached = (moved << 1) | carry | (*reached & many);
                carry = moved >> 63;
            }
        }
        contains(&reached, self.end)
    }
}

/// Letters of ASCII are the same in both cases, others are not (VIEW-15).
const fn fold(c: char) -> char {
    c.to_ascii_lowercase()
}

fn insert(positions: &mut Positions, at: usize) {
    if let Some(word) = positions.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

fn contains(positions: &Positions, at: usize) -> bool {
    positions
        .get(at / 64)
        .is_some_and(|word| word >> (at % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, one character after the other.
    fn naive(text: &[char], pattern: &[char], escape: Option<char>) -> bool {
        let Some((&first, after)) = pattern.split_first() else {
            return text.is_empty();
        };
        let next = |c: char| text.first().is_some_and(|one| one.eq_ignore_ascii_case(&c));
        match first {
            _ if Some(first) == escape => match after.split_first() {
                Some((&c, after)) => next(c) && naive(&text[1..], after, escape),
                None => false,
            },
            '%' => (0..=text.len()).any(|skipped| naive(&text[skipped..], after, escape)),
            '_' => !text.is_empty() && naive(&text[1..], after, escape),
            _ => next(first) && naive(&text[1..], after, escape),
        }
    }

    fn like(text: &str, pattern: &str, escape: Option<char>) -> bool {
        Pattern::new(pattern, escape).is_some_and(|pattern| pattern.matches(text))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn like_is_as_it_is_defined(
            text in "[abAB_%\u{e4}\u{c4}]{0,9}",
            pattern in "[abAB_%\\\\\u{e4}]{0,7}",
            escape in prop::sample::select(vec![None, Some('\\'), Some('%'), Some('_'), Some('a')]),
        ) {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                like(&text, &pattern, escape),
                naive(&chars(&text), &chars(&pattern), escape),
                "{} LIKE {} ESCAPE {:?}", text, pattern, escape
            );
        }

        /// Of more positions than a word has bits.
        #[test]
        fn long_patterns_match_what_they_were_made_from(parts in prop::collection::vec("[ab]{0,40}", 1..8)) {
            let pattern = parts.join("%");
            prop_assert!(like(&parts.join("xyz"), &pattern, None));
            prop_assert!(like(&parts.concat(), &pattern, None));
            let longer = pattern + "c";
            prop_assert!(!like(&parts.join("xyz"), &longer, None));
        }
    }

    #[test]
    fn what_makes_others_go_back_takes_no_longer() {
        let text = "a".repeat(1 << 20);
        let pattern = "%a".repeat(500);
        assert!(like(&text, &pattern, None));
        assert!(!like(&text, &format!("{pattern}b"), None));
    }
}
