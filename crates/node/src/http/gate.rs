//! Who is let in (HTTP-40 to HTTP-44).

use std::net::{IpAddr, SocketAddr};

use allod_federation::is_here;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use axum::middleware::Next;
use axum::response::IntoResponse;
use zeroize::Zeroizing;

use super::app::App;
use super::problem::{CHALLENGE, Problem};
use super::spelled;
use super::token::HttpToken;
use super::who::Who;

/// Where a page says it is, in browsers that say it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What is served without a token: it says nothing about the data here.
const OPEN: [&str; 4] = ["/", "/style.css", "/openapi.json", "/healthz"];

/// Where peers of a federation come in, who have tokens of their own (FED-51).
pub(crate) const FEDERATION: &str = "/federation";

/// By what is decided who is let in.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Where the listener is bound.
    pub(crate) bound: IpAddr,
    pub(crate) is_tls: bool,
    pub(crate) token: Option<HttpToken>,
    /// Names under which the node may be asked, beside its addresses.
    pub(crate) hosts: Vec<String>,
    /// Origins whose pages may ask.
    pub(crate) origins: Vec<String>,
}

/// What who bears a session token may ask: routes that ask for its rights.
const FOR_SESSIONS: [&str; 6] = ["session", "spaces", "events", "blobs", "schemas", "node"];

/// What a session token begins with.
const SESSION: &str = "at1.";

/// Whether who bears a session token may ask there at all.
fn is_for_sessions(path: &str) -> bool {
    let subject = path
        .strip_prefix("/v1/")
        .and_then(|path| path.split('/').next());
    subject.is_some_and(|subject| FOR_SESSIONS.contains(&subject))
}

/// Who a request may be from, as far as its head says.
#[derive(Debug)]
enum Shown {
    /// Anybody: it says nothing about the data here, or its handler asks itself.
    Anybody,
    /// The node's agent.
    Own,
    /// Whoever bears this session token, if the node takes it.
    Session(Zeroizing<String>),
}

