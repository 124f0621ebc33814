//! Our files, archives and interfaces against the tools of others.
//!
//! Specs put to the test: `specs/20-blocks.md` (BLOCKS), `specs/50-deltas.md` (DELTA), `specs/51-federation.md` (FED),
//! `specs/60-http.md` (HTTP).
//!
//! The tests run scripts of `js/` with node; the packages they use, and their versions, are in
//! `package.json`. Programs in Python are installed into a folder of `target`, as
//! `python/requirements.txt` says. Where node, npm, Python or their registries are missing, a test
//! says so and passes. There is no code here.
