//! Lists of entries, by ranges of keys.

use allod_access::{Door, Target as Keys};
use allod_repo::{Entry, Repo, State as EntryState};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer;
use crate::http::app::App;
use crate::http::blob::caching;
use crate::http::etag::state_tag;
use crate::http::limits::PAGE_BYTES_MAX;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::target::Target;
use crate::http::who::Who;
use crate::shown::{key_text, state_kind, state_value};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// An entry.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryInfo {
    /// Its key: text, or `hex:` and its bytes.
    pub(crate) key: String,
    /// `value`, `file`, or the kind of a value that joins.
    kind: &'static str,
    /// The bytes of its value. Of one that joins, those of its state.
    size: u64,
    /// When it was written, by the clock of its writer.
    time: String,
    /// The same in milliseconds since 1970, and behind a point which of several entries of one it is.
    stamp: String,
    /// Its value, if it is asked for: text as it is, other bytes as `{"base64"}`, a file as `{"file"}`, what
    /// joins as `{"joins", "value"}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Json>,
}

impl EntryInfo {
    pub(crate) fn new(
        repo: &Repo,
        (key, entry): (&[u8], &Entry),
        with_value: bool,
    ) -> Result<Self, Problem> {
        let store = repo.store().as_ref();
        let (kind, size) = state_kind(store, &entry.state)?;
        Ok(Self {
            key: key_text(key),
            // A short file is a value like others.
            kind: match &entry.state {
                EntryState::Link(cid) if cid.codec() == allod_blocks::Codec::Raw.code() => "value",
                _ => kind,
            },
            size,
            time: answer::time(entry.stamp.millis()),
            stamp: entry.stamp.to_string(),
            value: with_value.then(|| state_value(store, &entry.state)),
        })
    }

    /// About how many bytes it takes in an answer.
    fn weight(&self) -> usize {
        let value = match &self.value {
            None => 0,
            Some(Json::String(text)) => text.len(),
            Some(_) => self.size as usize * 2,
        };
        200 + self.key.len() + value
    }
}

/// A page of entries.
#[derive(Serialize, ToSchema)]
struct EntryPage {
    /// The commits whose state it is.
    heads: Vec<String>,
    entries: Vec<EntryInfo>,
    /// What `after` takes to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The entries of a range of keys, in key order
#[utoipa::path(
    get, path = "/v1/spaces/{space}/entries", tag = "entries",
    params(
        ("space" = String, Path, description = "The space's name here, or its id"),
        ("branch" = Option<String>, Query, description = "A branch; the space's own unless said otherwise"),
        ("at" = Option<String>, Query, description = "A commit, tag, branch or time"),
        ("prefix" = Option<String>, Query, description = "Keys that begin so"),
        ("from" = Option<String>, Query, description = "Keys from this one on"),
        ("to" = Option<String>, Query, description = "Keys before this one"),
        ("after" = Option<String>, Query, description = "Keys behind this one in the order of the list: `next` of the page before"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "At most so many; 100 unless said otherwise"),
        ("reverse" = Option<bool>, Query, description = "Whether the greatest key comes first"),
        ("values" = Option<bool>, Query, description = "Whether values are wanted"),
        ("If-None-Match" = Option<String>, Header, description = "ETags that are known"),
    ),
    responses(
        (status = 200, body = EntryPage, headers(
            ("ETag" = String, description = "The name of the state"),
            ("Allod-State" = String, description = "The name of the state, which `If-Match` of a write takes"),
            ("Link" = String, description = "The next page, if there is one"),
        )),
        (status = 304, description = "It is known"),
    )
)]
async fn list(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let query = query.only(&[
        "branch", "at", "prefix", "from", "to", "after", "limit", "reverse", "values",
    ])?;
    let (state, limit) = (query.state()?, query.limit()?);
    let (is_reverse, with_values) = (query.flag("reverse")?, query.flag("values")?);
    let span = query.span(is_reverse)?;
    let prefix = query.key("prefix")?.unwrap_or_default();
    let space = target.space();
    let page = app.work(move |node| {
        let asked = target.open(node, &who)?;
        let seen = asked.see(Door::Range, &state, Keys::Prefix(&prefix))?;
        let repo = asked.repo;
        let view = repo.together(&seen.heads)?;
        let (mut entries, mut weight, mut next) = (Vec::new(), 0, None);
        for item in view.range(&span, is_reverse) {
            let (key, entry) = item?;
            if !seen.sight.sees(&key) {
                continue;
            }
            if entries.len() == limit || weight >= PAGE_BYTES_MAX {
                next = entries.last().map(|last: &EntryInfo| last.key.clone());
                break;
            }
            let info = EntryInfo::new(&repo, (&key, &entry), with_values)?;
            weight += info.weight();
            entries.push(info);
        }
        let heads = view.heads();
        let page = EntryPage {
            heads: answer::ids(heads),
            entries,
            next,
        };
        Ok((page, state_tag(heads)?, state.is_fixed(heads)))
    });
    let (page, tag, is_fixed) = page.await?;
    let next = page.next.as_ref();
    let next = next.map(|next| format!("/v1/spaces/{space}/entries{}", query.next(next)));
    let response = answer::named(&headers, (&tag, caching(is_fixed)), &page)?;
    answer::with_next(answer::of_state(response, &tag)?, next)
}
