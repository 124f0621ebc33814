//! Federation of the spaces of a node: deltas of a branch to and from instances of RhizomeDB and other nodes.
//!
//! Spec: `specs/51-federation.md` (FED-50 to FED-56).
//!
//! ```text
//! Shared, LinkDefinition --Register--> store --Node::federate--> Federation of each space --> links
//! ```
//!
//! `federating/settings.rs` is what is set up, `federating/register.rs` where that is kept,
//! `federating/narrowing.rs` where a space is stricter than a link, `federating/positions.rs` how far links have come, `federating/running.rs` what
//! a running node has of it, `federating/standing.rs` how links stand, `federating/dialing.rs` how servers are reached,
//! `federating/following.rs` what it does when a space changes.

mod dialing;
mod following;
mod narrowing;
mod positions;
mod register;
mod running;
mod settings;
mod standing;
#[cfg(test)]
mod tests;

pub use self::narrowing::Narrowed;
pub use self::register::{FederatingError, LinkState, Register};
pub(crate) use self::running::{Door, Federating};
pub use self::settings::{BadSetting, Bring, LinkDefinition, Shared, Signing, Trust};
pub use self::standing::LinkStanding;
