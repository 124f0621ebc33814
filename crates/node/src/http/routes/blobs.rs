//! Files by their CID (HTTP-26).

use allod_access::{Door, Target as Keys};
use allod_blocks::{Cid, Codec};
use allod_repo::{Repo, Span, State as EntryState, View};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::app::App;
use crate::http::blob::{FOR_EVER, Value};
use crate::http::limits::SEARCH_ENTRIES_MAX;
use crate::http::percent;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::space::Space;
use crate::http::who::Who;
use crate::node::Node;
use crate::seeing::Sight;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read))
}

/// A file that an entry of a space links to
#[utoipa::path(
    get, path = "/v1/blobs/{cid}", tag = "entries",
    params(
        ("cid" = String, Path, description = "The CID of the file"),
        ("space" = Option<String>, Query, description = "The space that has it, by its name here or its id"),
        ("key" = Option<String>, Query, description = "The key of the entry that links to it, in that space"),
        ("at" = Option<String>, Query, description = "A commit, tag, branch or time at which it does"),
        ("Range" = Option<String>, Header, description = "Which bytes, as `bytes=0-99`"),
        ("If-None-Match" = Option<String>, Header, description = "ETags that are known"),
    ),
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream",
            headers(("ETag" = String, description = "Its CID"))),
        (status = 206, description = "Some of its bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "It is known"),
    )
)]
async fn read(
    State(app): State<App>,
    who: Who,
    uri: Uri,
    query: Query,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let query = query.only(&["space", "key", "at"])?;
    let cid = percent::cid_behind(uri.path(), "/v1/blobs/");
    let cid = cid.ok_or_else(|| Problem::request("a blob is named by its CID"))?;
    let (space, key) = (query.text("space")?.map(str::to_owned), query.key("key")?);
    if key.is_some() && space.is_none() {
        return Err(Problem::request("a key is one of a space: say which"));
    }
    let state = query.state()?;
    let none = move || Problem::new("E_HTTP_BLOB", format!("no entry here links to {cid}"));
    let value = app.work(move |node| {
        if !matches!(
            Codec::from_code(cid.codec()),
            Some(Codec::Raw | Codec::DagPb)
        ) {
            return Err(none());
        }
        let Some(space) = space else {
            let repo = find(node, &who, cid)?.ok_or_else(none)?;
            return Value::of_file(node, &repo, cid);
        };
        let asked = Space::open(node, &who, &space)?;
        let heads = match &key {
            Some(key) => asked.see(Door::Get, &state, Keys::Key(key))?.heads,
            None => asked.see_whole(Door::Get, &state)?,
        };
        let repo = &asked.repo;
        let view = repo.together(&heads)?;
        let is_there = match &key {
            Some(key) => view
                .entry(key)?
                .is_some_and(|entry| links_to(&entry.state, cid)),
            None => has(&view, cid, &mut { SEARCH_ENTRIES_MAX })?,
        };
        if is_there {
            Value::of_file(node, repo, cid)
        } else {
            Err(none())
        }
    });
    value.await?.answer(&app, &headers, FOR_EVER)
}

fn links_to(state: &EntryState, cid: Cid) -> bool {
    matches!(state, EntryState::Link(link) if *link == cid)
}

/// Whether an entry of a state links to a file; gives up after so many.
fn has(view: &View, cid: Cid, left: &mut usize) -> Result<bool, Problem> {
    for item in view.range(&Span::all(), false) {
        let (_, entry) = item?;
        if links_to(&entry.state, cid) {
            return Ok(true);
        }
        *left = left.checked_sub(1).ok_or_else(|| {
            let words = "there are too many entries to look for it: say its space and key";
            Problem::new("E_HTTP_BLOB", words)
        })?;
    }
    Ok(false)
}

/// A space of which a branch has a file now that whoever asks may read all of.
pub(crate) fn find(node: &Node, who: &Who, cid: Cid) -> Result<Option<Repo>, Problem> {
    // What is not here at all is not looked for.
    if !node.store().has(&cid)? {
        return Ok(None);
    }
    let mut left = SEARCH_ENTRIES_MAX;
    for (_, id) in node.spaces()? {
        let repo = node.repo(id)?;
        let rights = repo.authorizer()?;
        for (branch, _) in repo.branches()? {
            let all = (branch.as_str(), Keys::Prefix(b""));
            let sight = Sight::of(&rights, who.principal(), all);
            if sight.is_some_and(|sight| sight.is_whole())
                && has(&repo.state(&branch)?, cid, &mut left)?
            {
                return Ok(Some(repo));
            }
        }
    }
    Ok(None)
}
