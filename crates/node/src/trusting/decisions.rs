//! The log of decisions (RECS-20, RECS-21): a file of the home, one decision a line; when it is full it takes the place of the
//! one before.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use allod_identity::{Decision, DecisionOutcome};

use crate::error::NodeError;
use crate::hooks::lock;

/// Bytes of one of the two files: some ten thousand decisions.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Whether a commit that came is taken, and whether one that is here counts, as decisions call it.
pub(super) const TAKE: &str = "take";
pub(super) const COUNT: &str = "count";

/// Commits that are remembered so that each is noted once: a session brings as many at most at a time.
const NOTED_MAX: usize = 4096;

pub(crate) struct DecisionLog {
    path: PathBuf,
    former: PathBuf,
    file: Mutex<Option<File>>,
    /// What was noted once, by its act: as the files have it, and since then.
    noted: Mutex<Option<BTreeSet<(String, String)>>>,
}

impl DecisionLog {
    pub(crate) fn at(home: &Path) -> Self {
        Self {
            path: home.join("decisions.jsonl"),
            former: home.join("decisions.former.jsonl"),
            file: Mutex::default(),
            noted: Mutex::default(),
        }
    }

    /// Notes a decision. A crash may lose the last ones: they explain, and nothing rests on them.
    pub(crate) fn note(&self, decision: &Decision) -> Result<(), NodeError> {
        let fault = || NodeError::file(&self.path);
        let mut line = serde_json::to_vec(decision)
            .map_err(|error| NodeError::Config(self.path.clone(), error.to_string()))?;
        line.push(b'\n');
        let mut file = lock(&self.file);
        let is_full = match &*file {
            Some(file) => file.metadata().map_err(fault())?.len() >= BYTES_MAX,
            None => false,
        };
        if is_full {
            *file = None;
            fs::rename(&self.path, &self.former).map_err(fault())?;
        }
        if file.is_none() {
            let mut options = OpenOptions::new();
            options.create(true).append(true).mode(0o600);
            *file = Some(options.open(&self.path).map_err(fault())?);
        }
        match &mut *file {
            Some(file) => file.write_all(&line).map_err(fault()),
            None => Ok(()),
        }
    }

    /// Notes that a commit is not taken, or does not count, unless that is noted already, as far as is remembered.
    pub(crate) fn note_once(&self, decision: &Decision) -> Result<(), NodeError> {
        let name = |it: &Decision| (it.what().act().to_owned(), it.what().object().to_owned());
        {
            let mut noted = lock(&self.noted);
            let noted = match &mut *noted {
                Some(noted) => noted,
                none => {
                    let all = self.read()?;
                    let all = all.iter().filter(|it| is_noted_once(it)).map(name);
                    none.insert(all.take(NOTED_MAX / 2).collect())
                }
            };
            if noted.len() >= NOTED_MAX {
                noted.clear();
            }
            if !noted.insert(name(decision)) {
                return Ok(());
            }
        }
        self.note(decision)
    }

    /// What is noted, the newest first. Lines that a crash cut off are passed over.
    pub(crate) fn read(&self) -> Result<Vec<Decision>, NodeError> {
        let mut all = Vec::new();
        for path in [&self.former, &self.path] {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(NodeError::file(path)(error)),
            };
            for line in BufReader::new(file).split(b'\n') {
                let line = line.map_err(NodeError::file(path))?;
                all.extend(serde_json::from_slice::<Decision>(&line).ok());
            }
        }
        all.reverse();
        Ok(all)
    }
}

fn is_noted_once(decision: &Decision) -> bool {
    *decision.outcome() == DecisionOutcome::Refuse || decision.what().act() == COUNT
}
