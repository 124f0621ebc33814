//! Names of what is answered, and conditions on them (HTTP-20 to HTTP-23).

use allod_blocks::{Codec, sha256_cid};
use allod_identity::canonical;
use allod_repo::{CommitId, Heads};
use axum::http::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use super::problem::Problem;
use super::spelled::{self, BadTags};

/// The name of the state of a branch without commits.
const EMPTY: &str = "empty";

/// The name of the state of some commits: the CID of the one, or of the list of several (HTTP-20).
pub(crate) fn state_tag(heads: &Heads) -> Result<String, Problem> {
    let all: Vec<CommitId> = heads.iter().copied().collect();
    match &all[..] {
        [] => Ok(EMPTY.to_owned()),
        [one] => Ok(one.to_string()),
        several => {
            let list = canonical::encode(several).map_err(Problem::fault)?;
            Ok(sha256_cid(Codec::DagCbor, &list).to_string())
        }
    }
}

/// A name as headers have it.
pub(crate) fn quoted(tag: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::try_from(format!("\"{tag}\"")).map_err(Problem::fault)
}

/// Names that a condition lists.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Tags {
    Any,
    /// Each with whether it is weak.
    These(Vec<(String, bool)>),
}

impl Tags {
    fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Problem> {
        let mut tags = Vec::new();
        let mut is_any = false;
        for value in headers.get_all(name) {
            let text = value.to_str().map_err(|_error| BadTags::Form);
            let read = text.and_then(|text| spelled::tags(text, &mut tags));
            let words = |bad| match bad {
                BadTags::Form => "is * or a list of names in quotes",
                BadTags::Many => "has too many names",
            };
            is_any |= read.map_err(|bad| Problem::request(format!("{name} {}", words(bad))))?;
        }
        Ok(match (is_any, tags.is_empty()) {
            (true, true) => Some(Self::Any),
            (true, false) => {
                return Err(Problem::request(format!("{name} is * or a list, not both")));
            }
            (false, false) => Some(Self::These(tags)),
            (false, true) if headers.contains_key(name) => {
                return Err(Problem::request(format!("{name} names nothing")));
            }
            (false, true) => None,
        })
    }

    /// Whether a name is among them, weak ones included or not.
    fn has(&self, tag: Option<&str>, weak: bool) -> bool {
        match (self, tag) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::These(these), Some(tag)) => {
                let mut these = these.iter();
                these.any(|(this, is_weak)| this == tag && (weak || !is_weak))
            }
        }
    }
}

/// What must hold for a request to be done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Conditions {
    matches: Option<Tags>,
    matches_none: Option<Tags>,
}

/// What follows from conditions on something to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// It is sent.
    Whole,
    /// Whoever asked has it.
    NotModified,
}

