//! The range of bytes that is asked for (RFC 9110, 14).

use axum::http::header::{CONTENT_RANGE, HeaderMap, HeaderValue, IF_RANGE, RANGE};

use super::problem::Problem;
use super::spelled::Range;

/// Which bytes of so many are asked for, as the first and how many; `None` for all of them.
///
/// Several ranges at a time, and what is no range of bytes, are passed over, as RFC 9110 allows: the answer is
/// the whole then.
pub(crate) fn wanted(
    headers: &HeaderMap,
    tag: &str,
    size: u64,
) -> Result<Option<(u64, u64)>, Problem> {
    // Somebody who has the beginning of another value gets all of this one.
    if let Some(only) = headers.get(IF_RANGE)
        && only.as_bytes() != format!("\"{tag}\"").as_bytes()
    {
        return Ok(None);
    }
    let text = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let Some(range) = text.and_then(Range::read) else {
        return Ok(None);
    };
    let Some(part) = range.of(size) else {
        let of = HeaderValue::try_from(format!("bytes */{size}")).map_err(Problem::fault)?;
        let words = format!("the value has {size} bytes");
        return Err(Problem::new("E_HTTP_RANGE", words).with(CONTENT_RANGE, of));
    };
    Ok(Some(part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_is_within_the_value(
            text in "bytes=[0-9-]{0,24}|[ -~]{0,20}",
            size in prop_oneof![0_u64..20, Just(u64::MAX)],
        ) {
            if let Ok(Some((from, count))) = range(&text, size) {
                prop_assert!(count > 0 && from.checked_add(count).is_some_and(|end| end <= size));
            }
        }
    }

    fn range(text: &str, size: u64) -> Result<Option<(u64, u64)>, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, text.parse().unwrap());
        wanted(&headers, "a", size).map_err(|problem| problem.code())
    }

    #[test]
    fn ranges_are_within_the_value_or_refused() {
        for (text, expected) in [
            ("bytes=0-0", Some((0, 1))),
            ("bytes=2-5", Some((2, 4))),
            ("bytes=2-", Some((2, 8))),
            ("bytes=2-99999999999999999999999", Some((2, 8))),
            ("bytes=-3", Some((7, 3))),
            ("bytes=-30", Some((0, 10))),
            ("bytes=0-1,3-4", None),
            ("bytes=5-2", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("lines=1-2", None),
            ("bytes", None),
        ] {
            assert_eq!(range(text, 10), Ok(expected), "{text}");
        }
        for beyond in ["bytes=10-", "bytes=10-10", "bytes=-0"] {
            assert_eq!(range(beyond, 10), Err("E_HTTP_RANGE"), "{beyond}");
        }
        assert_eq!(range("bytes=0-", 0), Err("E_HTTP_RANGE"));
    }

    #[test]
    fn the_rest_of_another_value_is_not_given() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, "bytes=1-".parse().unwrap());
        for (only, expected) in [("\"a\"", Some((1, 9))), ("\"b\"", None), ("W/\"a\"", None)] {
            headers.insert(IF_RANGE, only.parse().unwrap());
            assert_eq!(wanted(&headers, "a", 10).unwrap(), expected, "{only}");
        }
    }
}
