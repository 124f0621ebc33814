//! What differs between two states.

use allod_access::{Door, Target as Keys};
use allod_repo::Heads;
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
use crate::http::query::{At, Query};
use crate::http::target::Target;
use crate::http::who::Who;
use crate::shown::{key_text, state_value};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(diff))
}

/// A key whose value is not the same in both states. What is not there is null.
#[derive(Serialize, ToSchema)]
struct Change {
    /// The key: text, or `hex:` and its bytes.
    key: String,
    /// Its value in the first state.
    before: Json,
    /// Its value in the second.
    after: Json,
}

/// A page of what differs.
#[derive(Serialize, ToSchema)]
struct Difference {
    /// The commits of the first state; none if it is the empty one.
    from: Vec<String>,
    /// The commits of the second.
    to: Vec<String>,
    changes: Vec<Change>,
    /// What `after` takes to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The keys whose values differ between two states, in key order
#[utoipa::path(
    get, path = "/v1/spaces/{space}/diff", tag = "commits",
    params(
        ("space" = String, Path, description = "The space's name here, or its id"),
        ("from" = Option<String>, Query, description = "The first state: a branch, tag, commit or time; nothing at all unless said otherwise"),
        ("to" = Option<String>, Query, description = "The second; the space's own branch unless said otherwise"),
        ("prefix" = Option<String>, Query, description = "Keys that begin so"),
        ("after" = Option<String>, Query, description = "Keys behind this one: `next` of the page before"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "At most so many; 100 unless said otherwise"),
        ("If-None-Match" = Option<String>, Header, description = "ETags that are known"),
    ),
    responses(
        (status = 200, body = Difference, headers(
            ("ETag" = String, description = "The names of both states"),
            ("Link" = String, description = "The next page, if there is one"),
        )),
        (status = 304, description = "It is known"),
    )
)]
async fn diff(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let query = query.only(&["from", "to", "prefix", "after", "limit"])?;
    let limit = query.limit()?;
    let at = |name| -> Result<Option<At>, Problem> {
        let at = query.text(name)?.map(str::to_owned);
        Ok(at.map(|at| At {
            branch: None,
            at: Some(at),
        }))
    };
    let (from, to) = (at("from")?, at("to")?.unwrap_or_default());
    let span = query.key_span()?;
    let prefix = query.key("prefix")?.unwrap_or_default();
    let space = target.space();
    let page = app.work(move |node| {
        let asked = target.open(node, &who)?;
        let see = |at: &At| asked.see(Door::Diff, at, Keys::Prefix(&prefix));
        let first = from.as_ref().map(see).transpose()?;
        let second = see(&to)?;
        let repo = &asked.repo;
        let before = match &first {
            Some(first) => repo.together(&first.heads)?,
            None => repo.together(&Heads::new())?,
        };
        let after = repo.together(&second.heads)?;
        let (mut changes, mut weight, mut next) = (Vec::new(), 0, None);
        for change in before.diff(&after, &span) {
            let change = change?;
            let of_both = [first.as_ref(), Some(&second)];
            if !of_both
                .into_iter()
                .flatten()
                .all(|seen| seen.sight.sees(&change.key))
            {
                continue;
            }
            if changes.len() == limit || weight >= PAGE_BYTES_MAX {
                next = changes.last().map(|last: &Change| last.key.clone());
                break;
            }
            let whole = |state| state_value(repo.store().as_ref(), state);
            let change = Change {
                key: key_text(&change.key),
                before: whole(&change.before),
                after: whole(&change.after),
            };
            weight += serde_json::to_vec(&change).map_err(Problem::fault)?.len();
            changes.push(change);
        }
        let (these, those) = (before.heads(), after.heads());
        let is_fixed = from.is_none_or(|from| from.is_fixed(these)) && to.is_fixed(those);
        let tag = format!("{}..{}", state_tag(these)?, state_tag(those)?);
        let page = Difference {
            from: answer::ids(these),
            to: answer::ids(those),
            changes,
            next,
        };
        Ok((page, tag, caching(is_fixed)))
    });
    let (page, tag, caching) = page.await?;
    let next = page.next.as_ref();
    let next = next.map(|next| format!("/v1/spaces/{space}/diff{}", query.next(next)));
    answer::with_next(answer::named(&headers, (&tag, caching), &page)?, next)
}
