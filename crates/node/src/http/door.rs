//! Connections: how many, and how long one may take nothing (HTTP-33); and how they end (HTTP-46).

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::limits::{
    CONNECTIONS_MAX, HEAD_BYTES_MAX, HEAD_TIME, HEADERS_MAX, STALL_TIME, STOP_TIME,
};

/// How long nobody is accepted after that failed: the process may have no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `stop` becomes true, and requests under way then to their end, for ten seconds at
/// most.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        // Without a place it is closed at once.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let (tls, app, stop) = (tls.clone(), app.clone(), stop.clone());
        connections.spawn(async move {
            // A connection that fails harms nobody but its client.
            drop(connection((stream, peer), tls, app, stop).await);
            drop(place);
        });
    }
    drop(listener);
    // Those that rest end at once, others when they have answered.
    let ended = async { while connections.join_next().await.is_some() {} };
    drop(timeout(STOP_TIME, ended).await);
    connections.shutdown().await;
}

/// Returns once the listener is to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Whoever would say so may be gone as well.
    drop(stop.wait_for(|stop| *stop).await);
}

async fn connection(
    (stream, peer): (TcpStream, SocketAddr),
    tls: Option<TlsAcceptor>,
    app: Router,
    stop: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    match tls {
        None => answer(stream, peer, app, stop).await,
        Some(tls) => {
            let stream = timeout(HEAD_TIME, tls.accept(stream)).await??;
            answer(stream, peer, app, stop).await
        }
    }
}

/// Answers what is asked on a connection, by HTTP/1.1 alone (HTTP-1), with upgrades to what follows another
/// protocol.
async fn answer<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: T,
    peer: SocketAddr,
    app: Router,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let service = match service.oneshot(peer).await {
        Ok(service) => TowerToHyperService::new(service),
        Err(never) => match never {},
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Line::new(stream)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stopped(&mut stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}

/// A connection that fails once its other side has taken nothing for too long while there was something for it.
#[derive(Debug)]
struct Line<T> {
    stream: T,
    stall: Pin<Box<Sleep>>,
    is_stalled: bool,
}

impl<T> Line<T> {
    fn new(stream: T) -> Self {
        Self {
            stream,
            stall: Box::pin(sleep(STALL_TIME)),
            is_stalled: false,
        }
    }

    fn wrote<R>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if result.is_ready() {
            self.is_stalled = false;
            return result;
        }
        if !self.is_stalled {
            self.is_stalled = true;
            self.stall.as_mut().reset(Instant::now() + STALL_TIME);
        }
        ready!(self.stall.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Line<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Line<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.wrote(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_let_go_and_who_takes_a_little_is_not() {
        let (mut there, here) = duplex(1000);
        let mut line = Line::new(here);
        let started = Instant::now();
        line.write_all(&[0; 1000]).await.unwrap();
        let taking = tokio::spawn(async move {
            for _ in 0..5 {
                sleep(STALL_TIME * 9 / 10).await;
                there.read_exact(&mut [0; 10]).await.unwrap();
            }
            // It stays, and takes no more.
            sleep(STALL_TIME * 10).await;
        });
        line.write_all(&[0; 50]).await.unwrap();
        assert!(started.elapsed() > STALL_TIME * 4);
        let error = line.write_all(&[0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        taking.abort();
    }
}
