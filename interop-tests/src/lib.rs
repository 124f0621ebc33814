//! Our files and archives against the tools of others.
//!
//! Specs put to the test: `specs/20-blocks.md` (BLOCKS), `specs/50-deltas.md` (DELTA), `specs/51-federation.md` (FED).
//!
//! The tests run scripts of `js/` with node; the packages they use, and their versions, are in
//! `package.json`. Where node or npm is missing, a test says so and passes. There is no code here.
