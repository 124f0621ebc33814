//! The history, and commits of several changes.

use allod_access::Door;
use allod_identity::Verified;
use allod_repo::{Commit, CommitId, Edit, Heads};
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_LOCATION, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer;
use super::blobs::find;
use crate::error::NodeError;
use crate::http::app::App;
use crate::http::blob::caching;
use crate::http::body;
use crate::http::etag::{Conditions, quoted};
use crate::http::limits::{CHANGES_MAX, CURSOR_COMMITS_MAX};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::space::Space;
use crate::http::target::{Target, spelled_key};
use crate::http::who::Who;
use crate::http::write::{self, Draft, Written};
use crate::node::Node;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, make))
        .routes(routes!(show))
}

/// A commit.
#[derive(Serialize, ToSchema)]
struct CommitInfo {
    /// Its id.
    commit: String,
    /// The commits that it was made on.
    parents: Vec<String>,
    /// Who made it, as a `did:key`.
    author: String,
    /// The device that signed it, as a `did:key`.
    device: String,
    /// The branch that it was made on.
    branch: String,
    /// One more than the most of its parents.
    generation: u64,
    /// When it was made, by the clock of its author.
    time: String,
    /// What its author said about it.
    message: String,
    /// The CID of the root of its tree.
    tree: String,
}

impl CommitInfo {
    fn new(id: CommitId, commit: &Verified<Commit>) -> Self {
        let said = commit.payload();
        Self {
            commit: id.to_string(),
            parents: said.parents.iter().map(ToString::to_string).collect(),
            author: said.author.to_string(),
            device: commit.signer().to_string(),
            branch: said.branch.to_string(),
            generation: said.generation,
            time: answer::time(said.stamp.millis()),
            message: said.message.clone(),
            tree: said.tree.to_string(),
        }
    }
}

/// A page of the history.
#[derive(Serialize, ToSchema)]
struct Commits {
    commits: Vec<CommitInfo>,
    /// What `after` takes to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The history of a state, newest first
#[utoipa::path(
    get, path = "/v1/spaces/{space}/commits", tag = "commits",
    params(
        ("space" = String, Path, description = "The space's name here, or its id"),
        ("branch" = Option<String>, Query, description = "A branch; the space's own unless said otherwise"),
        ("at" = Option<String>, Query, description = "A commit, tag, branch or time"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "At most so many; 100 unless said otherwise"),
        ("after" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Commits))
)]
async fn list(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
) -> Result<Response<Body>, Problem> {
    let query = query.only(&["branch", "at", "limit", "after"])?;
    let (state, limit) = (query.state()?, query.limit()?);
    let after = query.text("after")?.map(cursor).transpose()?;
    let space = target.space();
    let page = app.work(move |node| {
        let asked = target.open(node, &who)?;
        let seen = asked.see_whole(Door::History, &state)?;
        let repo = &asked.repo;
        let heads = match after {
            Some(after) => {
                check_within(&asked, &seen, &after)?;
                after
            }
            None => seen,
        };
        let mut log = repo.log(&heads)?;
        let commits = log.by_ref().take(limit).map(|item| {
            let (id, commit) = item?;
            Ok(CommitInfo::new(id, &commit))
        });
        let commits = commits.collect::<Result<_, Problem>>()?;
        let rest = log.rest();
        if rest.len() > CURSOR_COMMITS_MAX {
            let words = "too many lines of history are open here; begin at a commit, with `at`";
            return Err(Problem::new("E_HTTP_ANSWER", words));
        }
        let next = (!rest.is_empty()).then(|| answer::ids(&rest).join(","));
        Ok(Commits { commits, next })
    });
    let page = page.await?;
    let next = page.next.as_ref();
    let next = next.map(|next| format!("/v1/spaces/{space}/commits{}", query.next(next)));
    answer::with_next(answer::json(&page)?, next)
}

