//! Parameters behind the path: each at most once, and none that is not known (HTTP-11).

use allod_repo::{BranchName, Heads, Repo, Span};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use bytes::Bytes;

use super::limits::{PAGE_ITEMS, PAGE_ITEMS_MAX};
use super::percent;
use super::problem::Problem;
use super::spelled::{self, BadPairs};
use super::target::spelled_key;
use crate::naming::branch_heads;
use crate::node::{Node, Position};

/// The parameters of a request, decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, Vec<u8>)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::read(parts.uri.query().unwrap_or_default())
    }
}

impl Query {
    fn read(text: &str) -> Result<Self, Problem> {
        let read = spelled::pairs(text).map_err(|bad| match bad {
            BadPairs::Percent => "a % in the query is not followed by two digits".to_owned(),
            BadPairs::Twice(name) => format!("{name:?} is there twice"),
        });
        read.map(Self).map_err(Problem::request)
    }

    /// Refuses what is not known: a parameter that is misspelled must not be passed over.
    pub(crate) fn only(self, known: &[&str]) -> Result<Self, Problem> {
        match self.0.iter().find(|(name, _)| !known.contains(&&name[..])) {
            Some((name, _)) => Err(Problem::request(format!("no parameter {name:?} here"))),
            None => Ok(self),
        }
    }

    fn bytes(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| &value[..])
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let text = self.bytes(name).map(std::str::from_utf8).transpose();
        text.map_err(|_error| Problem::request(format!("{name} is no text")))
    }

    pub(crate) fn key(&self, name: &str) -> Result<Option<Bytes>, Problem> {
        self.bytes(name).map(spelled_key).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::request(format!("{name} is true or false"))),
        }
    }

    /// How many items a page has.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let limit = match self.text("limit")? {
            None => Ok(PAGE_ITEMS),
            Some(text) if text.starts_with('+') => Err(()),
            Some(text) => text.parse().map_err(drop),
        };
        let limit = limit
            .ok()
            .filter(|limit| (1..=PAGE_ITEMS_MAX).contains(limit));
        let bad = || Problem::request(format!("limit is 1 to {PAGE_ITEMS_MAX}"));
        Ok(limit.ok_or_else(bad)? as usize)
    }

    /// Which state is asked for.
    pub(crate) fn state(&self) -> Result<At, Problem> {
        Ok(At {
            branch: self.text("branch")?.map(str::to_owned),
            at: self.text("at")?.map(str::to_owned),
        })
    }

    /// The keys with a prefix, behind `after`: where `from` and `to` are states.
    pub(crate) fn key_span(&self) -> Result<Span, Problem> {
        let of_keys = |(name, _): &&(String, Vec<u8>)| matches!(&name[..], "prefix" | "after");
        Self(self.0.iter().filter(of_keys).cloned().collect()).span(false)
    }

    /// The keys that are asked for, those behind `after` in the order of the list.
    pub(crate) fn span(&self, is_reverse: bool) -> Result<Span, Problem> {
        let own = |key: Option<Bytes>| key.map(|key| key.to_vec());
        let mut span = match self.key("prefix")? {
            Some(prefix) => Span::prefix(&prefix),
            None => Span::all(),
        };
        if let Some(from) = own(self.key("from")?) {
            span.from = span.from.max(Some(from));
        }
        if let Some(to) = own(self.key("to")?) {
            span.to = Some(earlier(span.to, to));
        }
        if let Some(after) = self.key("after")? {
            if is_reverse {
                span.to = Some(earlier(span.to, after.to_vec()));
            } else {
                // The least key after it.
                span.from = span.from.max(Some([&after[..], b"\0"].concat()));
            }
        }
        Ok(span)
    }

    /// The query of the next page: this one, behind another key or cursor.
    pub(crate) fn next(&self, after: &str) -> String {
        let mut text = String::new();
        let kept = self.0.iter().filter(|(name, _)| name != "after");
        let pairs = kept.map(|(name, value)| (&name[..], &value[..]));
        for (name, value) in pairs.chain([("after", after.as_bytes())]) {
            let separator = if text.is_empty() { "?" } else { "&" };
            text += &format!("{separator}{name}={}", percent::encode(value));
        }
        text
    }
}

