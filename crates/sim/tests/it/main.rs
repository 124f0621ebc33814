//! Runs worlds, and shows that what they check can fail.

mod mutants;
mod seeds;
