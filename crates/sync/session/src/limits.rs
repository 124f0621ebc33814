//! The numbers of `specs/30-sync.md`, "Limits".

/// The longest frame, in bytes, but for one with a single larger block (SYNC-1).
pub const FRAME_BYTES_MAX: usize = 1024 * 1024 + 256 * 1024;

/// The longest frame of all: one block of 2 MiB and its envelope.
pub const FRAME_BYTES_CEILING: usize = allod_blocks::BLOCK_BYTES_MAX + 64 * 1024;

/// Block bytes put into one frame.
pub(crate) const BLOCKS_FRAME_BYTES: usize = 1024 * 1024;

/// Changed entries of a commit that are sent as such, in bytes (SYNC-6).
pub(crate) const CHANGES_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of changes put into one frame.
pub(crate) const CHANGES_FRAME_BYTES: usize = 256 * 1024;

/// Bytes that may be sent ahead of the receiver (SYNC-11).
pub(crate) const CREDIT_BYTES: u64 = 8 * 1024 * 1024;

/// Blocks that may be wanted and not yet answered (SYNC-12).
pub(crate) const WANTED_MAX: usize = 1024;

/// Links in one want for what is damaged, opened and asked for (SYNC-32): what is absent of them
/// fits one frame, and a path has 50 blocks at most.
pub(crate) const FETCH_LINKS_MAX: usize = 1024;

/// Trees of projections that one is told of on a stream: more than projections of a space have at a
/// time, and a bound on what is remembered.
pub(crate) const TREES_TOLD_MAX: usize = 256;

/// Blocks asked for in one frame.
pub(crate) const WANT_FRAME_MAX: usize = 256;

/// Bytes of parts of files that one session has on their way: two windows of a stream, so that one is full
/// while more is asked for. What is on its way at one peer is not shared with a faster one (SYNC-18).
pub(crate) const PARTS_WANTED_BYTES: usize = 16 * 1024 * 1024;

/// As many parts at the most, however small they are.
pub(crate) const PARTS_WANTED_MAX: usize = 2 * WANT_FRAME_MAX;

/// Claims of all sessions that share them: 128 sessions with as many as one has on their way, and some 10 MiB.
/// What is beyond is asked for as if nobody else did.
pub(crate) const CLAIMS_MAX: usize = 128 * PARTS_WANTED_MAX;

/// Blocks offered and not yet served.
pub(crate) const OFFERED_MAX: usize = 1 << 20;

/// Commits in one session.
pub(crate) const COMMITS_MAX: usize = 1 << 20;

/// Prefixes listed in a hello, of all branches together: as many as a space declares, and 256 KiB at most.
pub(crate) const PREFIXES_MAX: usize = 1024;

/// Key logs listed in a hello.
pub(crate) const LOGS_MAX: usize = 256;

/// Samples listed in a hello.
pub(crate) const SAMPLES_MAX: usize = 512;

/// Entries of a tree that is compared by sketches: 8 bytes of memory each, on both sides.
pub(crate) const COMPARED_MAX: u64 = 1 << 22;

/// Entries from which on a tree is compared: fewer are some twenty nodes.
pub(crate) const COMPARED_MIN: u64 = 1024;

/// Symbols of a tree: 20 bytes of memory each, for some 230,000 differing elements.
pub(crate) const SYMBOLS_MAX: usize = 1 << 19;

/// Symbols in one frame: 22 bytes each at most.
pub(crate) const SYMBOLS_FRAME_MAX: usize = 1 << 15;

/// Elements that are picked of a tree.
pub(crate) const PICKED_MAX: usize = 1 << 18;

/// Elements in one frame: 8 bytes each.
pub(crate) const PICKED_FRAME_MAX: usize = 1 << 16;

/// Bytes of entries that are picked, and of nodes that are made of them, at one go.
pub(crate) const MADE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Counters of an estimate of entries: a standard deviation of 12.5 %, for symbols that are enough.
pub(crate) const ENTRIES_COUNTERS: usize = 128;

/// Counters of an estimate of leaves: 35 %, for a choice.
pub(crate) const LEAVES_COUNTERS: usize = 16;

/// Silence after which a session ends, in milliseconds (SYNC-13).
pub const IDLE_MS: u64 = 60_000;

/// Bytes of received blocks that are stored in one batch, and so the most that comes again after a session was cut.
pub(crate) const STORE_BATCH_BYTES: usize = 2 * 1024 * 1024;

/// The longest error code and reason in a refuse or close, in bytes.
pub(crate) const REASON_BYTES_MAX: usize = 512;