/// The earlier of two ends, of which one may be open.
fn earlier(end: Option<Vec<u8>>, other: Vec<u8>) -> Vec<u8> {
    match end {
        Some(end) => end.min(other),
        None => other,
    }
}

/// Which state is meant: a branch, and a commit, tag or time on it; or one of these alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct At {
    pub(crate) branch: Option<String>,
    pub(crate) at: Option<String>,
}

impl At {
    /// Whether the whole id of a commit says it, so that it never changes.
    pub(crate) fn is_fixed(&self, heads: &Heads) -> bool {
        let only = heads.first().filter(|_| heads.len() == 1);
        only.is_some_and(|id| self.at.as_deref() == Some(&id.to_string()))
    }
}

/// The branch that a write goes to: the named one, which must be there, else the space's own.
pub(crate) fn written(node: &Node, repo: &Repo, name: Option<&str>) -> Result<BranchName, Problem> {
    let own = node.position(repo)?;
    let branch = match (name, own) {
        (Some("meta"), _) => BranchName::meta(),
        (None, Position::Branch(own)) => own,
        (Some(name), Position::Branch(own)) if own.as_str() == name => own,
        (Some("main"), _) => BranchName::main(),
        (Some(name), _) => branch_heads(repo, name)?.0,
        (None, Position::Detached(_)) => {
            let words = "the space stands at a commit; say which branch";
            return Err(Problem::new("E_HTTP_REFUSED", words));
        }
    };
    if branch.is_meta() {
        let words = "meta governs the space, and is changed by commands alone";
        return Err(Problem::new("E_HTTP_REFUSED", words));
    }
    Ok(branch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::read(text).unwrap()
    }

    #[test]
    fn parameters_are_there_once_and_known() {
        let all = query("a=1%20+&b&&c=%FF");
        assert_eq!(all.text("a").unwrap(), Some("1  "));
        assert_eq!(all.text("b").unwrap(), Some(""));
        assert_eq!(all.text("d").unwrap(), None);
        assert!(all.text("c").is_err());
        assert!(all.clone().only(&["a", "b"]).is_err());
        assert!(all.only(&["a", "b", "c"]).is_ok());
        for bad in ["a=1&a=2", "a=%4", "%=1", "a&%61"] {
            assert_eq!(
                Query::read(bad).unwrap_err().code(),
                "E_HTTP_REQUEST",
                "{bad}"
            );
        }
    }

    #[test]
    fn a_limit_is_a_plain_number_in_its_range() {
        assert_eq!(query("").limit().unwrap(), 100);
        assert_eq!(query("limit=1000").limit().unwrap(), 1000);
        for bad in [
            "0",
            "1001",
            "-1",
            "",
            "x",
            "%2B5",
            "99999999999999999999",
            "1e3",
        ] {
            assert!(query(&format!("limit={bad}")).limit().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_span_is_where_all_that_is_said_holds() {
        let span = |text: &str, reverse| {
            let span = query(text).span(reverse).unwrap();
            let text = |end: Option<Vec<u8>>| end.map(|end| String::from_utf8(end).unwrap());
            (text(span.from), text(span.to))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(span("", false), (None, None));
        assert_eq!(span("prefix=a", false), (some("a"), some("b")));
        assert_eq!(
            span("prefix=a&from=A&to=ab", false),
            (some("a"), some("ab"))
        );
        assert_eq!(
            span("prefix=a&to=z&after=ab", false),
            (some("ab\0"), some("b"))
        );
        assert_eq!(span("prefix=a&after=ab", true), (some("a"), some("ab")));
        assert_eq!(span("after=b&to=a", true), (None, some("a")));
    }

    #[test]
    fn the_next_page_asks_for_the_same() {
        let next = query("prefix=a%2F&after=x&limit=2").next("hex:ff");
        assert_eq!(next, "?prefix=a%2F&limit=2&after=hex%3Aff");
        assert_eq!(query("").next("a b"), "?after=a%20b");
    }
}