/// Lets a request through, or says why not.
pub(crate) async fn gate(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let headers = request.headers();
    let path = request.uri().path();
    let rules = app.rules();
    let judged = rules
        .check_host(headers)
        .and_then(|host| rules.check_origin(headers, &host, path))
        .and_then(|()| rules.check_token(headers, peer.ip(), path));
    let who = match judged {
        Ok(Shown::Anybody) => return next.run(request).await,
        Ok(Shown::Own) => app.own(),
        Ok(Shown::Session(text)) => {
            let is_for = is_for_sessions(path);
            let who = app.work(move |node| Who::bearer(node, &text)).await;
            // Who shows none that is taken does not hear what there is.
            who.and_then(|who| {
                if is_for {
                    Ok(who)
                } else {
                    who.check_own().map(|()| who)
                }
            })
        }
        Err(problem) => Err(problem),
    };
    match who {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl Rules {
    /// On loopback the name that is asked for must be one of this machine: a page of elsewhere whose name leads
    /// here would be of the same origin otherwise (HTTP-42).
    fn check_host(&self, headers: &HeaderMap) -> Result<Authority, Problem> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
            _ => None,
        };
        let host = host.filter(|host| !host.as_str().contains('@'));
        let host = host.ok_or_else(|| Problem::request("one Host header is needed"))?;
        if !self.bound.is_loopback() || self.is_known(host.host()) {
            return Ok(host);
        }
        let words = "the node is asked under a name that it does not have; --http-host adds one";
        Err(Problem::new("E_HTTP_HOST", words))
    }

    fn is_known(&self, name: &str) -> bool {
        let mut hosts = self.hosts.iter();
        is_here(name) || hosts.any(|host| host.eq_ignore_ascii_case(name))
    }

    /// A page of another origin asks nothing, unless its origin is allowed (HTTP-43).
    fn check_origin(
        &self,
        headers: &HeaderMap,
        host: &Authority,
        path: &str,
    ) -> Result<(), Problem> {
        let foreign = || {
            let words = "a page of another origin asks; --http-origin lets one";
            Problem::new("E_HTTP_ORIGIN", words)
        };
        let Some(origin) = headers.get(ORIGIN) else {
            // What pages embed comes without an origin, as does a link that is followed.
            let site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
            let is_foreign = matches!(site, Some(b"cross-site" | b"same-site"));
            return if is_foreign && path != "/" {
                Err(foreign())
            } else {
                Ok(())
            };
        };
        let scheme = if self.is_tls { "https" } else { "http" };
        let own = format!("{scheme}://{host}");
        let is_own = origin.as_bytes().eq_ignore_ascii_case(own.as_bytes());
        let mut origins = self.origins.iter();
        if is_own || origins.any(|allowed| allowed.as_bytes() == origin.as_bytes()) {
            return Ok(());
        }
        Err(foreign())
    }

    /// A token where there is one; without one only this machine (HTTP-40, HTTP-41).
    fn check_token(&self, headers: &HeaderMap, peer: IpAddr, path: &str) -> Result<Shown, Problem> {
        let rest = path.strip_prefix(FEDERATION);
        let is_federation = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // Its handler asks itself.
        if OPEN.contains(&path) || is_federation {
            return Ok(Shown::Anybody);
        }
        let shown = bearer(headers);
        let session = shown
            .and_then(|shown| std::str::from_utf8(shown).ok())
            .filter(|shown| shown.starts_with(SESSION))
            .map(|shown| Shown::Session(Zeroizing::new(shown.to_owned())));
        let Some(token) = &self.token else {
            // Who shows a session token is not more than it says.
            return self
                .check_here(peer)
                .map(|()| session.unwrap_or(Shown::Own));
        };
        match (shown, session) {
            (Some(shown), _) if token.is(shown) => Ok(Shown::Own),
            (_, Some(session)) => Ok(session),
            (Some(_), None) => Err(unknown("the token is another one")),
            (None, None) => Err(unknown("Authorization: Bearer TOKEN is missing")),
        }
    }

    /// Without a token only this machine.
    fn check_here(&self, peer: IpAddr) -> Result<(), Problem> {
        // The listener refuses to be bound elsewhere; this is the second lock.
        if self.bound.is_loopback() && peer.to_canonical().is_loopback() {
            Ok(())
        } else {
            Err(unknown(
                "this node has no token yet; `allod http token new` makes one",
            ))
        }
    }

    /// Lets a peer of a federation in who shows the token of the node or that of the space, or who is on this machine
    /// where there is neither (FED-51). What it showed as a subprotocol is to be answered.
    pub(crate) fn check_peer(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
        own: &SpaceToken,
    ) -> Result<Option<HeaderValue>, Problem> {
        let own = match own {
            SpaceToken::None if self.token.is_none() => {
                return self.check_here(peer).map(|()| None);
            }
            SpaceToken::Is(token) => Some(token),
            SpaceToken::None | SpaceToken::Unreadable => None,
        };
        let shown = self.shown(headers, own);
        let shown = shown.ok_or_else(|| unknown("a token of this space is missing"))?;
        Ok(shown.answer)
    }

    /// The token of the node, or another one, as a header or a subprotocol, if the request shows it.
    pub(crate) fn shown(&self, headers: &HeaderMap, own: Option<&HttpToken>) -> Option<Fits> {
        let tokens = [self.token.as_ref(), own];
        let fits = |shown: &[u8]| tokens.into_iter().flatten().any(|token| token.is(shown));
        if bearer(headers).is_some_and(fits) {
            return Some(Fits { answer: None });
        }
        let protocols = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let mut protocols = protocols
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim);
        let protocol = protocols.find(|protocol| {
            let shown = protocol.strip_prefix("bearer.");
            shown.is_some_and(|shown| fits(shown.as_bytes()))
        })?;
        // A part of a value is one.
        let answer = HeaderValue::try_from(protocol).ok();
        Some(Fits { answer })
    }
}

/// A token that fits was shown.
#[derive(Debug)]
pub(crate) struct Fits {
    /// The subprotocol that is to be answered.
    pub(crate) answer: Option<HeaderValue>,
}

/// The token of a space.
#[derive(Debug)]
pub(crate) enum SpaceToken {
    /// It has none of its own.
    None,
    Is(HttpToken),
    /// It has one, and nobody knows which: no token fits.
    Unreadable,
}

/// The token that a request shows.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    spelled::bearer(headers.get(AUTHORIZATION)?.as_bytes())
}

