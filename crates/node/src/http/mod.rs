//! The node over HTTP.
//!
//! Spec: `specs/60-http.md` (HTTP).
//!
//! ```text
//! HttpOptions --HttpListener::bind--> HttpListener --serve--> connections
//! connection --Door--> request --gate--> router --routes/*--> Node, apart from the runtime --> answer
//! ```
//!
//! A subject has one module in `routes` with a `routes()` that gives an `OpenApiRouter`; `router.rs` puts them together.
//! What a handler asks of the store goes through `App::work`. What fails is a `Problem`, whose code decides the status.
//!
//! # Invariants
//! - Nothing is served that did not pass `gate.rs`, but for the routes without data that it names.
//! - No handler holds more of a value than a chunk, nor more of a body than `limits.rs` allows.
//! - A problem says nothing of paths, nor of what went wrong inside.

mod app;
mod blob;
mod body;
mod door;
mod etag;
mod federation;
mod gate;
mod hearing;
mod limits;
mod listen;
mod metrics;
mod openapi;
mod page;
mod percent;
mod problem;
mod problem_from;
mod query;
mod range;
mod router;
mod routes;
mod space;
mod spelled;
mod target;
mod tls;
mod token;
mod who;
mod write;

pub use self::listen::{FaultSink, HttpError, HttpListener, HttpOptions, TlsOptions};
pub use self::token::{BadToken, HttpToken, TOKEN_FILE};
