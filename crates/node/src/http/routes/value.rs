//! One entry: its value as it is, read and written.

use allod_access::{Door, Target as Keys};
use allod_blocks::{Codec, sha256_cid};
use allod_repo::{Edit, Entry};
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ETAG, HeaderMap};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::answer;
use super::commits::Made;
use super::entries::EntryInfo;
use crate::http::app::App;
use crate::http::blob::{Value, caching};
use crate::http::body::{Received, Upload};
use crate::http::etag::{Conditions, quoted, state_tag};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::target::Target;
use crate::http::who::Who;
use crate::http::write::{self, Draft, Written};
use crate::node::Node;
use crate::shown::key_text;

/// The header that names the commit that a write made.
const COMMIT: HeaderName = HeaderName::from_static("allod-commit");

/// What the document says of these routes: there a key is one segment, with `/` as `%2F`.
#[derive(OpenApi)]
#[openapi(paths(read, put, delete))]
struct Document;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi()).route(
        "/v1/spaces/{space}/entries/{*key}",
        get(read).put(put).delete(delete),
    )
}

/// The value of a key
#[utoipa::path(
    get, path = "/v1/spaces/{space}/entries/{key}", tag = "entries",
    params(
        ("space" = String, Path, description = "The space's name here, or its id"),
        ("key" = String, Path, description = "The key, percent-encoded; `hex:` and its bytes is another spelling"),
        ("branch" = Option<String>, Query, description = "A branch; the space's own unless said otherwise"),
        ("at" = Option<String>, Query, description = "A commit, tag, branch or time"),
        ("as" = inline(Option<As>), Query, description = "`json` for the entry with its stamp and kind, in place of the bytes"),
        ("Range" = Option<String>, Header, description = "Which bytes, as `bytes=0-99`"),
        ("If-None-Match" = Option<String>, Header, description = "ETags that are known"),
    ),
    responses(
        (status = 200, description = "The value as it is, or the entry", headers(
            ("ETag" = String, description = "The CID of the value, or of the entry"),
            ("Allod-State" = String, description = "The name of the state, which `If-Match` of a write takes"),
        ), content(
            (String = "text/plain; charset=utf-8"),
            (Vec<u8> = "application/octet-stream"),
            (serde_json::Value = "application/json"),
        )),
        (status = 206, description = "Some of its bytes", content(
            (String = "text/plain; charset=utf-8"),
            (Vec<u8> = "application/octet-stream"),
            (String = "application/json"),
        )),
        (status = 304, description = "It is known"),
    )
)]
async fn read(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let query = query.only(&["branch", "at", "as"])?;
    let state = query.state()?;
    let is_json = match query.text("as")? {
        None => false,
        Some("json") => true,
        Some(_) => return Err(Problem::request("as is json, or not said")),
    };
    let key = target.key()?;
    let found = app.work(move |node| {
        let asked = target.open(node, &who)?;
        let seen = asked.see(Door::Get, &state, Keys::Key(&key))?;
        let repo = asked.repo;
        let view = repo.together(&seen.heads)?;
        let heads = view.heads();
        let (tag, is_fixed) = (state_tag(heads)?, state.is_fixed(heads));
        let entry = view.entry(&key)?.filter(Entry::is_live);
        let none = || {
            Problem::new(
                "E_HTTP_ENTRY",
                format!("no value under {:?}", key_text(&key)),
            )
        };
        let entry = entry.ok_or_else(none)?;
        let found = if is_json {
            let name = sha256_cid(Codec::DagCbor, &entry.encode()).to_string();
            Found::Entry(EntryInfo::new(&repo, (&key, &entry), true)?, name)
        } else {
            Found::Value(Value::of(node, &repo, &entry)?.ok_or_else(none)?)
        };
        Ok((found, tag, caching(is_fixed)))
    });
    let (found, tag, caching) = found.await?;
    let response = match found {
        Found::Entry(entry, name) => answer::named(&headers, (&name, caching), &entry)?,
        Found::Value(value) => value.answer(&app, &headers, caching)?,
    };
    answer::of_state(response, &tag)
}

/// What is under a key, as it was asked for.
enum Found {
    /// With its name.
    Entry(EntryInfo, String),
    Value(Value),
}

/// How an entry is shown.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes a parameter")]
enum As {
    Json,
}

