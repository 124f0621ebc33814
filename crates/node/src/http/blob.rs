//! Values and files as answers: ranges, conditions, a chunk at a time (HTTP-24, HTTP-25).

use allod_blocks::{Cid, Codec, FileRange, file_size, sha256_cid};
use allod_repo::{Content, Entry, Repo};
use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use futures_util::stream;
use serde::de::IgnoredAny;

use super::app::App;
use super::etag::{Conditions, Wanted, quoted};
use super::problem::Problem;
use super::range;
use crate::node::Node;

/// What changes, or may be gone: whoever keeps it asks whether it is still so.
pub(crate) const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");

/// What its name says for ever.
pub(crate) const FOR_EVER: HeaderValue =
    HeaderValue::from_static("private, max-age=31536000, immutable");

/// The answers of a state under a name that may or may not be fixed.
pub(crate) const fn caching(is_fixed: bool) -> HeaderValue {
    if is_fixed { FOR_EVER } else { ASK_AGAIN }
}

/// Something to be given byte by byte.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    /// The CID of its bytes.
    pub(crate) tag: String,
    media: &'static str,
    size: u64,
    content: Given,
}

#[derive(Clone, Debug)]
enum Given {
    Bytes(Bytes),
    File(Cid),
}

impl Value {
    /// The value of an entry; `None` if it has none.
    pub(crate) fn of(node: &Node, repo: &Repo, entry: &Entry) -> Result<Option<Self>, Problem> {
        Ok(match repo.content(entry)? {
            None => None,
            Some(Content::Bytes(bytes)) => Some(Self::of_bytes(bytes)),
            Some(Content::File(cid)) => Some(Self::of_file(node, repo, cid)?),
        })
    }

    /// Bytes that are at hand.
    pub(crate) fn of_bytes(bytes: Bytes) -> Self {
        Self {
            tag: sha256_cid(Codec::Raw, &bytes).to_string(),
            media: media_of(&bytes),
            size: bytes.len() as u64,
            content: Given::Bytes(bytes),
        }
    }

    /// A file that is here whole.
    pub(crate) fn of_file(node: &Node, repo: &Repo, cid: Cid) -> Result<Self, Problem> {
        let keeps_all = repo.part().is_none_or(|part| part.value_max().is_none());
        if !keeps_all && !repo.has_file(cid)? {
            let words = "the file is larger than what is kept here";
            return Err(Problem::new("E_PART", words));
        }
        Ok(Self {
            tag: cid.to_string(),
            media: "application/octet-stream",
            size: file_size(node.store().as_ref(), &cid)?,
            content: Given::File(cid),
        })
    }

    /// The answer to a request with these headers.
    pub(crate) fn answer(
        self,
        app: &App,
        headers: &HeaderMap,
        caching: HeaderValue,
    ) -> Result<Response<Body>, Problem> {
        let wanted = Conditions::read(headers)?.of_read(&self.tag)?;
        let mut response = Response::new(Body::empty());
        let fields = response.headers_mut();
        fields.insert(ETAG, quoted(&self.tag)?);
        fields.insert(CACHE_CONTROL, caching);
        if wanted == Wanted::NotModified {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        let part = range::wanted(headers, &self.tag, self.size)?;
        let (from, count) = part.unwrap_or((0, self.size));
        fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(self.media));
        fields.insert(CONTENT_LENGTH, HeaderValue::from(count));
        if part.is_some() {
            let (last, size) = (from + count - 1, self.size);
            let range = HeaderValue::try_from(format!("bytes {from}-{last}/{size}"));
            fields.insert(CONTENT_RANGE, range.map_err(Problem::fault)?);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        *response.body_mut() = match self.content {
            Given::Bytes(bytes) => Body::from(bytes.slice(from as usize..(from + count) as usize)),
            Given::File(cid) => file(app.clone(), FileRange::new(cid, from, count)),
        };
        Ok(response)
    }
}

/// A body that reads the next chunk when the one before was taken. A file that cannot be read to its end breaks
/// the connection, so that nobody takes a part for the whole.
fn file(app: App, range: FileRange) -> Body {
    let chunks = stream::try_unfold((app, range), |(app, mut range)| async move {
        let read = app.go_on(move |node| {
            let chunk = range.next(node.store().as_ref())?;
            Ok((chunk, range))
        });
        let (chunk, range) = read.await.map_err(|problem| {
            app.figures().broke();
            std::io::Error::other(problem.code())
        })?;
        Ok::<_, std::io::Error>(chunk.map(|chunk| (chunk, (app, range))))
    });
    Body::from_stream(chunks)
}

/// The type of a value, which is said by its bytes alone: JSON if it is an object or array, text if it is UTF-8.
/// Never one that a browser runs.
fn media_of(bytes: &[u8]) -> &'static str {
    let is_composed = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
    if is_composed && serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        "application/json"
    } else if std::str::from_utf8(bytes).is_ok() {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    }
}

/// The header that names the state of an answer: what `If-Match` of a write to the branch takes.
pub(crate) const STATE: HeaderName = HeaderName::from_static("allod-state");

#[cfg(test)]
mod tests {
    use super::media_of;

    #[test]
    fn no_value_is_a_page() {
        let deep = "[".repeat(100_000);
        for (value, media) in [
            (&b" {\"a\": 1}"[..], "application/json"),
            (b"[1]", "application/json"),
            (b"{\"a\"", "text/plain; charset=utf-8"),
            (b"1", "text/plain; charset=utf-8"),
            (b"", "text/plain; charset=utf-8"),
            (b"<html><script>", "text/plain; charset=utf-8"),
            (deep.as_bytes(), "text/plain; charset=utf-8"),
            (b"\xff\xd8\xff", "application/octet-stream"),
        ] {
            assert_eq!(media_of(value), media);
        }
    }
}
