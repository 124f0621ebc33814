//! Runs worlds, and shows that what they check can fail.

mod keys;
mod mutants;
mod rights;
mod seeds;
