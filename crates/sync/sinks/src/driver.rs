//! Clients of what is outside, each behind its feature.

#[cfg(feature = "webhook")]
mod http;
#[cfg(feature = "nats")]
pub(crate) mod nats;
#[cfg(feature = "webhook")]
pub(crate) mod registry;
#[cfg(feature = "webhook")]
pub(crate) mod webhook;
