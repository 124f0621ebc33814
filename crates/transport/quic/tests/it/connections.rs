//! Connections: who is on the other side, how they end, how they move.

use std::time::Duration;

use allod_quic::{CloseCode, Limits, QuicError, StreamKind, prefer};
use tokio::time::{sleep, timeout};

use crate::{bind, brisk, key, loopback, pair};

#[tokio::test]
async fn both_sides_know_whom_they_talk_to() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, accepted) = pair(&here, &there).await;
    assert_eq!(dialled.peer(), key(2).device_id());
    assert_eq!(accepted.peer(), key(1).device_id());
    assert_eq!(dialled.dialer(), key(1).device_id());
    assert_eq!(accepted.dialer(), key(1).device_id());
    assert_eq!(accepted.remote_addr(), here.local_addr().unwrap());
}

#[tokio::test]
async fn whoever_else_answers_is_refused_and_named() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (expected, answered) = (key(3).device_id(), key(2).device_id());
    let outcome = here.connect(there.local_addr().unwrap(), expected).await;
    assert_eq!(
        outcome.unwrap_err(),
        QuicError::WrongPeer { expected, answered }
    );
    assert!(
        timeout(Duration::from_millis(200), there.accept())
            .await
            .is_err(),
        "the other side takes no connection from it"
    );
}

#[tokio::test]
async fn an_address_where_nobody_is_is_unreachable() {
    let here = bind(1, brisk());
    let silent = std::net::UdpSocket::bind(loopback()).unwrap();
    let outcome = here
        .connect(silent.local_addr().unwrap(), key(2).device_id())
        .await;
    assert_eq!(outcome.unwrap_err(), QuicError::Unreachable);
    let no_address = here
        .connect("0.0.0.0:0".parse().unwrap(), key(2).device_id())
        .await;
    assert_eq!(no_address.unwrap_err(), QuicError::Unreachable);
}

#[tokio::test]
async fn a_close_carries_its_code_and_printable_words() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, accepted) = pair(&here, &there).await;
    accepted.close(CloseCode(4711), &format!("bye\n\u{7}{}", "x".repeat(500)));
    let QuicError::Closed { code, reason } = dialled.closed().await else {
        panic!("not closed by the peer");
    };
    assert_eq!(code, CloseCode(4711));
    assert!(reason.starts_with("bye??xxx") && reason.len() == 128);
    assert_eq!(accepted.close_reason(), Some(QuicError::ClosedHere));
    assert_eq!(
        dialled.open(StreamKind::Sync).await.unwrap_err().code(),
        "E_CLOSED"
    );
}

#[tokio::test]
async fn closing_an_endpoint_tells_the_peers() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, _accepted) = pair(&here, &there).await;
    there.close().await;
    assert_eq!(
        dialled.closed().await,
        QuicError::Closed {
            code: CloseCode::SHUTDOWN,
            reason: String::new()
        }
    );
    assert!(there.accept().await.is_none());
    let again = there
        .connect(here.local_addr().unwrap(), here.device_id())
        .await;
    assert_eq!(again.unwrap_err(), QuicError::ClosedHere);
}

/// A dial that is given up before its first packet is sent opens a connection and closes it, and does not close one
/// that the peer has never heard of.
#[tokio::test]
async fn a_dial_that_is_given_up_is_closed_in_order() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let addr = there.local_addr().unwrap();
    tokio::select! {
        biased;
        outcome = here.connect(addr, there.device_id()) => panic!("{outcome:?}"),
        () = std::future::ready(()) => {}
    }
    let accepted = timeout(Duration::from_secs(5), there.accept()).await;
    let accepted = accepted.unwrap().unwrap();
    let QuicError::Closed { code, .. } = accepted.closed().await else {
        panic!("{:?}", accepted.close_reason());
    };
    assert_eq!(code, CloseCode(0));
}

