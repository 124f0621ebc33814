//! The numbers of the format and why they are what they are.

/// The longest key, in bytes (TREE-2): as long as the paths that file systems allow. Keys are
/// compared and hashed whole on every edit, and an inner node holds two of them at least.
pub const KEY_BYTES_MAX: usize = 4096;

/// The longest value kept inline, in bytes (TREE-2). Half a node of target size: a larger value
/// would make its leaf hold little else, so it belongs in a block of its own, linked by the value.
pub const VALUE_BYTES_MAX: usize = 2048;

/// The largest node block, in bytes (TREE-10).
///
/// A node closes with the entry that brings its weight to 32 768, so a leaf weighs at most
/// 32 767 + 4096 + 2048 + 4 and an inner node at most 32 767 + 4096 + 48. The encoding of a leaf
/// is not larger than its weight but for its heads; that of an inner node adds 3 bytes for each of
/// at most 690 children. 40 KiB holds both, and keeps every column end within 16 bits.
pub const NODE_BYTES_MAX: usize = 40 * 1024;

/// The highest level (TREE-9). Nodes above the leaves have two children at least, but for the last
/// of a level, so 31 levels need two thousand million leaves of a kibibyte.
pub const LEVEL_MAX: u8 = 31;

/// How many bytes of loaded nodes the trees of a [`Forest`](crate::Forest) keep unless told
/// otherwise: the inner nodes of about thirty million small entries.
pub const CACHE_BYTES_DEFAULT: usize = 64 * 1024 * 1024;

/// How many blocks a [`Walk`](crate::Walk) has asked for and not seen, at most: enough to fill a
/// long fat line with 4 KiB blocks, and with it the memory of a walk is bounded.
pub const WALK_OUTSTANDING_MAX: usize = 1024;
