//! What can be said about a home: to make one, run it, and keep its store.

use std::net::SocketAddr;
use std::path::PathBuf;

use allod::StoreKind;
use allod_blocks::Compression;
use clap::{Args, Subcommand, ValueEnum};

use crate::cli::http_args::HttpArgs;

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Seal the keys with a random secret in this file instead of a passphrase
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// What to call this device
    #[arg(long, default_value = "device")]
    pub(crate) device_name: String,
    /// Make a device that an agent on another one will take in
    #[arg(long)]
    pub(crate) device_only: bool,
    /// Make the agent of a key that is there already: a file of mode 0600 with an ed25519 key as a seed, as PKCS#8 or as OpenSSH
    /// has it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["device_only", "pair"])]
    pub(crate) agent_key: Option<PathBuf>,
    /// Make this a device of the agent whose device shows this code (`allod id device add`), and fetch its spaces; - reads it
    #[arg(long, value_name = "CODE", conflicts_with = "device_only")]
    pub(crate) pair: Option<String>,
    /// Do not ask whether the digits of a pairing are the same: for tests and programs that compare them themselves
    #[arg(long, requires = "pair")]
    pub(crate) yes: bool,
    /// The engine of the store
    #[arg(long, value_enum, default_value_t = Engine::Fjall)]
    pub(crate) store: Engine,
    /// How the store compresses blocks: none, snappy, zstd or zstd:LEVEL; may be changed later
    #[arg(long, default_value_t, value_name = "HOW")]
    pub(crate) compression: Compression,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Engine {
    Fjall,
    Sled,
}

impl From<Engine> for StoreKind {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Fjall => Self::Fjall,
            Engine::Sled => Self::Sled,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where to listen; port 0 lets the system choose
    #[arg(long, default_value = "0.0.0.0:0", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Seconds until a peer that could not be reached is tried again, the first time
    #[arg(long, default_value_t = 1, value_name = "SECONDS")]
    pub(crate) retry_first: u64,
    /// What that is multiplied by each time
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) retry_factor: u64,
    /// The longest such wait, in seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) retry_most: u64,
    /// How often a peer is tried in a row; 0 for ever
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) retries: u32,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Show or choose how new blocks are compressed
    Compression {
        /// none, snappy, zstd or zstd:LEVEL with a level from 1 to 19
        how: Option<Compression>,
    },
    /// Copy all that can be read into a new store, which takes the place of this one
    #[command(
        after_help = "For a store whose engine is damaged, so that `check --heal` does not help. No node may be running.\n\
        The former store stays beside the new one until you remove it."
    )]
    Rebuild,
}

#[derive(Debug, Args)]
#[command(
    after_help = "What a space, its history, a pin or the latest moves of branches \
    refer to is kept.\nReaders and writers may go on meanwhile."
)]
pub(crate) struct Gc {
    /// Count only
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Keep what the last N moves of branches name, so that they can be undone
    #[arg(long, value_name = "N", default_value_t = allod_repo::MOVES_KEPT)]
    pub(crate) keep_moves: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep the homes of the three nodes in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Entries that the space is brought to
    #[arg(long, default_value_t = 50_000)]
    pub(crate) entries: usize,
}
