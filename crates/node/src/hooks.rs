//! External hooks: programs in the home that see commits (HOOK-20 to HOOK-23).

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use allod_blocks::Store;
use allod_repo::{Act, BranchName, Objection, PatchError, Proposal, SpaceId, begin_to_follow};
use serde_json::json;

use crate::node::{Node, names};
use crate::program::{self, Ended};

/// How long a hook may take unless said otherwise (HOOK-22): a test suite of a small space runs, and
/// a session waits no longer than its silence.
pub(crate) const HOOK_TIME: Duration = Duration::from_secs(30);

/// What is kept of what a hook prints (HOOK-21), in bytes: more than a person reads.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Exit codes that say nothing of the commit (HOOK-22): a shell gives them for a program that it cannot run, or does not
/// find.
const NOT_JUDGED: [i32; 2] = [126, 127];

/// Refusals of received commits that are remembered in words.
const WORDS_MAX: usize = 16;

/// When a hook is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HookKind {
    /// Before a commit; it may refuse.
    PreCommit,
    /// After a commit.
    PostCommit,
}

impl HookKind {
    /// The name of its file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreCommit => "pre-commit",
            Self::PostCommit => "post-commit",
        }
    }
}

/// A hook in a home.
#[derive(Clone, Debug)]
pub struct HookFile {
    /// When it is asked.
    pub kind: HookKind,
    /// The directory it is in: the name or id of its space; `None` for a hook of all spaces.
    pub space: Option<String>,
    /// Where it is.
    pub path: PathBuf,
    /// Why it is not run (HOOK-20).
    pub fault: Option<&'static str>,
}

impl HookFile {
    /// What its cursor on the log is called.
    pub(crate) fn cursor(&self) -> String {
        match &self.space {
            None => self.kind.name().to_owned(),
            Some(space) => format!("{space}/{}", self.kind.name()),
        }
    }
}

/// What hooks of a home share.
pub(crate) struct Hooks {
    home: PathBuf,
    store: std::sync::Arc<dyn Store>,
    time: std::sync::Mutex<Duration>,
    words: std::sync::Mutex<VecDeque<String>>,
    /// Held by whoever tells hooks of moves: one at a time (HOOK-10).
    pub(crate) following: std::sync::Mutex<()>,
}

