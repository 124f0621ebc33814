//! What a key holds, as a member of data (EVENT-10, EVENT-11).

use allod_blocks::{Cid, Codec};
use allod_repo::{Content, Repo, RepoError, State};
use bytes::Bytes;
use multibase::Base;
use serde::Serialize;
use serde_json::value::RawValue;

/// The largest value that is in an event, in bytes (EVENT, "Limits"): ten of them fit what brokers carry.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// A value as it stands in JSON. All members are absent where they have nothing to say.
#[derive(Default, Serialize)]
pub(crate) struct Value {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

/// What a state holds, as far as an event has it.
pub(crate) enum Held {
    Nothing,
    Bytes(Bytes),
    /// Too large, a file, or not here; with its size where that is known.
    Link(Cid, Option<u64>),
}

/// What a state holds.
pub(crate) fn held(repo: &Repo, state: &State) -> Result<Held, RepoError> {
    let content = match repo.content_of(state) {
        // Not all of a file or value is kept, or it was replaced since and is gone.
        Err(RepoError::Missing(cid)) => return Ok(Held::Link(cid, None)),
        content => content?,
    };
    Ok(match (content, state.link()) {
        (None, _) => Held::Nothing,
        (Some(Content::File(cid)), _) => Held::Link(cid, None),
        (Some(Content::Bytes(bytes)), Some(cid))
            if bytes.len() > VALUE_BYTES_MAX && cid.codec() == Codec::Raw.code() =>
        {
            Held::Link(*cid, Some(bytes.len() as u64))
        }
        (Some(Content::Bytes(bytes)), _) => Held::Bytes(bytes),
    })
}

/// The kind of what joins.
pub(crate) const fn kind_of(state: &State) -> Option<&'static str> {
    match state {
        State::Joining(kind, _) | State::JoiningLink(kind, _) => Some(kind.name()),
        State::Value(_) | State::Link(_) | State::Tombstone => None,
    }
}

impl Value {
    /// `None` of what holds nothing.
    pub(crate) fn of(repo: &Repo, state: &State) -> Result<Option<Self>, RepoError> {
        let kind = kind_of(state);
        let mut value = Self {
            kind,
            ..Self::default()
        };
        match held(repo, state)? {
            Held::Nothing => return Ok(None),
            Held::Link(cid, bytes) => (value.link, value.bytes) = (Some(cid.to_string()), bytes),
            Held::Bytes(bytes) => match std::str::from_utf8(&bytes) {
                Err(_) => value.base64 = Some(Base::Base64Pad.encode(&bytes)),
                Ok(text) => match compact(text, kind.is_some()) {
                    Some(json) => value.json = Some(json),
                    None => value.text = Some(text.to_owned()),
                },
            },
        }
        Ok(Some(value))
    }
}

/// An object or array of JSON without the white space between its tokens, or `any` value; `None` of any other text.
pub(crate) fn compact(text: &str, any: bool) -> Option<Box<RawValue>> {
    let is_one = any || matches!(text.trim_start().as_bytes().first(), Some(b'{' | b'['));
    if !is_one || serde_json::from_str::<&RawValue>(text).is_err() {
        return None;
    }
    let (mut out, mut is_text, mut is_escaped) = (String::with_capacity(text.len()), false, false);
    for c in text.chars() {
        if is_text {
            is_text = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            is_text = c == '"';
        }
        out.push(c);
    }
    RawValue::from_string(out).ok()
}
