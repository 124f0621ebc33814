//! Bodies of requests: bounded in size and time (HTTP-32).

use std::io::{self, Read};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::app::App;
use super::limits::{JSON_BYTES_MAX, JSON_TIME, STALL_TIME, UPLOAD_BYTES_MAX, UPLOAD_TIME};
use super::problem::Problem;

/// Chunks of an upload that wait to be written: one is written while the next arrives.
const CHUNKS_WAITING: usize = 2;

/// The frames of a body, counted and timed.
struct Frames {
    body: Body,
    left: u64,
    limit: u64,
    until: Instant,
}

impl Frames {
    fn new(headers: &HeaderMap, body: Body, limit: u64, time: Duration) -> Result<Self, Problem> {
        check_plain(headers)?;
        let frames = Self {
            body,
            left: limit,
            limit,
            until: Instant::now() + time,
        };
        match length(headers) {
            Some(length) if length > limit => Err(frames.too_large()),
            _ => Ok(frames),
        }
    }

    fn too_large(&self) -> Problem {
        let limit = self.limit;
        Problem::new(
            "E_HTTP_SIZE",
            format!("a body has at most {limit} bytes here"),
        )
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let until = self.until.min(Instant::now() + STALL_TIME);
            let frame = timeout_at(until, self.body.frame()).await;
            let slow = |_elapsed| Problem::new("E_HTTP_SLOW", "it stalled, or took too long");
            let Some(frame) = frame.map_err(slow)? else {
                return Ok(None);
            };
            let cut = |_error| Problem::request("the body is cut off or malformed");
            // Trailers say nothing here.
            let Ok(data) = frame.map_err(cut)?.into_data() else {
                continue;
            };
            let left = self.left.checked_sub(data.len() as u64);
            self.left = left.ok_or_else(|| self.too_large())?;
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }
}

/// A body is all of what it says, and not packed: what was packed, or a part, would be taken for the value.
fn check_plain(headers: &HeaderMap) -> Result<(), Problem> {
    let packed = headers.get(CONTENT_ENCODING);
    if packed.is_some_and(|how| !how.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let words = "a body is sent as it is, without Content-Encoding";
        return Err(Problem::new("E_HTTP_TYPE", words));
    }
    if headers.contains_key(CONTENT_RANGE) {
        return Err(Problem::request(
            "a value is written whole, without Content-Range",
        ));
    }
    Ok(())
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the body is said to be JSON. That has a page of another origin ask first (HTTP-43).
fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = media
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let words = "the body is JSON, and Content-Type says so: application/json";
    Err(Problem::new("E_HTTP_TYPE", words))
}

/// A body of JSON.
pub(crate) async fn json<T: DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    check_json(headers)?;
    let limit = JSON_BYTES_MAX as u64;
    let mut frames = Frames::new(headers, body, limit, JSON_TIME)?;
    let announced = length(headers).unwrap_or(limit);
    let _room = app
        .room(usize::try_from(announced).unwrap_or(JSON_BYTES_MAX))
        .await?;
    let mut bytes = Vec::new();
    while let Some(data) = frames.next().await? {
        bytes.extend_from_slice(&data);
    }
    serde_json::from_slice(&bytes).map_err(|error| Problem::request(format!("the body: {error}")))
}

/// Reads a body from the runtime, for somebody who writes it apart from there.
pub(crate) struct Upload {
    frames: Frames,
    give: mpsc::Sender<Bytes>,
}

impl Upload {
    /// The two ends of an upload.
    pub(crate) fn new(headers: &HeaderMap, body: Body) -> Result<(Self, Received), Problem> {
        let frames = Frames::new(headers, body, UPLOAD_BYTES_MAX, UPLOAD_TIME)?;
        let (give, take) = mpsc::channel(CHUNKS_WAITING);
        let received = Received {
            take,
            rest: Bytes::new(),
            is_over: false,
        };
        Ok((Self { frames, give }, received))
    }

    /// Hands over what comes, until its end. Dropped before that, the other side fails.
    pub(crate) async fn feed(mut self) -> Result<(), Problem> {
        while let Some(data) = self.frames.next().await? {
            if self.give.send(data).await.is_err() {
                // Whoever writes has failed, and tells why.
                return Ok(());
            }
        }
        // No bytes are the end: a channel that is just closed is one whose giver is gone.
        self.give.send(Bytes::new()).await.ok();
        Ok(())
    }
}

/// The other end of an [`Upload`], to be read apart from the runtime.
pub(crate) struct Received {
    take: mpsc::Receiver<Bytes>,
    rest: Bytes,
    is_over: bool,
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && !self.is_over {
            let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
            self.rest = self.take.blocking_recv().ok_or_else(gone)?;
            self.is_over = self.rest.is_empty();
        }
        let taken = self.rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&self.rest.split_to(taken));
        Ok(taken)
    }
}