/// A lock whose data is sound whatever a panicking holder did.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Hooks {
    pub(crate) fn new(home: &Path, store: std::sync::Arc<dyn Store>) -> Self {
        Self {
            home: home.to_owned(),
            store,
            time: std::sync::Mutex::new(HOOK_TIME),
            words: std::sync::Mutex::default(),
            following: std::sync::Mutex::default(),
        }
    }

    pub(crate) fn set_time(&self, time: Duration) {
        *lock(&self.time) = time;
    }

    /// Why received commits were refused, and forgets it.
    pub(crate) fn take_words(&self) -> Vec<String> {
        lock(&self.words).drain(..).collect()
    }

    fn dir(&self) -> PathBuf {
        self.home.join("hooks")
    }

    /// All hooks of the home: those of all spaces first.
    pub(crate) fn all(&self) -> io::Result<Vec<HookFile>> {
        let mut found = self.in_dir(None);
        let listed = match fs::read_dir(self.dir()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            listed => listed?,
        };
        let mut spaces = Vec::new();
        for item in listed {
            let item = item?;
            if let Some(name) = item.file_name().to_str()
                && item.file_type()?.is_dir()
            {
                spaces.push(name.to_owned());
            }
        }
        spaces.sort();
        for space in spaces {
            found.extend(self.in_dir(Some(&space)));
        }
        Ok(found)
    }

    fn in_dir(&self, space: Option<&str>) -> Vec<HookFile> {
        let dir = space.map_or_else(|| self.dir(), |space| self.dir().join(space));
        let owner = fs::metadata(&self.home).map(|home| home.uid()).ok();
        [HookKind::PreCommit, HookKind::PostCommit]
            .into_iter()
            .filter_map(|kind| {
                let path = dir.join(kind.name());
                // What cannot be looked at cannot be said to be absent.
                let fault = match fs::metadata(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                    Err(_) => Some("cannot be looked at"),
                    Ok(found) => fault_of(&found, owner),
                };
                Some(HookFile {
                    kind,
                    space: space.map(str::to_owned),
                    path,
                    fault,
                })
            })
            .collect()
    }

    /// The hooks of one space, those of all spaces first.
    fn of_space(&self, id: SpaceId, name: Option<&str>) -> Vec<HookFile> {
        let mut found = self.in_dir(None);
        found.extend(self.in_dir(Some(&id.to_string())));
        if let Some(name) = name.filter(|name| is_plain(name)) {
            found.extend(self.in_dir(Some(name)));
        }
        found
    }

    /// Puts a proposal to the hooks of its space (HOOK-1).
    pub(crate) fn propose(&self, proposal: &Proposal<'_>) -> Result<(), Objection> {
        match fs::metadata(self.dir()) {
            Ok(dir) if dir.is_dir() => {}
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // What cannot be looked at cannot be said to be empty (HOOK-4).
            Err(error) => {
                let words = format!("{}: {error}", self.dir().display());
                return Err(Objection::Failed(words));
            }
        }
        let space = proposal.space().id();
        let name = self.name_of(space).map_err(Objection::Failed)?;
        for file in self.of_space(space, name.as_deref()) {
            if file.kind == HookKind::PostCommit {
                // It hears of this commit already (HOOK-12).
                begin_to_follow(self.store.as_ref(), &file.cursor())
                    .map_err(|error| Objection::Failed(in_words(error)))?;
                continue;
            }
            let about = About {
                space,
                name: name.as_deref(),
                branch: proposal.branch,
            };
            self.run(&file, &about, &mut |out| {
                writeln!(out, "{}", header(proposal))?;
                proposal.write_patch(out).map(|_| ())
            })?;
        }
        Ok(())
    }

    /// Remembers why something received was refused: whoever sent it is not told (HOOK-3).
    pub(crate) fn note_refusal(&self, act: Act, objection: &Objection) {
        if act != Act::Receive {
            return;
        }
        let mut kept = lock(&self.words);
        if kept.len() == WORDS_MAX {
            kept.pop_front();
        }
        kept.push_back(objection.to_string());
    }

    /// What a space is called here.
    pub(crate) fn name_of(&self, space: SpaceId) -> Result<Option<String>, String> {
        let names = names(self.store.as_ref()).map_err(in_words)?;
        let found = names.into_iter().find(|(_, id)| *id == space);
        Ok(found.map(|(name, _)| name))
    }

    /// Runs a hook with what `write` writes on its standard input; why it does not accept (HOOK-22).
    pub(crate) fn run(
        &self,
        file: &HookFile,
        about: &About<'_>,
        write: &mut dyn FnMut(&mut dyn Write) -> Result<(), PatchError>,
    ) -> Result<(), Objection> {
        let path = file.path.display();
        if let Some(fault) = file.fault {
            return Err(Objection::Failed(format!("{path} {fault}")));
        }
        let time = *lock(&self.time);
        let mut command = Command::new(&file.path);
        command
            .current_dir(&self.home)
            .env("ALLOD_HOOK", file.kind.name())
            .env("ALLOD_HOME", &self.home)
            .env("ALLOD_SPACE", about.name.unwrap_or_default())
            .env("ALLOD_SPACE_ID", about.space.to_string())
            .env("ALLOD_BRANCH", about.branch.as_str())
            .env_remove("ALLOD_PASSPHRASE");
        match program::run(command, time, OUTPUT_BYTES_MAX, write) {
            Ok(Ended { code: Some(0), .. }) => Ok(()),
            Ok(Ended {
                late: true, words, ..
            }) => {
                let late = format!("{path} took longer than {} s", time.as_secs_f64());
                Err(Objection::Failed(joined(late, &words)))
            }
            Ok(Ended { code, words, .. }) => {
                let shown = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
                let words = joined(format!("{path} ended with {shown}"), &words);
                Err(match code {
                    Some(code) if !NOT_JUDGED.contains(&code) => Objection::Refused(words),
                    _ => Objection::Failed(words),
                })
            }
            Err(error) => {
                let words = format!("{path} could not be run: {error}");
                Err(Objection::Failed(words))
            }
        }
    }
}

/// What a hook is told of in its variables.
pub(crate) struct About<'a> {
    pub(crate) space: SpaceId,
    pub(crate) name: Option<&'a str>,
    pub(crate) branch: &'a BranchName,
}

/// Why a file is not run (HOOK-20).
fn fault_of(file: &fs::Metadata, owner: Option<u32>) -> Option<&'static str> {
    let mode = file.permissions().mode();
    if !file.is_file() {
        Some("is not a file")
    } else if mode & 0o022 != 0 {
        Some("can be written by others; `chmod go-w` it")
    } else if file.uid() != 0 && Some(file.uid()) != owner {
        Some("belongs to somebody else")
    } else if mode & 0o100 == 0 {
        Some("is not executable; `chmod u+x` it, or remove it")
    } else {
        None
    }
}

/// Whether a name of a space may be that of a directory.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=128).contains(&name.len()) && !name.starts_with('.') && name.chars().all(plain)
}

fn header(proposal: &Proposal<'_>) -> serde_json::Value {
    let parents: Vec<String> = proposal.parents.iter().map(ToString::to_string).collect();
    json!({
        "format": "allod-hook",
        "version": 1,
        "hook": HookKind::PreCommit.name(),
        "act": proposal.act.name(),
        "space": proposal.space().id().to_string(),
        "branch": proposal.branch.as_str(),
        "author": proposal.author.map(|author| author.to_string()),
        "message": proposal.message,
        "parents": parents,
    })
}

fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn joined(what: String, words: &str) -> String {
    let words = words.trim();
    if words.is_empty() {
        what
    } else {
        format!("{what}: {words}")
    }
}

impl Node {
    /// The hooks in the home.
    pub fn hooks(&self) -> io::Result<Vec<HookFile>> {
        self.hooks_of().all()
    }

    /// How long a hook may take from now on; half a minute unless this is called.
    pub fn set_hook_time(&self, time: Duration) {
        self.hooks_of().set_time(time);
    }

    /// Why pre-commit hooks refused received commits since this was asked last: the last sixteen
    /// times.
    #[must_use]
    pub fn take_hook_words(&self) -> Vec<String> {
        self.hooks_of().take_words()
    }
}