/// Set the value of a key, in a commit
#[utoipa::path(
    put, path = "/v1/spaces/{space}/entries/{key}", tag = "entries",
    params(
        ("space" = String, Path, description = "The space's name here, or its id"),
        ("key" = String, Path, description = "The key, percent-encoded; `hex:` and its bytes is another spelling"),
        ("branch" = Option<String>, Query, description = "A branch; the space's own unless said otherwise"),
        ("If-Match" = Option<String>, Header, description = "Only if one of these is the ETag of the value, or of the branch's state"),
        ("If-None-Match" = Option<String>, Header, description = "Only if the value has none of these; `*` if there is none"),
        ("Allod-Message" = Option<String>, Header, description = "The message of the commit, percent-encoded"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The value, of any type"),
    responses(
        (status = 200, description = "There was a value before", body = Made),
        (status = 201, description = "There was none before", body = Made),
    )
)]
async fn put(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let write = Write::read(&target, query, &headers)?;
    let (upload, mut received): (Upload, Received) = Upload::new(&headers, body)?;
    let writing = app.work(move |node| {
        write.check(node, (&target, &who), Door::Put)?;
        // What a long value is made of stays until the commit names it.
        let _hold = node.store().uses().hold();
        let edit = node.edit_from(&mut received)?;
        let tag = match &edit {
            Edit::Put(bytes) => sha256_cid(Codec::Raw, bytes).to_string(),
            Edit::Link(cid) => cid.to_string(),
            Edit::Delete => String::new(),
        };
        Ok((write.make(node, (&target, &who), edit)?, tag))
    });
    let (fed, written) = tokio::join!(upload.feed(), writing);
    // A body that did not come whole is why the write failed.
    fed?;
    let (written, tag) = written?;
    let mut response = answer(&written)?;
    if !written.was_there {
        *response.status_mut() = StatusCode::CREATED;
    }
    response.headers_mut().insert(ETAG, quoted(&tag)?);
    Ok(response)
}

/// Remove the value of a key, in a commit
#[utoipa::path(
    delete, path = "/v1/spaces/{space}/entries/{key}", tag = "entries",
    params(
        ("space" = String, Path, description = "The space's name here, or its id"),
        ("key" = String, Path, description = "The key, percent-encoded; `hex:` and its bytes is another spelling"),
        ("branch" = Option<String>, Query, description = "A branch; the space's own unless said otherwise"),
        ("If-Match" = Option<String>, Header, description = "Only if one of these is the ETag of the value, or of the branch's state"),
        ("Allod-Message" = Option<String>, Header, description = "The message of the commit, percent-encoded"),
    ),
    responses((status = 200, body = Made))
)]
async fn delete(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let write = Write::read(&target, query, &headers)?;
    let written = app.work(move |node| {
        write.check(node, (&target, &who), Door::Delete)?;
        write.make(node, (&target, &who), Edit::Delete)
    });
    answer(&written.await?)
}

/// What a write of one key says beside the value.
struct Write {
    key: bytes::Bytes,
    branch: Option<String>,
    message: String,
    conditions: Conditions,
}

impl Write {
    fn read(target: &Target, query: Query, headers: &HeaderMap) -> Result<Self, Problem> {
        let query = query.only(&["branch"])?;
        Ok(Self {
            key: target.key()?,
            branch: query.text("branch")?.map(str::to_owned),
            message: write::message(headers)?,
            conditions: Conditions::read(headers)?,
        })
    }

    /// Asks before a value is read. What was there before is told by the answer, or by conditions: to who may read it.
    fn check(&self, node: &Node, by: (&Target, &Who), door: Door) -> Result<(), Problem> {
        let space = by.0.open(node, by.1)?;
        let branch = self.branch.as_deref();
        let branch = space.may_write(branch, [(door, &self.key[..])].into_iter())?;
        if door == Door::Delete || !self.conditions.are_none() {
            space.ask(Door::Get, (branch.as_str(), Keys::Key(&self.key)))?;
        }
        Ok(())
    }

    fn make(self, node: &Node, by: (&Target, &Who), edit: Edit) -> Result<Written, Problem> {
        // The body may have taken longer than the token lasts.
        by.1.check_still(node)?;
        let space = by.0.open(node, by.1)?;
        let edits = vec![(self.key, edit)];
        let branch = space.written(self.branch.as_deref(), &edits)?;
        let may_hear = space.glimpses(branch.as_str(), &edits[0].0)?;
        let draft = Draft {
            branch,
            message: self.message,
            conditions: self.conditions,
            edits,
            is_of_key: true,
        };
        let mut written = write::commit(node, &space.repo, draft)?;
        written.was_there |= !may_hear;
        Ok(written)
    }
}

fn answer(written: &Written) -> Result<Response<Body>, Problem> {
    let response = answer::json(&Made::from(written))?;
    let mut response = answer::of_state(response, &written.state)?;
    let commit = HeaderValue::try_from(written.commit.to_string()).map_err(Problem::fault)?;
    response.headers_mut().insert(COMMIT, commit);
    Ok(response)
}
