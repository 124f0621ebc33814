//! What happens, as it happens (HTTP-70 to HTTP-73).

use std::sync::Arc;
use std::time::Duration;

use allod_access::{Door, Target as Keys};
use allod_events::{BATCH, Renderer};
use allod_feed::{Cursor, Filter, PAGE_BYTES_MAX, Subscription};
use axum::body::Body;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::header::{ACCEPT, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer;
use crate::http::app::App;
use crate::http::hearing::{Hearing, narrow};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::space::Space;
use crate::http::who::Who;
use crate::node::Node;

/// Bytes of events that are sent at a time, about: what is held for a client that is slow.
const PIECE_BYTES: usize = 32 * 1024;

/// Events that are read at a time: what is held more than that is at most what these have.
const PAGE: usize = 16;

/// Pages that are read for one piece where events are few: then whoever asks is looked at again.
const PAGES_MAX: usize = 64;

/// How often something is sent where nothing happens: well within the silence that closes a connection.
const BEAT: Duration = Duration::from_secs(10);

/// Events that may be under way to a socket before its client says that it takes more.
const CREDIT_FIRST: u32 = 256;

/// The most that a client may allow (HTTP, "Limits").
const CREDIT_MAX: u32 = 65_536;

/// The largest message of a client, in bytes: it says a number.
const MESSAGE_BYTES_MAX: usize = 1024;

/// The content type of server-sent events.
const SSE: &str = "text/event-stream";

/// Where the cursor after a page, or of a snapshot to begin with, stands.
pub(crate) const CURSOR: HeaderName = HeaderName::from_static("allod-cursor");

/// Whether there is no more now.
const END: HeaderName = HeaderName::from_static("allod-end");

/// What a client that comes back has heard last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The parameters of both.
const KNOWN: [&str; 9] = [
    "from", "filter", "space", "branch", "kind", "prefix", "type", "author", "reach",
];

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(read))
        .routes(routes!(socket))
}

/// A consumer, and what makes CloudEvents of what it is told.
struct Telling {
    who: Who,
    consumer: Subscription,
    renderer: Arc<Renderer>,
}

/// Some events with their cursors, and whether there are no more now.
struct Piece {
    telling: Telling,
    /// As JSON.
    events: Vec<String>,
    cursors: Vec<Cursor>,
    next: Cursor,
    is_end: bool,
}

impl Telling {
    /// The next events, read apart from the runtime: so many, or about so many bytes of them.
    fn read(mut self, node: &Node, limit: usize, bytes_max: usize) -> Result<Piece, Problem> {
        let who = self.who.clone();
        let mut hearing = Hearing::new(node, &who)?;
        let (mut events, mut cursors, mut bytes) = (Vec::new(), Vec::new(), 0);
        for _ in 0..PAGES_MAX {
            let page = self
                .consumer
                .page(node, PAGE.min(limit - events.len()), PIECE_BYTES)?;
            for (event, cursor) in page.events.iter().zip(page.cursors) {
                let Some(sight) = hearing.hears(event)? else {
                    continue;
                };
                let Some(mut cloud) = self.renderer.render_at(node, event, &cursor)? else {
                    continue;
                };
                if !narrow(&mut cloud, event, &sight)? {
                    continue;
                }
                let text = cloud.to_json().map_err(Problem::fault)?;
                bytes += text.len();
                events.push(text);
                cursors.push(cursor);
            }
            let is_enough = events.len() >= limit || bytes >= bytes_max;
            if page.is_end || is_enough {
                return Ok(Piece {
                    telling: self,
                    events,
                    cursors,
                    next: page.next,
                    is_end: page.is_end,
                });
            }
        }
        Ok(Piece {
            next: self.consumer.cursor(),
            telling: self,
            events,
            cursors,
            is_end: false,
        })
    }
}

/// What is asked for.
struct Ask {
    from: String,
    filter: Filter,
    limit: usize,
}

/// What parameters and headers mean, and the space that they name; a batch has a `limit` besides.
fn ask(
    query: Query,
    headers: &HeaderMap,
    has_limit: bool,
) -> Result<(Ask, Option<String>), Problem> {
    let mut known = KNOWN.to_vec();
    known.extend(has_limit.then_some("limit"));
    let query = query.only(&known)?;
    let last = headers.get(LAST_EVENT_ID).map(HeaderValue::to_str);
    let bad = |_error| Problem::request("Last-Event-ID is no text");
    let last = last.transpose().map_err(bad)?;
    let from = match last {
        Some(last) => last,
        None => query.text("from")?.unwrap_or("now"),
    };
    let mut fields = serde_json::Map::new();
    for (name, field) in [
        ("branch", "branches"),
        ("kind", "kinds"),
        ("prefix", "prefixes"),
        ("type", "types"),
        ("author", "authors"),
        ("reach", "reach"),
    ] {
        if let Some(text) = query.text(name)? {
            fields.insert(field.to_owned(), json!([text]));
        }
    }
    let filter = match query.text("filter")? {
        Some(_) if !fields.is_empty() => {
            return Err(Problem::request("a filter has all of it, or none"));
        }
        Some(text) => text.to_owned(),
        None => serde_json::Value::Object(fields).to_string(),
    };
    let ask = Ask {
        from: from.to_owned(),
        filter: filter.parse()?,
        limit: query.limit()?,
    };
    Ok((ask, query.text("space")?.map(str::to_owned)))
}