#[tokio::test]
async fn silence_is_kept_alive_and_a_vanished_peer_is_noticed() {
    let here = bind(1, brisk());
    // The peer runs elsewhere, so that it can vanish without a word.
    let (tell, told) = tokio::sync::oneshot::channel();
    let (vanish, vanished) = std::sync::mpsc::channel::<()>();
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (there, guard) = runtime.block_on(async {
            let there = bind(2, brisk());
            tell.send(there.local_addr().unwrap()).unwrap();
            let connection = there.accept().await.unwrap();
            sleep(Duration::from_secs(3)).await;
            (there, connection)
        });
        // From here on nothing drives the endpoint.
        vanished.recv().unwrap();
        drop((guard, there, runtime));
    });
    let connection = here
        .connect(told.await.unwrap(), key(2).device_id())
        .await
        .unwrap();
    sleep(Duration::from_millis(2200)).await;
    assert_eq!(connection.close_reason(), None, "twice the idle timeout");
    let ended = timeout(Duration::from_secs(5), connection.closed()).await;
    assert_eq!(ended.unwrap(), QuicError::TimedOut);
    vanish.send(()).unwrap();
    elsewhere.join().unwrap();
}

#[tokio::test]
async fn the_dialling_side_may_move() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, accepted) = pair(&here, &there).await;
    let mut ours = dialled.open(StreamKind::Sync).await.unwrap();
    let mut theirs = accepted.accept().await.unwrap();
    let before = accepted.remote_addr();
    here.rebind(loopback()).unwrap();
    ours.send("moved".into()).await.unwrap();
    let frame = timeout(Duration::from_secs(5), theirs.recv())
        .await
        .unwrap();
    assert_eq!(frame, Ok(Some("moved".into())));
    theirs.send("seen".into()).await.unwrap();
    assert_eq!(ours.recv().await, Ok(Some("seen".into())));
    assert_ne!(accepted.remote_addr(), before);
    assert_eq!(accepted.remote_addr(), here.local_addr().unwrap());
}

#[tokio::test]
async fn of_two_connections_both_sides_keep_the_same_one() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    // Both dial at once, so there are two, each usable.
    let ((ours, theirs_in), (theirs, ours_in)) =
        tokio::join!(pair(&here, &there), pair(&there, &here));
    for (from, to) in [(&ours, &theirs_in), (&theirs, &ours_in)] {
        let mut stream = from.open(StreamKind::Sync).await.unwrap();
        stream.send("hello".into()).await.unwrap();
        let mut other = to.accept().await.unwrap();
        assert_eq!(other.recv().await, Ok(Some("hello".into())));
    }
    let smaller = key(1).device_id().min(key(2).device_id());
    // Whatever order each side knows them in.
    for kept in [
        prefer(&ours, &ours_in),
        prefer(&ours_in, &ours),
        prefer(&theirs, &theirs_in),
        prefer(&theirs_in, &theirs),
    ] {
        assert_eq!(kept.dialer(), smaller);
    }
}

#[tokio::test]
async fn an_endpoint_listens_on_ipv6_too() {
    let listen = "[::]:0".parse().unwrap();
    let limits = Limits::default();
    let key = &key(2);
    let there = allod_quic::Endpoint::bind(allod_quic::Config {
        listen,
        key,
        limits,
    })
    .unwrap();
    let port = there.local_addr().unwrap().port();
    let here = bind(1, limits);
    let addr = format!("127.0.0.1:{port}").parse().unwrap();
    let (dialled, accepted) = tokio::join!(here.connect(addr, key.device_id()), there.accept());
    assert_eq!(dialled.unwrap().peer(), key.device_id());
    assert_eq!(accepted.unwrap().peer(), here.device_id());
}

/// Who has the short code of a pairing does not know whom it will meet, and finds out (TRANS-5).
#[tokio::test]
async fn whoever_answers_proves_a_key() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let dialled = here.connect_to_any(there.local_addr().unwrap()).await;
    assert_eq!(dialled.unwrap().peer(), key(2).device_id());
    let accepted = there.accept().await.unwrap();
    assert_eq!(accepted.peer(), key(1).device_id());
}
