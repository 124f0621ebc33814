//! Statements (HTTP-27).

use allod_access::{Door, Target as Keys};
use std::sync::Arc;
use std::time::Instant;

use allod_sql::{Cancel, Limits, Scalar, Session};
use allod_tables::Own;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer;
use super::commits::base64;
use super::rows::run;
use crate::http::app::App;
use crate::http::body;
use crate::http::limits::{ANSWER_BYTES_MAX, SQL_TIME_MS_MAX};
use crate::http::problem::Problem;
use crate::http::query::{At, Query};
use crate::http::target::Target;
use crate::http::who::Who;
use crate::node::Node;
use crate::seeing::SqlSight;

/// Pieces of rows that wait to be sent, so that a client who is slow holds the statement up.
const PIECES_WAITING: usize = 2;

/// The type of answers that come line by line.
const LINES: &str = "application/x-ndjson";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(ask))
}

/// A statement that only reads.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// The statement.
    sql: String,
    /// A value for each of its parameters: null, a number, text, true or false as 1 and 0, bytes as
    /// `{"base64"}`.
    #[serde(default)]
    params: Vec<Json>,
    /// The branch of tables without a clause; the space's own unless said otherwise.
    branch: Option<String>,
    /// The commit, tag, branch or time of tables without a clause.
    at: Option<String>,
    /// At most so many rows; one more is an error.
    #[schema(minimum = 1, maximum = 1_000_000)]
    max_rows: Option<u64>,
    /// At most so many milliseconds; 30,000 unless said otherwise.
    #[schema(minimum = 1, maximum = 60_000)]
    max_ms: Option<u64>,
}

/// What a statement gave.
#[derive(Serialize, ToSchema)]
struct Answer {
    /// The columns.
    columns: Vec<AnswerColumn>,
    /// The rows, each with a value for each column: whole numbers exactly, bytes as `{"base16"}`, infinities as
    /// text.
    rows: Vec<Vec<Json>>,
    /// How many rows there are.
    count: u64,
}

/// A column of an answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct AnswerColumn {
    /// Its name; others may have the same.
    pub(crate) name: String,
    /// What the column of a table was declared as, if it is one.
    #[serde(rename = "type")]
    pub(crate) declared: Option<String>,
}

/// Ask by SQL. With `Accept: application/x-ndjson` rows come line by line
#[utoipa::path(
    post, path = "/v1/spaces/{space}/sql", tag = "sql",
    params(
        ("space" = String, Path, description = "The space's name here, or its id"),
        ("Accept" = Option<String>, Header, description = "`application/x-ndjson` for a line with the columns, an array for each row, and a line with the count or the problem"),
    ),
    request_body = Ask,
    responses((status = 200, description = "The rows", content(
        (Answer = "application/json"),
        (String = "application/x-ndjson"),
    )))
)]
async fn ask(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let accept = headers.get_all(ACCEPT).iter();
    let is_lines = accept
        .filter_map(|value| value.to_str().ok())
        .any(|text| text.contains(LINES));
    let ask: Ask = body::json(&app, &headers, body).await?;
    let params = ask
        .params
        .iter()
        .map(scalar)
        .collect::<Result<Vec<_>, _>>()?;
    let sql = ask.sql.clone();
    let session = app
        .work(move |node| begin(node, (&target, &who), &ask))
        .await?;
    let running = Running::start(&app, session, sql, params);
    if is_lines {
        lines(running).await
    } else {
        whole(running).await
    }
}

/// The value of a parameter.
fn scalar(value: &Json) -> Result<Scalar, Problem> {
    let bad = || Problem::request("a parameter is null, a number, text, a truth or {\"base64\"}");
    Ok(match value {
        Json::Null => Scalar::Null,
        Json::Bool(truth) => Scalar::Integer(i64::from(*truth)),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Scalar::Integer(whole),
            (None, Some(real)) if !number.is_u64() => Scalar::Real(real),
            _ => return Err(Problem::request("a number does not fit into 64 bits")),
        },
        Json::String(text) => Scalar::Text(text.clone()),
        Json::Object(object) if object.len() == 1 => {
            let text = object
                .get("base64")
                .and_then(Json::as_str)
                .ok_or_else(bad)?;
            Scalar::Blob(base64(text).ok_or_else(bad)?)
        }
        Json::Object(_) | Json::Array(_) => return Err(bad()),
    })
}