/// The consumer that is asked for.
fn begin(node: &Node, who: Who, (ask, space): (Ask, Option<&str>)) -> Result<Telling, Problem> {
    if let Some(name) = space {
        Space::open(node, &who, name)?.ask(Door::Feed, ("", Keys::Branch))?;
    }
    let filter = node.only_of(space, ask.filter)?;
    let both = || Problem::request("the filter names spaces, and space another");
    let filter = filter.ok_or_else(both)?;
    Ok(Telling {
        who,
        consumer: node.subscribe(node.cursor_at(&ask.from)?, filter)?,
        renderer: Arc::new(node.renderer()?),
    })
}

/// Read what happened, or hear of it as it happens
///
/// With `Accept: text/event-stream` a stream of server-sent events, whose ids are cursors; else what there is now, as a
/// batch of CloudEvents, and the cursor after it in `Allod-Cursor`.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(
        ("from" = Option<String>, Query, description = "`now` (unless said otherwise), `beginning`, `snapshot`, or a cursor"),
        ("limit" = Option<u64>, Query, description = "At most so many events of a batch, 1 to 1,000"),
        ("filter" = Option<String>, Query, description = "A filter, as JSON, instead of the parameters that follow"),
        ("space" = Option<String>, Query, description = "Only of this space: its name here, or its id"),
        ("branch" = Option<String>, Query, description = "Only of this branch, or of those that begin so: `notes/*`"),
        ("kind" = Option<String>, Query, description = "Only `commit`, `change` or `move`"),
        ("prefix" = Option<String>, Query, description = "Only of keys that begin so"),
        ("type" = Option<String>, Query, description = "Only of records of this type"),
        ("author" = Option<String>, Query, description = "Only what this agent wrote"),
        ("reach" = Option<String>, Query, description = "Only of spaces that are meant for `private`, `invited`, `circle` or `public`"),
        ("Accept" = Option<String>, Header, description = "`text/event-stream` for a stream"),
        ("Last-Event-ID" = Option<String>, Header, description = "The cursor of what was heard last, instead of `from`"),
    ),
    responses(
        (status = 200, description = "Events", content(
            (Vec<Object> = "application/cloudevents-batch+json"),
            (String = "text/event-stream"),
        )),
        (status = 410, description = "The log does not go on from the cursor; `Allod-Cursor` is one that begins with a snapshot", content_type = "application/problem+json"),
    )
)]
async fn read(
    State(app): State<App>,
    who: Who,
    query: Query,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let accept = headers.get_all(ACCEPT).iter();
    let is_stream = accept
        .filter_map(|value| value.to_str().ok())
        .any(|text| text.contains(SSE));
    let (ask, space) = ask(query, &headers, !is_stream)?;
    let limit = ask.limit;
    let telling = app
        .work(move |node| begin(node, who, (ask, space.as_deref())))
        .await?;
    if is_stream {
        return Ok(answer::of(Body::from_stream(sse(app, telling)), SSE));
    }
    let piece = app
        .work(move |node| telling.read(node, limit, PAGE_BYTES_MAX))
        .await?;
    let text = format!("[{}]", piece.events.join(","));
    let mut response = answer::of(Body::from(text), BATCH);
    // A batch that is not full is the end only if it says so: what nobody asked for takes time too.
    let is_end = HeaderValue::from_static(if piece.is_end { "true" } else { "false" });
    response.headers_mut().insert(END, is_end);
    let cursor = HeaderValue::try_from(piece.next.to_string()).map_err(Problem::fault)?;
    response.headers_mut().insert(CURSOR, cursor);
    Ok(response)
}

