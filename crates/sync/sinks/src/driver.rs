//! Clients of what is outside, each behind its feature.

#[cfg(feature = "nats")]
pub(crate) mod nats;
#[cfg(feature = "webhook")]
pub(crate) mod webhook;