/// A session over the state that is asked for. It has the tables of the space, and none of outside data: those
/// are read with the rights of the node.
fn begin(node: &Node, by: (&Target, &Who), ask: &Ask) -> Result<Session, Problem> {
    let space = by.0.open(node, by.1)?;
    let at = At {
        branch: ask.branch.clone(),
        at: ask.at.clone(),
    };
    let seen = space.see(Door::Sql, &at, Keys::Prefix(b""))?;
    let own = Own::Commits(seen.heads);
    let mut limits = Limits::default();
    let within = |asked: Option<u64>, most: u64, usual: u64| match asked {
        None => Ok(usual),
        Some(asked) if (1..=most).contains(&asked) => Ok(asked),
        Some(_) => Err(Problem::new(
            "E_HTTP_VALUE",
            format!("a limit is 1 to {most}"),
        )),
    };
    limits.rows = within(ask.max_rows, limits.rows, limits.rows)?;
    limits.time_ms = within(ask.max_ms, SQL_TIME_MS_MAX, limits.time_ms)?;
    let started = Instant::now();
    let clock = move || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let catalog = node.read_catalog(&space.repo, own)?;
    let sight = SqlSight {
        node: node.clone(),
        repo: space.repo,
        sight: seen.sight,
    };
    let catalog = Arc::new(catalog.seen_by(Arc::new(sight)));
    Ok(Session::new(catalog, limits, clock)?)
}

/// A statement that runs, and is cancelled when nobody waits for it any more.
struct Running {
    pieces: mpsc::Receiver<Bytes>,
    end: JoinHandle<Result<u64, Problem>>,
    _cancel: OnDrop,
}

struct OnDrop(Cancel);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Running {
    fn start(app: &App, mut session: Session, sql: String, params: Vec<Scalar>) -> Self {
        let cancel = OnDrop(session.canceller());
        let (give, pieces) = mpsc::channel(PIECES_WAITING);
        let app = app.clone();
        let end = tokio::spawn(async move {
            let ran = app.work(move |_node| run(&mut session, (&sql, &params), &give));
            ran.await
        });
        Self {
            pieces,
            end,
            _cancel: cancel,
        }
    }

    /// How many rows there were, once there are no more pieces.
    async fn count(&mut self) -> Result<u64, Problem> {
        (&mut self.end).await.map_err(Problem::fault)?
    }
}

/// All rows in one answer, or a problem.
async fn whole(mut running: Running) -> Result<Response<Body>, Problem> {
    let mut all: Vec<u8> = Vec::new();
    while let Some(piece) = running.pieces.recv().await {
        if all.len() + piece.len() > ANSWER_BYTES_MAX {
            let words = format!(
                "it has more than {ANSWER_BYTES_MAX} bytes; ask with Accept: {LINES}, or for less"
            );
            return Err(Problem::new("E_HTTP_ANSWER", words));
        }
        all.extend_from_slice(&piece);
    }
    let count = running.count().await?;
    // Each piece is lines: the first of all is the columns, each other a row.
    let mut text = Vec::with_capacity(all.len() + 64);
    for (at, line) in all
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .enumerate()
    {
        let line = match at {
            // It ends with a brace, which the rows are put before.
            0 => line.strip_suffix(b"}").unwrap_or(line),
            _ => line,
        };
        let before: &[u8] = match at {
            0 => b"",
            1 => b",\"rows\":[\n",
            _ => b",\n",
        };
        text.extend_from_slice(before);
        text.extend_from_slice(line);
    }
    if count == 0 {
        text.extend_from_slice(b",\"rows\":[");
    }
    text.extend_from_slice(format!("],\"count\":{count}}}").as_bytes());
    Ok(answer::of(Body::from(text), "application/json"))
}

/// Rows line by line, as they come. What fails before the first is a problem as usual; behind it is the last line.
async fn lines(mut running: Running) -> Result<Response<Body>, Problem> {
    let Some(first) = running.pieces.recv().await else {
        running.count().await?;
        return Err(Problem::fault("a statement without columns"));
    };
    let rest = stream::unfold(Some(running), |running| async {
        let mut running = running?;
        if let Some(piece) = running.pieces.recv().await {
            return Some((Ok::<_, std::io::Error>(piece), Some(running)));
        }
        let last = match running.count().await {
            Ok(count) => json!({ "count": count }),
            Err(problem) => json!({ "problem": problem.value() }),
        };
        Some((Ok(Bytes::from(format!("{last}\n"))), None))
    });
    let all = futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest);
    Ok(answer::of(Body::from_stream(all), LINES))
}