/// Events as they are sent: what is there, and then what comes, until the node stops.
fn sse(app: App, telling: Telling) -> impl stream::Stream<Item = Result<Bytes, std::io::Error>> {
    // At once, so that whoever waits knows that it is heard from here on, and comes back from here.
    let first = stream::iter([Ok(beat(&telling.consumer.cursor()))]);
    let rest = stream::unfold(Some((app, telling)), |state| async {
        let (app, telling) = state?;
        let mut stop = app.stop();
        if *stop.borrow() {
            return None;
        }
        let read = app
            .go_on(move |node| telling.read(node, usize::MAX, PIECE_BYTES))
            .await;
        let mut piece = match read {
            Ok(piece) => piece,
            Err(problem) => {
                let text = format!("event: problem\ndata: {}\n\n", problem.value());
                return Some((Ok(text.into()), None));
            }
        };
        let mut text = String::new();
        for (event, cursor) in piece.events.iter().zip(&piece.cursors) {
            text += &format!("id: {cursor}\ndata: {event}\n\n");
        }
        if !text.is_empty() {
            return Some((Ok(text.into()), Some((app, piece.telling))));
        }
        if piece.is_end {
            tokio::select! {
                _ready = timeout(BEAT, piece.telling.consumer.ready()) => {}
                _ = stop.wait_for(|stop| *stop) => return None,
            }
        }
        // Where nothing was for this client, it hears so now and then, and comes back from there.
        Some((Ok(beat(&piece.next)), Some((app, piece.telling))))
    });
    futures_util::StreamExt::chain(first, rest)
}

/// An id without an event: whoever comes back says it.
fn beat(cursor: &Cursor) -> Bytes {
    format!("id: {cursor}\n\n").into()
}

/// Hear of events over a WebSocket, as many as the client takes
///
/// Each event is a text of JSON. A client says `{"credit": N}` to be sent N events more; 256 are sent before it does.
#[utoipa::path(
    get, path = "/v1/events/socket", tag = "events",
    params(
        ("from" = Option<String>, Query, description = "As of `/v1/events`; so are all others"),
        ("filter" = Option<String>, Query, description = "A filter, as JSON"),
        ("space" = Option<String>, Query, description = "Only of this space"),
        ("branch" = Option<String>, Query, description = "Only of this branch"),
        ("kind" = Option<String>, Query, description = "Only of this kind"),
        ("prefix" = Option<String>, Query, description = "Only of keys that begin so"),
        ("type" = Option<String>, Query, description = "Only of records of this type"),
        ("author" = Option<String>, Query, description = "Only what this agent wrote"),
        ("reach" = Option<String>, Query, description = "Only of spaces that are meant for `private`, `invited`, `circle` or `public`"),
    ),
    responses(
        (status = 101, description = "The connection is a WebSocket from here on"),
        (status = 410, description = "The log does not go on from the cursor", content_type = "application/problem+json"),
    )
)]
async fn socket(
    State(app): State<App>,
    who: Who,
    query: Query,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response<Body>, Problem> {
    let (ask, space) = ask(query, &headers, false)?;
    let upgrade = upgrade.map_err(|error| Problem::request(error.to_string()))?;
    let telling = app
        .work(move |node| begin(node, who, (ask, space.as_deref())))
        .await?;
    let upgrade = upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX);
    let place = app.socket()?;
    Ok(upgrade.on_upgrade(move |socket| async move {
        carry(app, telling, socket).await;
        drop(place);
    }))
}

/// What a client says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credit {
    credit: u32,
}

/// Sends events to a socket as its client takes them, until it closes, breaks a rule, or the node stops.
async fn carry(app: App, mut telling: Telling, mut socket: WebSocket) {
    let (mut credit, mut stop) = (CREDIT_FIRST, app.stop());
    loop {
        let mut is_end = true;
        if credit > 0 {
            let limit = credit as usize;
            let read = app.go_on(move |node| telling.read(node, limit, PIECE_BYTES));
            let Ok(piece) = read.await else {
                // The client comes back with its cursor, and hears why.
                return;
            };
            (telling, is_end) = (piece.telling, piece.is_end);
            for event in piece.events {
                credit = credit.saturating_sub(1);
                if socket.send(Message::Text(event.into())).await.is_err() {
                    return;
                }
            }
        }
        let beat = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            said = socket.recv() => match said {
                Some(Ok(Message::Text(text))) => match serde_json::from_str::<Credit>(&text) {
                    Ok(said) => {
                        credit = credit.saturating_add(said.credit).min(CREDIT_MAX);
                        false
                    }
                    Err(_) => return,
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => false,
                _ => return,
            },
            // What is there is sent once nothing that the client says waits.
            () = std::future::ready(()), if !is_end => false,
            () = telling.consumer.ready(), if credit > 0 => false,
            () = tokio::time::sleep(BEAT) => true,
        };
        if beat && socket.send(Message::Ping(Bytes::new())).await.is_err() {
            return;
        }
    }
}