fn unknown(words: &str) -> Problem {
    Problem::new("E_HTTP_TOKEN", words).with(WWW_AUTHENTICATE, CHALLENGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(bound: &str, token: Option<&str>) -> Rules {
        Rules {
            bound: bound.parse().unwrap(),
            is_tls: false,
            token: token.map(|token| HttpToken::parse(token).unwrap()),
            hosts: vec!["node.example".to_owned()],
            origins: vec!["https://app.example".to_owned()],
        }
    }

    fn headers(of: &[(HeaderName, &str)]) -> HeaderMap {
        let fields = of.iter();
        fields
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn on_loopback_only_names_of_this_machine_are_answered() {
        let judge = |bound: &str, host: &str| {
            let judged = rules(bound, None).check_host(&headers(&[(HOST, host)]));
            judged.map(drop).map_err(|problem| problem.code())
        };
        for host in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:1",
            "127.8.9.1",
            "[::1]:8",
            "Node.Example:8",
        ] {
            assert_eq!(judge("127.0.0.1", host), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "10.0.0.1",
            "[fe80::1]",
        ] {
            assert_eq!(judge("127.0.0.1", host), Err("E_HTTP_HOST"), "{host}");
            assert_eq!(judge("::1", host), Err("E_HTTP_HOST"), "{host}");
            assert_eq!(judge("10.0.0.1", host), Ok(()), "{host}");
        }
        for host in ["", "a b", "evil@localhost", "localhost/x"] {
            assert_eq!(judge("127.0.0.1", host), Err("E_HTTP_REQUEST"), "{host:?}");
        }
        assert!(rules("::1", None).check_host(&HeaderMap::new()).is_err());
    }

    #[test]
    fn pages_of_other_origins_ask_nothing() {
        let judge = |fields: &[(HeaderName, &str)], path: &str| {
            let host = Authority::from_static("localhost:80");
            let judged = rules("127.0.0.1", None).check_origin(&headers(fields), &host, path);
            judged.is_ok()
        };
        assert!(judge(&[], "/v1/node"));
        assert!(judge(&[(ORIGIN, "http://localhost:80")], "/v1/node"));
        assert!(judge(&[(ORIGIN, "https://app.example")], "/v1/node"));
        for origin in [
            "null",
            "http://localhost",
            "https://localhost:80",
            "http://evil.example",
            "https://app.example.evil.example",
        ] {
            assert!(!judge(&[(ORIGIN, origin)], "/v1/node"), "{origin}");
        }
        assert!(judge(&[(FETCH_SITE, "same-origin")], "/v1/node"));
        assert!(judge(&[(FETCH_SITE, "none")], "/v1/node"));
        assert!(judge(&[(FETCH_SITE, "cross-site")], "/"));
        assert!(!judge(&[(FETCH_SITE, "cross-site")], "/v1/node"));
        assert!(!judge(&[(FETCH_SITE, "same-site")], "/v1/node"));
    }

    #[test]
    fn a_token_is_needed_where_there_is_one_and_away_from_this_machine() {
        const TOKEN: &str = "abcdefghijklmnop";
        let judge = |bound: &str, token, peer: &str, shown: Option<&str>, path: &str| {
            let fields = shown.map(|shown| headers(&[(AUTHORIZATION, shown)]));
            let peer = peer.parse().unwrap();
            let judged = rules(bound, token).check_token(&fields.unwrap_or_default(), peer, path);
            judged.is_ok()
        };
        assert!(judge("127.0.0.1", None, "127.0.0.1", None, "/v1/node"));
        assert!(judge("::1", None, "::ffff:127.0.0.1", None, "/v1/node"));
        assert!(!judge("127.0.0.1", None, "10.0.0.1", None, "/v1/node"));
        assert!(!judge("0.0.0.0", None, "127.0.0.1", None, "/v1/node"));
        let with = |shown| judge("127.0.0.1", Some(TOKEN), "127.0.0.1", shown, "/metrics");
        assert!(with(Some("Bearer abcdefghijklmnop")));
        assert!(with(Some("bearer  abcdefghijklmnop ")));
        for shown in [
            None,
            Some(""),
            Some("Bearer"),
            Some("Bearer abc"),
            Some("Basic abcdefghijklmnop"),
            Some("abcdefghijklmnop"),
        ] {
            assert!(!with(shown), "{shown:?}");
        }
        assert!(judge("0.0.0.0", Some(TOKEN), "10.0.0.1", None, "/healthz"));
        assert!(!judge(
            "0.0.0.0",
            Some(TOKEN),
            "10.0.0.1",
            None,
            "/healthz/../v1/node"
        ));
    }
}