/// Refuses a cursor whose commits are not of the history that was asked for: what it names is not asked about by itself.
fn check_within(asked: &Space<'_>, seen: &Heads, after: &Heads) -> Result<(), Problem> {
    // The node's agent has its store, and its pages need not be walked to twice.
    if asked.who.is_own() {
        return Ok(());
    }
    for commit in after {
        let mut is_within = false;
        for head in seen {
            let is_known = asked.repo.has_commit(*commit)?;
            is_within |= is_known && asked.repo.is_ancestor(*commit, *head)?;
        }
        if !is_within {
            return Err(Problem::request("after is `next` of a page of this list"));
        }
    }
    Ok(())
}

/// The commits of a cursor.
fn cursor(text: &str) -> Result<Heads, Problem> {
    let bad = || Problem::request("after is `next` of a page of this list");
    if text.split(',').count() > CURSOR_COMMITS_MAX {
        return Err(bad());
    }
    let ids = text.split(',').map(str::parse::<CommitId>);
    ids.collect::<Result<_, _>>().map_err(|_error| bad())
}

/// A commit
#[utoipa::path(
    get, path = "/v1/spaces/{space}/commits/{commit}", tag = "commits",
    params(
        ("space" = String, Path, description = "The space's name here, or its id"),
        ("commit" = String, Path, description = "Its id, or enough of it; a tag, or a branch with one head"),
        ("If-None-Match" = Option<String>, Header, description = "ETags that are known"),
    ),
    responses(
        (status = 200, body = CommitInfo, headers(("ETag" = String, description = "Its id"))),
        (status = 304, description = "It is known"),
    )
)]
async fn show(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let asked = target.name()?;
    let space = target.space();
    let commit = app.work(move |node| {
        let space = target.open(node, &who)?;
        let name = target.name()?;
        let found = space.see_commit(Door::History, &name)?;
        let id = *found.first().ok_or(NodeError::NoState(name))?;
        Ok(CommitInfo::new(id, &*space.repo.commit(id)?))
    });
    let commit = commit.await?;
    let is_fixed = asked == commit.commit;
    let mut response = answer::named(&headers, (&commit.commit, caching(is_fixed)), &commit)?;
    let place = format!("/v1/spaces/{space}/commits/{}", commit.commit);
    let place = HeaderValue::try_from(place).map_err(Problem::fault)?;
    response.headers_mut().insert(CONTENT_LOCATION, place);
    Ok(response)
}

/// A commit to be made: all of its changes or none.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCommit {
    /// On which branch; the space's own unless said otherwise.
    branch: Option<String>,
    /// What to say about it.
    #[serde(default)]
    message: String,
    /// What it changes, each key once.
    #[schema(min_items = 1)]
    changes: Vec<NewChange>,
}

/// What becomes of a key: exactly one of `text`, `json`, `base64`, `file` and `delete`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewChange {
    /// The key: text, or `hex:` and its bytes.
    key: String,
    /// A value that is text.
    text: Option<String>,
    /// A value that is JSON; its spelling is kept.
    #[schema(value_type = Option<serde_json::Value>)]
    json: Option<Box<RawValue>>,
    /// A value of any bytes, in base64.
    base64: Option<String>,
    /// A value that is a file, by its CID; it must be here.
    file: Option<String>,
    /// Whether the key is removed.
    #[serde(default)]
    delete: bool,
}

/// A commit that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct Made {
    /// Its id.
    commit: String,
    /// The branch that it is on.
    branch: String,
    /// The name of the branch's state now, which `If-Match` takes.
    etag: String,
}

impl From<&Written> for Made {
    fn from(written: &Written) -> Self {
        Self {
            commit: written.commit.to_string(),
            branch: written.branch.to_string(),
            etag: written.state.clone(),
        }
    }
}

