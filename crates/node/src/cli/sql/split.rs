//! Where statements begin and end, as the engine sees it: not within texts, names and comments.

/// What a part of a text is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// Space, or a comment.
    Blank,
    /// A text or a name in quotes.
    Quoted,
    /// A keyword, a name or a number.
    Word,
    /// Any other byte.
    Mark(u8),
    /// It begins with a quote or a comment that has no end.
    Open,
}

/// The part that begins a text, and its length. `None` behind the end.
pub(crate) fn part(bytes: &[u8]) -> Option<(Part, usize)> {
    let first = *bytes.first()?;
    let run = |holds: fn(&u8) -> bool| bytes.iter().take_while(|byte| holds(byte)).count();
    let until = |mark: u8| {
        let rest = bytes.get(1..).unwrap_or_default();
        let found = rest.iter().position(|byte| *byte == mark);
        found.map_or((Part::Open, bytes.len()), |at| (Part::Quoted, at + 2))
    };
    Some(match bytes {
        [b'-', b'-', ..] => (Part::Blank, run(|byte| *byte != b'\n')),
        [b'/', b'*', rest @ ..] => rest
            .windows(2)
            .position(|two| two == b"*/")
            .map_or((Part::Open, bytes.len()), |at| (Part::Blank, at + 4)),
        // A quote that is doubled ends one part and begins the next, which comes to the same.
        [b'\'' | b'"' | b'`', ..] => until(first),
        [b'[', ..] => until(b']'),
        [0xef, 0xbb, 0xbf, ..] => (Part::Blank, 3),
        _ if first.is_ascii_whitespace() => (Part::Blank, run(u8::is_ascii_whitespace)),
        _ if is_word(first) => (Part::Word, run(|byte| is_word(*byte))),
        _ => (Part::Mark(first), 1),
    })
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// The parts of a text, each with where it begins and ends.
pub(crate) fn parts(bytes: &[u8]) -> impl Iterator<Item = (Part, usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (part, length) = part(bytes.get(at..)?)?;
        let begin = at;
        at += length;
        Some((part, begin, at))
    })
}

/// Behind the semicolon that ends the first statement of a text, if there is one.
pub(crate) fn end(bytes: &[u8]) -> Option<usize> {
    let mut parts = parts(bytes);
    parts.find_map(|(part, _, end)| (part == Part::Mark(b';')).then_some(end))
}

/// Whether a text says nothing: it has but space, comments and semicolons.
pub(crate) fn is_empty(text: &str) -> bool {
    let says = |(part, _, _): (Part, usize, usize)| !matches!(part, Part::Blank | Part::Mark(b';'));
    !parts(text.as_bytes()).any(says)
}

/// Whether whoever types it has come to an end: every statement ends with a semicolon.
pub(crate) fn is_whole(text: &str) -> bool {
    let mut is_whole = true;
    for (part, _, _) in parts(text.as_bytes()) {
        is_whole = match part {
            Part::Blank => is_whole,
            Part::Mark(b';') => true,
            Part::Open | Part::Quoted | Part::Word | Part::Mark(_) => false,
        };
    }
    is_whole
}

/// Where the statement begins behind EXPLAIN and EXPLAIN QUERY PLAN, if it has that.
pub(crate) fn behind_explain(sql: &str) -> Option<usize> {
    let mut words = parts(sql.as_bytes()).filter(|(part, _, _)| *part != Part::Blank);
    let mut word = |wanted: &str| {
        let (_, begin, end) = words.next()?;
        let is_it = sql.get(begin..end)?.eq_ignore_ascii_case(wanted);
        is_it.then_some(end)
    };
    let explain = word("EXPLAIN")?;
    let plan = word("QUERY").and_then(|_| word("PLAN"));
    Some(plan.unwrap_or(explain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(mut text: &str) -> Vec<&str> {
        let mut all = Vec::new();
        while let Some(end) = end(text.as_bytes()) {
            let (one, rest) = text.split_at(end);
            all.push(one);
            text = rest;
        }
        all.push(text);
        all
    }

    #[test]
    fn a_semicolon_within_something_ends_nothing() {
        for whole in [
            "SELECT ';'",
            "SELECT 'it''s;'",
            "SELECT \";\"\"\"",
            "SELECT `;`, [;]",
            "SELECT 1 -- ;\n+ 1",
            "SELECT /* ; */ 1",
            "SELECT '",
            "SELECT /* ;",
            "SELECT 1 /*/ ;*/",
        ] {
            assert_eq!(statements(whole), [whole]);
        }
        assert_eq!(
            statements("SELECT 'a;b'; SELECT 2;\n-- end;\n"),
            ["SELECT 'a;b';", " SELECT 2;", "\n-- end;\n"]
        );
        // The end of the comment is behind its beginning.
        assert_eq!(statements("/*/;*/;"), ["/*/;*/;", ""]);
    }

    #[test]
    fn what_says_nothing_is_empty() {
        for text in ["", " \n;;", "-- SELECT 1", "/* SELECT 1 */ ;", "\u{feff}"] {
            assert!(is_empty(text), "{text:?}");
        }
        for text in ["SELECT", "-- a\nb", "'", "/*"] {
            assert!(!is_empty(text), "{text:?}");
        }
    }

    #[test]
    fn typing_ends_with_a_semicolon() {
        for text in ["", "SELECT 1;", "SELECT 1; -- one", "SELECT ';'; ", "  "] {
            assert!(is_whole(text), "{text:?}");
        }
        for text in [
            "SELECT 1",
            "SELECT ';",
            "SELECT 1; SELECT",
            "SELECT 1; /*",
            "SELECT 1 -- ;",
        ] {
            assert!(!is_whole(text), "{text:?}");
        }
    }

    #[test]
    fn a_statement_is_found_behind_explain() {
        let behind = |sql| behind_explain(sql).map(|at| &sql[at..]);
        assert_eq!(behind("EXPLAIN SELECT 1"), Some(" SELECT 1"));
        assert_eq!(
            behind("/**/explain -- x\n query plan SELECT 1"),
            Some(" SELECT 1")
        );
        // Without PLAN it is no statement, and the engine says so.
        assert_eq!(behind("EXPLAIN QUERY SELECT 1"), Some(" QUERY SELECT 1"));
        assert_eq!(behind("SELECT 'EXPLAIN'"), None);
        assert_eq!(behind("explained"), None);
    }
}
