//! One router of all subjects, and what every request passes.

use std::any::Any;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LINK,
    LOCATION, RANGE, RETRY_AFTER,
};
use axum::http::{Method, Response};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use super::app::{App, Texts};
use super::blob::STATE;
use super::gate::{FEDERATION, Rules, gate};
use super::listen::FaultSink;
use super::metrics::observe;
use super::problem::Problem;
use super::routes::CURSOR;
use super::{federation, openapi, page, routes};
use crate::node::Node;

/// The whole of what is served.
pub(crate) fn router(
    node: Node,
    rules: Rules,
    ending: (FaultSink, watch::Receiver<bool>),
) -> Router {
    let (router, document) = routes::all().split_for_parts();
    let document = openapi::complete(document);
    let texts = Texts {
        page: page::html(&document),
        openapi: document,
    };
    let cors = cors(&rules.origins);
    let app = App::new(node, (rules, texts), ending);
    router
        .route(FEDERATION, get(federation::default_space))
        .route("/federation/{space}", get(federation::space))
        .fallback(|| async { Problem::new("E_HTTP_PATH", "no route has this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new("E_HTTP_METHOD", "the header Allow says which it has")
        })
        .layer(from_fn_with_state(app.clone(), gate))
        .layer(option_layer(cors))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.clone(), observe))
        .with_state(app)
}

/// A handler that panicked broke a promise of ours; its client hears no more than of any fault.
fn panicked(cause: Box<dyn Any + Send>) -> Response<Body> {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
    Problem::fault(text.unwrap_or("a handler panicked")).into_response()
}

/// What pages of the allowed origins may ask, if some are (HTTP-43).
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = origins
        .iter()
        .filter_map(|origin| HeaderValue::try_from(origin).ok());
    let layer = CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::POST,
            Method::DELETE,
        ])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_MATCH,
            IF_NONE_MATCH,
            RANGE,
            HeaderName::from_static("allod-message"),
        ])
        .expose_headers([CURSOR, ETAG, LINK, LOCATION, RETRY_AFTER, STATE]);
    Some(layer)
}