impl Conditions {
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Self {
            matches: Tags::read(headers, &IF_MATCH)?,
            matches_none: Tags::read(headers, &IF_NONE_MATCH)?,
        })
    }

    /// Whether there are none.
    pub(crate) const fn are_none(&self) -> bool {
        self.matches.is_none() && self.matches_none.is_none()
    }

    /// For something that is there, under this name.
    pub(crate) fn of_read(&self, tag: &str) -> Result<Wanted, Problem> {
        if self
            .matches
            .as_ref()
            .is_some_and(|tags| !tags.has(Some(tag), false))
        {
            return Err(Problem::condition(format!("its ETag is \"{tag}\"")));
        }
        let is_known = self.matches_none.as_ref();
        if is_known.is_some_and(|tags| tags.has(Some(tag), true)) {
            return Ok(Wanted::NotModified);
        }
        Ok(Wanted::Whole)
    }

    /// For a write to what has this name, if it is there, on a branch in this state. Returns whether it was the
    /// branch that had to match, which must then not move either (HTTP-22).
    pub(crate) fn of_write(&self, tag: Option<&str>, state: &str) -> Result<bool, Problem> {
        let unmet = || {
            let there = tag.map_or("not there".to_owned(), |tag| format!("\"{tag}\""));
            Problem::condition(format!("the value is {there}, the branch \"{state}\""))
        };
        if self
            .matches_none
            .as_ref()
            .is_some_and(|tags| tags.has(tag, true))
        {
            return Err(unmet());
        }
        match &self.matches {
            None => Ok(false),
            Some(tags) if tags.has(tag, false) => Ok(false),
            Some(tags @ Tags::These(_)) if tags.has(Some(state), false) => Ok(true),
            Some(_) => Err(unmet()),
        }
    }

    /// For a write to a branch in this state. Returns whether it must not move.
    pub(crate) fn of_branch(&self, state: &str) -> Result<bool, Problem> {
        let unmet = |_of_value| Problem::condition(format!("the branch is \"{state}\""));
        self.of_write(Some(state), state).map_err(unmet)?;
        Ok(self.matches.is_some())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_condition_panics(text in "[*W/\"a, ]{0,12}|[ -~]{0,20}") {
            let mut headers = HeaderMap::new();
            headers.insert(IF_MATCH, text.parse().unwrap());
            if let Ok(conditions) = Conditions::read(&headers) {
                let is_known = conditions.of_read("a").is_ok();
                prop_assert_eq!(is_known, conditions.of_write(Some("a"), "s").is_ok_and(|still| !still));
            }
        }
    }

    fn conditions(of: &[(HeaderName, &str)]) -> Result<Conditions, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in of {
            headers.append(name, value.parse().unwrap());
        }
        Conditions::read(&headers)
    }

    #[test]
    fn reads_are_conditional() {
        let none = conditions(&[]).unwrap();
        assert_eq!(none.of_read("a").unwrap(), Wanted::Whole);
        for known in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*", "\"b\",W/\"a\" "] {
            let known = conditions(&[(IF_NONE_MATCH, known)]).unwrap();
            assert_eq!(known.of_read("a").unwrap(), Wanted::NotModified);
        }
        let other = conditions(&[(IF_NONE_MATCH, "\"b\"")]).unwrap();
        assert_eq!(other.of_read("a").unwrap(), Wanted::Whole);
        for (matches, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", false),
            ("*", true),
            ("\"b\"", false),
        ] {
            let conditions = conditions(&[(IF_MATCH, matches)]).unwrap();
            assert_eq!(conditions.of_read("a").is_ok(), expected, "{matches}");
        }
        for bad in ["", "a", "\"a", "\"a\" \"b\"", "W/a", "*, \"a\""] {
            assert!(conditions(&[(IF_MATCH, bad)]).is_err(), "{bad}");
        }
        assert!(conditions(&[(IF_MATCH, "*"), (IF_MATCH, "\"a\"")]).is_err());
    }

    #[test]
    fn writes_are_compared_with_the_value_or_the_branch() {
        let of = |name: HeaderName, value: &str| conditions(&[(name, value)]).unwrap();
        let state = "s";
        assert!(!Conditions::default().of_write(None, state).unwrap());
        assert!(!of(IF_MATCH, "\"a\"").of_write(Some("a"), state).unwrap());
        assert!(of(IF_MATCH, "\"s\"").of_write(Some("a"), state).unwrap());
        assert!(of(IF_MATCH, "\"s\"").of_write(None, state).unwrap());
        assert!(!of(IF_MATCH, "*").of_write(Some("a"), state).unwrap());
        assert!(of(IF_MATCH, "*").of_write(None, state).is_err());
        assert!(of(IF_MATCH, "\"b\"").of_write(Some("a"), state).is_err());
        assert!(of(IF_NONE_MATCH, "*").of_write(Some("a"), state).is_err());
        assert!(!of(IF_NONE_MATCH, "*").of_write(None, state).unwrap());
        assert!(of(IF_MATCH, "\"s\"").of_branch(state).unwrap());
        assert!(of(IF_MATCH, "\"t\"").of_branch(state).is_err());
        assert!(!Conditions::default().of_branch(state).unwrap());
    }
}
