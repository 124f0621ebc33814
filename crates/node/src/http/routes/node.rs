//! The node itself: what it is, whether it works, its figures, the document of the API.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer;
use super::spaces::known;
use crate::http::app::App;
use crate::http::page::STYLE;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::who::Who;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(node))
        .routes(routes!(health))
        .routes(routes!(metrics))
        .routes(routes!(document))
        .route("/", axum::routing::get(page))
        .route("/style.css", axum::routing::get(style))
}

/// Whose node it is.
#[derive(Serialize, ToSchema)]
struct NodeInfo {
    /// The device, as a `did:key`.
    device: String,
    /// What people call the device.
    device_name: String,
    /// The agent that it acts for, as a `did:key`.
    agent: Option<String>,
    /// The version of the program.
    version: &'static str,
    /// How many spaces have a name here, of those that may be read.
    spaces: usize,
    /// How many devices a connection is open to; null for who bears a session token.
    peers_connected: Option<usize>,
}

/// Whose node this is, and what it has
#[utoipa::path(get, path = "/v1/node", tag = "node", responses((status = 200, body = NodeInfo)))]
async fn node(State(app): State<App>, who: Who, query: Query) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let info = app.work(move |node| {
        let config = node.config();
        Ok(NodeInfo {
            device: config.device,
            device_name: config.device_name,
            agent: config.agent,
            version: env!("CARGO_PKG_VERSION"),
            spaces: known(node, &who)?.len(),
            peers_connected: who.is_own().then(|| node.connected()),
        })
    });
    answer::json(&info.await?)
}

/// Whether the node works.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

/// Whether the node works: its store answers. Needs no token
#[utoipa::path(
    get, path = "/healthz", tag = "node", security(()),
    responses((status = 200, body = Health))
)]
async fn health(State(app): State<App>, query: Query) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    app.work(|node| Ok(node.spaces().map(drop)?)).await?;
    answer::json(&Health { status: "ok" })
}

/// Figures in the format of OpenMetrics
#[utoipa::path(
    get, path = "/metrics", tag = "node",
    responses((
        status = 200, body = String,
        content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    ))
)]
async fn metrics(
    State(app): State<App>,
    who: Who,
    query: Query,
) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    who.check_own()?;
    let asked = app.clone();
    let text = app.work(move |_node| asked.figures().text()).await?;
    Ok(plain(
        text,
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ))
}

/// This document. Needs no token
#[utoipa::path(
    get, path = "/openapi.json", tag = "node", security(()),
    responses((status = 200, body = serde_json::Value))
)]
async fn document(State(app): State<App>, query: Query) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    Ok(plain(app.texts().openapi.clone(), "application/json"))
}

/// The page for people.
async fn page(State(app): State<App>) -> Response<Body> {
    let mut response = plain(app.texts().page.clone(), "text/html; charset=utf-8");
    let policy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
                  form-action 'none'";
    let fields = response.headers_mut();
    fields.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

async fn style() -> Response<Body> {
    plain(STYLE.to_owned(), "text/css; charset=utf-8")
}

fn plain(text: String, media: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
