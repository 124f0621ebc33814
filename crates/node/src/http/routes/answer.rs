//! Answers of JSON, with their names and where the next page is.

use allod_repo::Heads;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LINK};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::http::blob::{ASK_AGAIN, STATE};
use crate::http::etag::{Conditions, Wanted, quoted};
use crate::http::problem::Problem;

/// A body that has no name.
pub(crate) fn of(body: Body, media: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    fields.insert(CACHE_CONTROL, ASK_AGAIN);
    response
}

/// JSON that has no name.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<Response<Body>, Problem> {
    let text = serde_json::to_vec(value).map_err(Problem::fault)?;
    Ok(of(Body::from(text), "application/json"))
}

/// JSON under a name, unless whoever asked has it.
pub(crate) fn named<T: Serialize>(
    headers: &HeaderMap,
    (tag, caching): (&str, HeaderValue),
    value: &T,
) -> Result<Response<Body>, Problem> {
    let mut response = json(value)?;
    if Conditions::read(headers)?.of_read(tag)? == Wanted::NotModified {
        response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let fields = response.headers_mut();
    fields.insert(ETAG, quoted(tag)?);
    fields.insert(CACHE_CONTROL, caching);
    Ok(response)
}

/// Says which state an answer is of.
pub(crate) fn of_state(mut response: Response<Body>, tag: &str) -> Result<Response<Body>, Problem> {
    response.headers_mut().insert(STATE, quoted(tag)?);
    Ok(response)
}

/// Says where the next page is (RFC 8288).
pub(crate) fn with_next(
    mut response: Response<Body>,
    next: Option<String>,
) -> Result<Response<Body>, Problem> {
    if let Some(next) = next {
        let link = HeaderValue::try_from(format!("<{next}>; rel=\"next\""));
        response
            .headers_mut()
            .insert(LINK, link.map_err(Problem::fault)?);
    }
    Ok(response)
}

/// The ids of commits.
pub(crate) fn ids(heads: &Heads) -> Vec<String> {
    heads.iter().map(ToString::to_string).collect()
}

/// A time in UTC as RFC 3339 has it, to the millisecond.
pub(crate) fn time(ms: u64) -> String {
    let text = crate::clock::utc(ms).replace(' ', "T");
    format!("{text}.{:03}Z", ms % 1000)
}
