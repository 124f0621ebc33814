//! From what a definition says to a target.

use std::sync::Arc;

use crate::definition::{Definition, Registry, To};
use crate::file::{LinesFile, Stdout};
use crate::payload::Numbers;
use crate::target::{Fault, Target};

/// Says whether all has to end.
pub type Stopping = Arc<dyn Fn() -> bool + Send + Sync>;

/// Opens the target of a sink; `now_ms` is a clock, in milliseconds since 1970, for signatures. Once `stopping` says so, a
/// target does not wait for long (SINK-9).
///
/// # Errors
/// [`Fault::Stopped`] of a kind that this build does not have, and of files with secrets that cannot be read.
#[cfg_attr(
    not(feature = "webhook"),
    expect(unused_variables, reason = "nothing else signs")
)]
pub fn open(
    definition: &Definition,
    now_ms: fn() -> u64,
    stopping: Stopping,
) -> Result<Box<dyn Target>, Fault> {
    match &definition.to {
        To::File { path } => Ok(Box::new(LinesFile::open(path)?)),
        To::Stdout {} => Ok(Box::new(Stdout)),
        #[cfg(feature = "webhook")]
        To::Webhook { url, secret, token } => {
            let files = (secret.as_deref(), token.as_deref());
            let made = crate::driver::webhook::Webhook::new(
                (url, definition.mode),
                files,
                (now_ms, stopping),
            )?;
            Ok(Box::new(made))
        }
        #[cfg(feature = "nats")]
        To::Nats {
            url,
            stream,
            subject,
            credentials,
        } => {
            let subject = subject.as_deref().unwrap_or(stream);
            let place = (&url[..], &stream[..], subject);
            let made = crate::driver::nats::JetStream::connect(
                place,
                definition.mode,
                credentials.as_deref(),
            )?;
            Ok(Box::new(made))
        }
        #[cfg(feature = "kafka")]
        To::Kafka {
            brokers,
            topic,
            partitions,
            properties,
        } => {
            let place = (&brokers[..], &topic[..], *partitions);
            let made = crate::driver::kafka::Topic::connect(
                place,
                definition.mode,
                (properties.as_deref(), stopping),
            )?;
            Ok(Box::new(made))
        }
        #[cfg(not(all(feature = "kafka", feature = "nats", feature = "webhook")))]
        _ => Err(Fault::Stopped("this build has no client for it".to_owned())),
    }
}

/// Opens a schema registry.
///
/// # Errors
/// [`Fault::Stopped`] without the feature `webhook`, and of a file with a secret that cannot be read.
#[cfg_attr(
    not(feature = "webhook"),
    expect(unused_variables, reason = "there is no client")
)]
pub fn open_registry(registry: &Registry) -> Result<Box<dyn Numbers>, Fault> {
    #[cfg(feature = "webhook")]
    return Ok(Box::new(crate::driver::registry::SchemaRegistry::new(
        registry,
    )?));
    #[cfg(not(feature = "webhook"))]
    Err(Fault::Stopped("this build has no client for it".to_owned()))
}
