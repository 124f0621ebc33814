//! A node's home: one directory with its configuration, keys, store, lock and control socket.
//!
//! | file | what |
//! |---|---|
//! | `config.json` | how the home was made: store kind, ids, where the keys' secret comes from |
//! | `keys` | the sealed keystore, 0600 |
//! | `store/` | the store |
//! | `lock` | held by the process that has the store open |
//! | `control.sock` | where a running node takes commands, 0600 |
//! | `http-token` | what programs show that ask over HTTP, 0600 |
//! | `http-cert.pem`, `http-key.pem` | the node's own certificate for HTTP, 0600 |

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allod_blocks::{Compression, FjallStore, Packing, SledStore, Store};
use allod_identity::{AgentId, DeviceId, KdfParams, Keystore};
use allod_repo::{Copied, Progress, copy_store};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::NodeError;

/// The version of `config.json`.
const CONFIG_VERSION: u32 = 2;

/// The shortest secret that a key file may hold, in bytes: 128 bits, if they are random.
const KEY_FILE_BYTES_MIN: usize = 16;

/// The engine that keeps the store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StoreKind {
    /// An LSM tree with key-value separation.
    #[default]
    Fjall,
    /// sled 0.34.
    Sled,
}

/// Where the secret that seals the keys comes from.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeySource {
    /// Asked for in the terminal, or in `$ALLOD_PASSPHRASE`.
    Passphrase,
    /// 32 random bytes in a file of mode 0600.
    File(PathBuf),
}

/// How a home was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeConfig {
    /// The version of this file.
    pub version: u32,
    /// The engine of the store.
    pub store: StoreKind,
    /// How the store compresses new blocks.
    #[serde(default, with = "compression_text")]
    pub compression: Compression,
    /// Where the keys' secret comes from.
    pub keys: KeySource,
    /// This device.
    pub device: String,
    /// What people call it.
    pub device_name: String,
    /// Whom it acts for; `null` until it is adopted.
    pub agent: Option<String>,
}

/// A compression as its text.
mod compression_text {
    use allod_blocks::Compression;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(
        compression: &Compression,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(compression)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Compression, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// A home's directory.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
}

/// The lock of a home; given back when dropped.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

impl Home {
    /// The home at `path`, which need not exist.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a running node takes commands.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// Makes the home: its directory, sealed keys, and last its configuration, so that a home that
    /// was interrupted while it was made is none.
    pub fn create(
        &self,
        config: &HomeConfig,
        keys: &Keystore,
        secret: &[u8],
    ) -> Result<(), NodeError> {
        if self.exists() {
            return Err(NodeError::HomeExists(self.path.clone()));
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(&self.path)
            .map_err(NodeError::file(&self.path))?;
        self.seal(config, keys, secret)?;
        self.write_config(config)
    }

    /// Whether there is a home.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.join("config.json").exists()
    }

    /// The home's configuration.
    pub fn config(&self) -> Result<HomeConfig, NodeError> {
        let path = self.path.join("config.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(NodeError::NoHome(self.path.clone()));
            }
            Err(error) => return Err(NodeError::file(path)(error)),
        };
        let config: HomeConfig = serde_json::from_str(&text)
            .map_err(|error| NodeError::Config(path.clone(), error.to_string()))?;
        if config.version != CONFIG_VERSION {
            let text = format!("made by another version of allod (form {})", config.version);
            return Err(NodeError::Config(path, text));
        }
        Ok(config)
    }

    pub(crate) fn write_config(&self, config: &HomeConfig) -> Result<(), NodeError> {
        let path = self.path.join("config.json");
        let text = serde_json::to_string_pretty(config)
            .map_err(|error| NodeError::Config(path.clone(), error.to_string()))?;
        write_private(&path, format!("{text}\n").as_bytes())
    }

    /// Seals the keys into the home.
    pub(crate) fn seal(
        &self,
        config: &HomeConfig,
        keys: &Keystore,
        secret: &[u8],
    ) -> Result<(), NodeError> {
        let params = match config.keys {
            KeySource::Passphrase => KdfParams::interactive(),
            KeySource::File(_) => KdfParams::high_entropy(),
        };
        let sealed = keys.seal(secret, params, random()?, random()?)?;
        write_private(&self.path.join("keys"), &sealed)
    }

    /// Opens the sealed keys.
    pub fn unlock(&self, secret: &[u8]) -> Result<Keystore, NodeError> {
        let path = self.path.join("keys");
        let sealed = fs::read(&path).map_err(NodeError::file(path))?;
        Ok(Keystore::open(&sealed, secret)?)
    }

