//! Where peers of a federation come in (FED-51): outside of the document of the API, as what they speak is not of it.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::SEC_WEBSOCKET_PROTOCOL;
use axum::http::{HeaderValue, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::server::create_response;

use super::app::App;
use super::gate::SpaceToken;
use super::problem::Problem;
use super::token::HttpToken;
use crate::federating::Door;

pub(crate) async fn default_space(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    enter(app, (peer, None), request).await
}

pub(crate) async fn space(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(space): Path<String>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    enter(app, (peer, Some(space)), request).await
}

async fn enter(
    app: App,
    (peer, space): (SocketAddr, Option<String>),
    request: Request,
) -> Result<Response<Body>, Problem> {
    // Whoever shows the token of the node needs no other.
    let shown = app.rules().shown(request.headers(), None);
    let (door, token) = app
        .work(move |node| {
            let door = node.federation_door(space.as_deref())?;
            // It is read anew for each peer, so that another one counts from then on.
            let file = door.as_ref().and_then(|door| door.token.as_deref());
            let token = match file.map(HttpToken::read) {
                None => SpaceToken::None,
                Some(Ok(token)) => SpaceToken::Is(token),
                // `federate list` says why; to a stranger it is as if the token were another one.
                Some(Err(_)) => SpaceToken::Unreadable,
            };
            Ok((door, token))
        })
        .await?;
    let protocol = match (&door, shown) {
        (_, Some(shown)) => shown.answer,
        (Some(door), None) if door.is_open => None,
        _ => app
            .rules()
            .check_peer(request.headers(), peer.ip(), &token)?,
    };
    // Who may not come in does not hear which spaces there are.
    let door = door.ok_or_else(|| Problem::new("E_HTTP_SPACE", "no such space is federated"))?;
    upgrade(door, protocol, request)
}

/// Upgrades the connection and runs a link over it.
fn upgrade(
    door: Door,
    protocol: Option<HeaderValue>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (mut parts, _) = request.into_parts();
    let upgrading = parts.extensions.remove::<OnUpgrade>();
    let request = axum::http::Request::from_parts(parts, ());
    let answer = create_response(&request);
    let answer = answer.map_err(|error| Problem::request(error.to_string()))?;
    let upgrading = upgrading.ok_or_else(|| Problem::request("it cannot be upgraded"))?;
    let mut answer = answer.map(|()| Body::empty());
    if let Some(protocol) = protocol {
        answer
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    tokio::spawn(async move {
        // Whoever goes before that was never there.
        if let Ok(upgraded) = upgrading.await {
            door.federation.serve_upgraded(TokioIo::new(upgraded)).await;
        }
    });
    Ok(answer)
}
