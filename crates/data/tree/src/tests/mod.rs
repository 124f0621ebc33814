//! Tests against naive twins, and of the format.

mod edits;
mod nodes;
mod parts;
mod reads;
pub(crate) mod twin;
mod vectors;
mod walks;
