//! Session tokens (HTTP-81, HTTP-82).

use allod_access::{Command, Op, Token};
use allod_identity::AgentId;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer;
use crate::http::app::App;
use crate::http::body;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::who::Who;
use crate::tokens::TokenFor;

/// How long a token lasts unless said otherwise, in minutes.
const MINUTES: u64 = 15;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(begin, end))
        .routes(routes!(refresh))
}

/// A session to begin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSession {
    /// Who is to bear the token: a `did:key`, or a handle.
    user: String,
    /// Roles besides those that the user has.
    #[serde(default)]
    roles: Vec<String>,
    /// What it may be used for: `read`, `write`, `delete`, ..., or commands as `/space/read`.
    #[schema(min_items = 1)]
    can: Vec<String>,
    /// In which space, by its name here or its id; all unless said.
    space: Option<String>,
    /// How long the token lasts; 15 unless said otherwise.
    #[schema(minimum = 1, maximum = 60)]
    minutes: Option<u64>,
}

/// A token.
#[derive(Serialize, ToSchema)]
struct Session {
    /// What to show as `Authorization: Bearer`. It is a secret.
    token: String,
    /// When it ends.
    ends: String,
}

/// Begin a session: a token for somebody else
#[utoipa::path(
    post, path = "/v1/session", tag = "session",
    request_body = NewSession,
    responses((status = 201, body = Session))
)]
async fn begin(
    State(app): State<App>,
    who: Who,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    who.check_own()?;
    let asked: NewSession = body::json(&app, &headers, body).await?;
    let bad = |words: &str| Problem::new("E_HTTP_VALUE", words);
    let can = asked.can.iter().map(|text| command(text));
    let can = can
        .collect::<Option<Vec<Command>>>()
        .filter(|can| !can.is_empty());
    let can = can.ok_or_else(|| bad("can has operations, or commands as /space/read"))?;
    if let Some(agent) = asked.user.strip_prefix("did:")
        && asked.user.parse::<AgentId>().is_err()
    {
        return Err(bad(&format!("did:{agent} is no did:key of an agent")));
    }
    let issued = app.work(move |node| {
        let space = asked.space.map(|name| node.space(Some(&name)));
        let wanted = TokenFor {
            user: asked.user,
            roles: asked.roles,
            can,
            space: space.transpose()?.map(|repo| *repo.id().cid()),
            minutes: asked.minutes.unwrap_or(MINUTES),
        };
        let text = node.issue_token(wanted)?;
        Ok((node.take_token(&text)?, text))
    });
    let (token, text) = issued.await?;
    given(&token, text)
}

/// The command of an operation, or one as it is.
fn command(text: &str) -> Option<Command> {
    if text.starts_with('/') {
        text.parse().ok()
    } else {
        text.parse::<Op>().ok().map(Command::from)
    }
}

fn given(token: &Token, text: String) -> Result<Response<Body>, Problem> {
    let session = Session {
        token: text,
        ends: answer::time(token.exp),
    };
    let mut response = answer::json(&session)?;
    *response.status_mut() = StatusCode::CREATED;
    let fields = response.headers_mut();
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Another token for the session; the one that is shown is given back
#[utoipa::path(
    post, path = "/v1/session/refresh", tag = "session",
    responses((status = 201, body = Session))
)]
async fn refresh(
    State(app): State<App>,
    who: Who,
    query: Query,
) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let token = shown(&who)?;
    let next = app.work(move |node| {
        let text = node.refresh_token(&token)?;
        Ok((node.take_token(&text)?, text))
    });
    let (token, text) = next.await?;
    given(&token, text)
}

/// End a session: the token that is shown is given back
#[utoipa::path(
    delete, path = "/v1/session", tag = "session",
    responses((status = 204, description = "It is taken no more"))
)]
async fn end(State(app): State<App>, who: Who, query: Query) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let token = shown(&who)?;
    app.work(move |node| Ok(node.give_back_token(&token)?))
        .await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// The token of whoever asks.
fn shown(who: &Who) -> Result<Token, Problem> {
    let token = who.session().cloned();
    token.ok_or_else(|| Problem::request("the request shows no session token"))
}
