//! Schemas of events' data by their CID (EVENT-5).

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::app::App;
use crate::http::blob::{FOR_EVER, Value};
use crate::http::percent;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::who::Who;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read))
}

/// The schema of events' data
#[utoipa::path(
    get, path = "/v1/schemas/{cid}", tag = "events",
    params(
        ("cid" = String, Path, description = "The CID behind `allod://schema/` in an event's `dataschema`"),
        ("Range" = Option<String>, Header, description = "Which bytes, as `bytes=0-99`"),
        ("If-None-Match" = Option<String>, Header, description = "ETags that are known"),
    ),
    responses(
        (status = 200, description = "A JSON Schema, an Avro schema, or a `FileDescriptorSet` of Protobuf", content(
            (serde_json::Value = "application/json"),
            (Vec<u8> = "application/octet-stream"),
            (String = "text/plain"),
        ), headers(("ETag" = String, description = "Its CID"))),
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
    query.only(&[])?;
    let cid = percent::cid_behind(uri.path(), "/v1/schemas/");
    let cid = cid.ok_or_else(|| Problem::request("a schema is named by its CID"))?;
    let schema = app.work(move |node| Ok(node.event_schema(&cid)?));
    let none = || {
        Problem::new(
            "E_HTTP_SCHEMA",
            format!("no event told here has the schema {cid}"),
        )
    };
    // Those of types tell of the spaces that have these, and are not kept by space.
    let schema = schema
        .await?
        .filter(|it| who.is_own() || it.language == "json");
    let schema = schema.ok_or_else(none)?;
    Value::of_bytes(schema.bytes).answer(&app, &headers, FOR_EVER)
}