/// Change several keys in one commit: all of them or none
#[utoipa::path(
    post, path = "/v1/spaces/{space}/commits", tag = "commits",
    params(
        ("space" = String, Path, description = "The space's name here, or its id"),
        ("If-Match" = Option<String>, Header, description = "Only if the branch's ETag is one of these"),
    ),
    request_body = NewCommit,
    responses((
        status = 201, body = Made,
        headers(
            ("Location" = String, description = "The commit"),
            ("ETag" = String, description = "The name of the branch's state now"),
        )
    ))
)]
async fn make(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let conditions = Conditions::read(&headers)?;
    let asked: NewCommit = body::json(&app, &headers, body).await?;
    let message = write::checked(asked.message)?;
    if asked.changes.is_empty() || asked.changes.len() > CHANGES_MAX {
        let words = format!("a commit has 1 to {CHANGES_MAX} changes here");
        return Err(Problem::new("E_HTTP_VALUE", words));
    }
    let space = target.space();
    let made = app.work(move |node| {
        let space = target.open(node, &who)?;
        let keys = asked.changes.iter().map(|change| {
            let door = if change.delete {
                Door::Delete
            } else {
                Door::Put
            };
            Ok((door, spelled_key(change.key.as_bytes())?))
        });
        let keys = keys.collect::<Result<Vec<_>, Problem>>()?;
        let keys = keys.iter().map(|(door, key)| (*door, &key[..]));
        let branch = space.may_write(asked.branch.as_deref(), keys)?;
        // Files that the changes bring stay until the commit names them.
        let _hold = node.store().uses().hold();
        let changes = asked.changes.into_iter();
        let mut edits = changes
            .map(|change| edit(node, &who, change))
            .collect::<Result<Vec<_>, _>>()?;
        edits.sort_by(|(one, _), (other, _)| one.cmp(other));
        if edits.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Problem::request("a key is there twice"));
        }
        let draft = Draft {
            branch,
            message,
            conditions,
            edits,
            is_of_key: false,
        };
        write::commit(node, &space.repo, draft)
    });
    let written = made.await?;
    let mut response = answer::json(&Made::from(&written))?;
    *response.status_mut() = StatusCode::CREATED;
    let place = format!("/v1/spaces/{space}/commits/{}", written.commit);
    let fields = response.headers_mut();
    fields.insert(
        LOCATION,
        HeaderValue::try_from(place).map_err(Problem::fault)?,
    );
    fields.insert(axum::http::header::ETAG, quoted(&written.state)?);
    Ok(response)
}

/// What a change is that is none.
const ONE_OF: &str = "a change has exactly one of text, json, base64, file, delete";

/// The key and the edit of a change.
fn edit(node: &Node, who: &Who, change: NewChange) -> Result<(Bytes, Edit), Problem> {
    let key = spelled_key(change.key.as_bytes())?;
    let json = change.json.map(|json| json.get().to_owned());
    if change.text.is_some() && json.is_some() {
        return Err(Problem::request(ONE_OF));
    }
    let put = |text: String| node.edit_from(&mut text.as_bytes()).map_err(Problem::from);
    let edit = match (
        change.text.or(json),
        change.base64,
        change.file,
        change.delete,
    ) {
        (Some(text), None, None, false) => put(text)?,
        (None, Some(text), None, false) => {
            let bytes = base64(&text).ok_or_else(|| Problem::request("base64 is malformed"))?;
            node.edit_from(&mut &bytes[..])?
        }
        (None, None, Some(cid), false) => {
            let cid = allod_blocks::parse_cid(&cid);
            let cid = cid.map_err(|_error| Problem::request("file is a CID"))?;
            // Who links to a file can read it: so it has to be one that it can read already.
            if !who.is_own() && find(node, who, cid)?.is_none() {
                let words = format!("block {cid} of a file is not here");
                return Err(Problem::new("E_HTTP_NEEDS_FILE", words));
            }
            Edit::Link(cid)
        }
        (None, None, None, true) => Edit::Delete,
        _ => return Err(Problem::request(ONE_OF)),
    };
    Ok((key, edit))
}

/// The bytes of base64, with or without padding.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    multibase::Base::Base64.decode(bare).ok()
}
