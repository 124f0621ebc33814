//! Clients of what is outside, each behind its feature.

#[cfg(feature = "webhook")]
mod http;
#[cfg(feature = "kafka")]
pub(crate) mod kafka;
#[cfg(feature = "kafka")]
mod kafka_client;
#[cfg(feature = "kafka")]
pub(crate) mod kafka_origin;
#[cfg(feature = "kafka")]
mod murmur;
#[cfg(feature = "nats")]
pub(crate) mod nats;
#[cfg(feature = "nats")]
pub(crate) mod nats_origin;
#[cfg(feature = "webhook")]
pub(crate) mod registry;
#[cfg(feature = "webhook")]
pub(crate) mod webhook;