    /// Takes the home's lock, or says who has it.
    pub fn lock(&self) -> Result<HomeLock, NodeError> {
        let path = self.path.join("lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path).map_err(NodeError::file(path.clone()))?;
        match file.try_lock() {
            Ok(()) => Ok(HomeLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(NodeError::HomeLocked(self.path.clone())),
            Err(TryLockError::Error(error)) => Err(NodeError::file(path)(error)),
        }
    }

    /// Opens the store. The caller holds the lock.
    pub(crate) fn open_store(
        &self,
        kind: StoreKind,
        packing: Packing,
    ) -> Result<Arc<dyn Store>, NodeError> {
        open(kind, packing, self.path.join("store"))
    }

    /// Copies what can be read of the store into a new one, and puts that into its place in one step
    /// (REPO-70). Where the former store is from then on, and what was copied.
    pub fn rebuild_store(&self, progress: Progress<'_>) -> Result<(PathBuf, Copied), NodeError> {
        let config = self.config()?;
        let _lock = self.lock()?;
        let here = self.path.join("store");
        let (copy, there) = (self.path.join("store.copy"), self.path.join("store.new"));
        make_way(&copy).map_err(NodeError::file(&copy))?;
        let free = || {
            let mut names =
                (1_u32..).map(|number| self.path.join(format!("store.former-{number}")));
            names.find(|path| !path.exists()).unwrap_or_default()
        };
        if there.exists() {
            // Cut off around the exchange: it may be the former store.
            let kept = fs::rename(&there, free());
            kept.map_err(NodeError::file(&there))?;
        }
        let former = free();
        let packing = Packing::new(config.compression);
        let copied = {
            let from = self.open_store(config.store, packing.clone())?;
            let to = open(config.store, packing, copy.clone())?;
            copy_store(from.as_ref(), to.as_ref(), progress)
        };
        if !copied.as_ref().is_ok_and(|copied| !copied.stopped) {
            // Half a copy is of no use; that it cannot be removed either changes nothing.
            fs::remove_dir_all(&copy).ok();
            return Ok((here, copied?));
        }
        let exchanged = fs::rename(&copy, &there).and_then(|()| exchange(&here, &there));
        exchanged.map_err(NodeError::file(&here))?;
        // From here on the copy is the store, whatever happens to the names.
        let named = fs::rename(&there, &former).and_then(|()| File::open(&self.path)?.sync_all());
        let is_named = !there.exists();
        named.map_err(|source| NodeError::Unsynced {
            former: if is_named { former.clone() } else { there },
            source,
        })?;
        Ok((former, copied?))
    }
}

/// Lets two directories change names in one step.
fn exchange(one: &Path, other: &Path) -> std::io::Result<()> {
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Removes what is left of a copy that was cut off, and tries whether directories can be exchanged
/// there: not on every file system, and that is better known before a long copy than after it.
fn make_way(copy: &Path) -> std::io::Result<()> {
    let (one, other) = (copy.join("1"), copy.join("2"));
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    fs::create_dir_all(&one)?;
    fs::create_dir_all(&other)?;
    exchange(&one, &other)?;
    fs::remove_dir_all(copy)
}

fn open(kind: StoreKind, packing: Packing, path: PathBuf) -> Result<Arc<dyn Store>, NodeError> {
    Ok(match kind {
        StoreKind::Fjall => Arc::new(FjallStore::open_packed(path, packing)?),
        StoreKind::Sled => Arc::new(SledStore::open_packed(path, packing)?),
    })
}

impl HomeConfig {
    /// A configuration for a new home.
    #[must_use]
    pub fn new(
        store: StoreKind,
        keys: KeySource,
        device: DeviceId,
        device_name: String,
        agent: Option<AgentId>,
    ) -> Self {
        Self {
            version: CONFIG_VERSION,
            store,
            compression: Compression::None,
            keys,
            device: device.to_string(),
            device_name,
            agent: agent.map(|agent| agent.to_string()),
        }
    }
}

/// Reads the secret in a key file.
pub fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, NodeError> {
    read_secret(path, KEY_FILE_BYTES_MIN)
}

/// Reads a file with something secret, which only its owner may read.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, NodeError> {
    read_secret(path, 0)
}

/// Reads a secret of so many bytes at least.
fn read_secret(path: &Path, bytes_min: usize) -> Result<Zeroizing<Vec<u8>>, NodeError> {
    let secret = fs::read(path)
        .map(Zeroizing::new)
        .map_err(NodeError::file(path))?;
    let mode = fs::metadata(path).map_err(NodeError::file(path))?.mode();
    let fault = if secret.len() < bytes_min {
        Some("is too short for a secret: a key file has 16 bytes or more")
    } else if mode & 0o077 != 0 {
        Some("can be read by others; `chmod 600` it")
    } else {
        None
    };
    match fault {
        Some(fault) => Err(NodeError::KeyFile(path.to_owned(), fault)),
        None => Ok(secret),
    }
}

/// Makes a key file with 32 random bytes, or reads the one that is there.
pub fn make_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, NodeError> {
    if path.exists() {
        return read_key_file(path);
    }
    let secret: [u8; 32] = random()?;
    write_private(path, &secret)?;
    Ok(Zeroizing::new(secret.to_vec()))
}

/// Random bytes from the system.
pub fn random<const N: usize>() -> Result<[u8; N], NodeError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| NodeError::Random(error.to_string()))?;
    Ok(bytes)
}

/// A new file in the directory of `path`, to be written and renamed to it.
pub fn beside(path: &Path, mode: u32) -> Result<(File, PathBuf), NodeError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.part", u64::from_le_bytes(random()?)));
    let temporary = path.with_file_name(name);
    let mut options = OpenOptions::new();
    let file = options.create_new(true).write(true).mode(mode);
    let file = file.open(&temporary).map_err(NodeError::file(&temporary))?;
    Ok((file, temporary))
}

/// Writes a file of mode 0600 whole or not at all, durably.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    let (mut file, temporary) = beside(path, 0o600)?;
    let mut write = || -> std::io::Result<()> {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    };
    let written = write();
    if written.is_err() {
        // Half a file helps nobody; that it cannot be removed either changes nothing.
        fs::remove_file(&temporary).ok();
    }
    written.map_err(NodeError::file(path))
}
