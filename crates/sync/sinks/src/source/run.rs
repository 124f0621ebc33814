//! Carrying what an origin has into a space, once in effect (SRC-10 to SRC-16).

use std::collections::BTreeMap;
use std::time::Duration;

use allod_repo::{Author, BranchName, Content, Edit, Repo, RepoError, SpaceId};
use bytes::Bytes;
use multibase::Base;
use sha2::{Digest as _, Sha256};

use crate::kept::{DEAD_MAX, short};
use crate::run::{BACKOFF, LOOK_EVERY, rest_for};
use crate::source::definition::{From, SourceDefinition};
use crate::source::incoming::{Incoming, POSITIONS, Rules, dead_record};
use crate::source::origin::{Origin, Record, Seek};
use crate::source::position::Position;
use crate::source::register::{SourceDead, SourceError, SourceRegister, SourceState};
use crate::target::Fault;

/// How often a commit is tried beside others that write the same keys.
const TRIES: usize = 8;

/// The node that a source belongs to.
pub trait SourceHost {
    /// A space, if it is here.
    fn repo(&self, space: SpaceId) -> Result<Option<Repo>, RepoError>;

    /// Who commits; or why nobody can.
    fn author(&self) -> Result<Author<'_>, String>;

    /// Its clock, in milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// Any number.
    fn chance(&self) -> u64;

    /// What a definition means by its origin.
    fn open(&self, from: &From) -> Result<Box<dyn Origin>, Fault>;

    /// That something was committed.
    fn committed(&self);

    /// Whether all has to end.
    fn is_stopping(&self) -> bool;

    /// Waits for so long, or until something may have changed.
    fn rest(&self, at_most: Duration);
}

/// Where a space has the position of a source (SRC-10).
#[must_use]
pub fn position_key(name: &str) -> Bytes {
    format!("{POSITIONS}{name}").into()
}

/// Why a source stopped importing.
enum Ended {
    /// It imported all that there was.
    AtEnd,
    /// It was changed, has to end, or the space has another position by now.
    Changed,
    Fault(Fault),
    Register(SourceError),
}

impl std::convert::From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl std::convert::From<SourceError> for Ended {
    fn from(error: SourceError) -> Self {
        Self::Register(error)
    }
}

impl std::convert::From<RepoError> for Ended {
    fn from(error: RepoError) -> Self {
        Self::Fault(Fault::away(error))
    }
}

/// Where entries go.
struct Place {
    repo: Repo,
    branch: BranchName,
}

/// What became of entries that were to be committed.
enum Committed {
    /// So many were written; the others the space had already.
    Written(u64),
    /// The space takes them in no case, or not together.
    Refused(String),
    /// A hook has not judged them: it may judge fewer in its time, or all but one.
    NotJudged(String),
}

/// A source that is being imported.
struct Importing<'a> {
    host: &'a dyn SourceHost,
    register: &'a SourceRegister,
    name: &'a str,
    definition: SourceDefinition,
    /// What is kept.
    kept: SourceState,
    /// What it has come to since.
    state: SourceState,
    /// How far it has read.
    position: Position,
    until_end: bool,
}

/// Imports from a source until it is removed or the host stops; or, if that is asked for, until there is no more, or
/// a failure.
pub fn run_source(
    host: &dyn SourceHost,
    register: &SourceRegister,
    (name, until_end): (&str, bool),
) -> Result<SourceState, SourceError> {
    loop {
        let (definition, state) = register.get(name)?;
        let rests = definition.paused || state.stopped;
        if host.is_stopping() || until_end && rests {
            return Ok(state);
        }
        if rests {
            host.rest(LOOK_EVERY);
            continue;
        }
        let mut importing = Importing {
            host,
            register,
            name,
            definition,
            kept: state.clone(),
            state,
            position: Position::default(),
            until_end,
        };
        let wait = match importing.import() {
            // It is looked at anew.
            Ok(()) | Err(Ended::Changed | Ended::Register(SourceError::Changed(_))) => {
                Duration::ZERO
            }
            Err(Ended::Register(error)) => return Err(error),
            Err(Ended::AtEnd) => return Ok(importing.state),
            Err(Ended::Fault(fault)) => importing.note(fault)?,
        };
        if until_end && wait > Duration::ZERO {
            return Ok(importing.state);
        }
        rest_for(wait, &|step| {
            if host.is_stopping() {
                return false;
            }
            host.rest(step);
            matches!(register.get(name), Ok((now, state)) if now == importing.definition && state == importing.kept)
        });
    }
}

impl Importing<'_> {
    fn import(&mut self) -> Result<(), Ended> {
        let stopped = |words: String| Ended::Fault(Fault::Stopped(words));
        let bad = |error: crate::source::BadSource| stopped(error.to_string());
        let rules = Rules::of(self.name, &self.definition).map_err(bad)?;
        let space = self.definition.space_id().map_err(bad)?;
        let repo = self.host.repo(space)?;
        let place = Place {
            repo: repo.ok_or_else(|| stopped("its space is not here".to_owned()))?,
            branch: self.definition.branch_name().map_err(bad)?,
        };
        // A branch that was deleted had the position, and is not made again from the beginning.
        if place.branch != BranchName::main() && place.repo.heads(&place.branch)?.is_empty() {
            return Err(stopped("its branch is not there".to_owned()));
        }
        let mut origin = self.host.open(&self.definition.from)?;
        self.begin(origin.as_mut(), &place)?;
        loop {
            if self.host.is_stopping() || self.is_changed()? {
                return Err(Ended::Changed);
            }
            let batch = origin.next()?;
            let read: Vec<(Record, Incoming)> = batch
                .records
                .into_iter()
                .map(|record| {
                    let incoming = rules.incoming(&record);
                    (record, incoming)
                })
                .collect();
            if !read.is_empty() {
                self.take(&place, &read)?;
            }
            self.pass(&batch.passed)?;
            if batch.is_end {
                // An origin that could be read to its end is away no more.
                if self.state.failures > 0 {
                    self.state.failures = 0;
                    self.state.words = None;
                    self.keep(&[])?;
                }
                if self.until_end {
                    return Err(Ended::AtEnd);
                }
                if read.is_empty() {
                    self.host.rest(LOOK_EVERY);
                }
            }
        }
    }

    /// Goes to where it is read from (SRC-11, SRC-13).
    fn begin(&mut self, origin: &mut dyn Origin, place: &Place) -> Result<(), Ended> {
        let there = place.repo.state(&place.branch)?;
        let there = position_of(there.get(&position_key(self.name))?);
        let base = there.as_deref().map(digest);
        let sought = self.state.sought.take();
        let seen = self.state.seen.clone();
        let seen = seen.filter(|_| self.state.base == base);
        let kept = match (&seen, &there) {
            (Some(seen), _) => Some(seen.clone()),
            (None, Some(there)) if sought.is_none() => {
                let read = String::from_utf8_lossy(there).parse::<Position>();
                Some(read.map_err(|error| Fault::Stopped(error.to_string()))?)
            }
            _ => None,
        };
        let seek = match (sought, &kept) {
            (Some(false), _) => Seek::End,
            (Some(true), _) | (None, None) => Seek::Beginning,
            (None, Some(kept)) => Seek::At(kept),
        };
        self.position = origin.seek(seek)?;
        let is_new = sought.is_some() || self.state.base != base;
        self.state.base = base;
        if is_new {
            self.state.seen = Some(self.position.clone());
            self.keep(&[])?;
        }
        Ok(())
    }

    fn is_changed(&self) -> Result<bool, SourceError> {
        let (definition, state) = self.register.get(self.name)?;
        Ok(definition != self.definition || state != self.kept)
    }

    /// Keeps what it has come to.
    fn keep(&mut self, dead: &[SourceDead]) -> Result<(), SourceError> {
        let states = (&self.kept, &self.state);
        self.register.keep(self.name, states, dead)?;
        self.kept = self.state.clone();
        Ok(())
    }

    /// Takes records into the space, and of those that it refuses together each by itself.
    fn take(&mut self, place: &Place, read: &[(Record, Incoming)]) -> Result<(), Ended> {
        // Of what is refused one by one there may be much, and a hook takes its time.
        if self.host.is_stopping() || self.is_changed()? {
            return Err(Ended::Changed);
        }
        let mut edits = BTreeMap::new();
        let mut after = self.position.clone();
        for (record, incoming) in read {
            after.parts.insert(record.part, record.mark());
            if let Incoming::Entry(key, edit) = incoming {
                edits.insert(key.clone(), edit.clone());
            }
        }
        if let Some(words) = self.bury(read)? {
            if read.len() == 1 {
                let words = format!("{DEAD_MAX} records were refused, the last for: {words}");
                return Err(Fault::Stopped(words).into());
            }
            return self.take_halves(place, read);
        }
        let committed = self.commit(place, &edits, (read.len(), &after))?;
        let written = match (committed, read) {
            (Committed::Written(written), _) => written,
            (Committed::Refused(words), [(record, _)]) => {
                let dead = dead_record(record, words);
                return self.take(place, &[(record.clone(), dead)]);
            }
            (Committed::NotJudged(words), [_]) => return Err(Fault::away(words).into()),
            (Committed::Refused(_) | Committed::NotJudged(_), _) => {
                return self.take_halves(place, read);
            }
        };
        self.position = after;
        if written > 0 {
            self.state.base = Some(digest(self.position.to_string().as_bytes()));
            self.state.seen = None;
            self.state.imported += written;
            self.state.imported_ms = Some(self.host.now_ms());
        } else {
            self.state.seen = Some(self.position.clone());
        }
        let count = |is: fn(&Incoming) -> bool| {
            let found = read.iter().filter(|(_, incoming)| is(incoming));
            found.count() as u64
        };
        let dead = count(|incoming| matches!(incoming, Incoming::Dead { .. }));
        let links = count(|incoming| matches!(incoming, Incoming::Link));
        self.state.links += links;
        let all = read.len() as u64;
        self.state.passed += all.saturating_sub(written + dead + links);
        self.state.failures = 0;
        self.state.words = None;
        Ok(self.keep(&[])?)
    }

    /// Keeps up to where the origin has nothing else (SRC-17).
    fn pass(&mut self, passed: &BTreeMap<u32, u64>) -> Result<(), SourceError> {
        let mut is_further = false;
        for (part, to) in passed {
            let mark = self.position.parts.entry(*part).or_default();
            if *to > mark.next && mark.passed.is_none_or(|before| *to > before) {
                mark.passed = Some(*to);
                is_further = true;
            }
        }
        if is_further {
            self.state.seen = Some(self.position.clone());
            self.keep(&[])?;
        }
        Ok(())
    }

    fn take_halves(&mut self, place: &Place, read: &[(Record, Incoming)]) -> Result<(), Ended> {
        let (first, second) = read.split_at(read.len() / 2);
        self.take(place, first)?;
        self.take(place, second)
    }

    /// Keeps the dead letters among records, before the position goes past them (SRC-26); or
    /// says why there is one for which there is no room, and keeps none.
    fn bury(&mut self, read: &[(Record, Incoming)]) -> Result<Option<String>, Ended> {
        let (mut letters, mut more) = (Vec::new(), 0);
        for (record, incoming) in read {
            let Incoming::Dead { id, source, words } = incoming else {
                continue;
            };
            let there = self.register.dead_at(self.name, (record.part, record.at))?;
            if there
                .as_ref()
                .is_some_and(|there| there.check == record.check)
            {
                continue;
            }
            if there.is_none() {
                more += 1;
            }
            if self.state.dead + more > DEAD_MAX {
                return Ok(Some(words.clone()));
            }
            letters.push(SourceDead {
                part: record.part,
                at: record.at,
                check: record.check.clone(),
                id: short(id),
                source: short(source),
                words: short(words),
            });
        }
        if !letters.is_empty() {
            self.state.dead += more;
            self.keep(&letters)?;
        }
        Ok(None)
    }

    /// Commits entries and the position after them, in one commit (SRC-10); nothing if the space has them all.
    fn commit(
        &self,
        place: &Place,
        edits: &BTreeMap<Bytes, Edit>,
        (count, after): (usize, &Position),
    ) -> Result<Committed, Ended> {
        let Place { repo, branch } = place;
        let at = position_key(self.name);
        for _ in 0..TRIES {
            let mut transaction = repo.begin(branch)?;
            let base = position_of(transaction.get(&at)?);
            if base.as_deref().map(digest) != self.state.base {
                return Err(Ended::Changed);
            }
            let mut written = 0;
            for (key, edit) in edits {
                if is_so(transaction.get(key), edit) {
                    continue;
                }
                match transaction.edit(key.clone(), edit.clone()) {
                    Ok(()) => written += 1,
                    Err(error) => return refused(error),
                }
            }
            if written == 0 {
                return Ok(Committed::Written(0));
            }
            transaction.put(at.clone(), after.to_string())?;
            let author = self.host.author().map_err(Fault::Stopped)?;
            let message = format!("{count} records from {}", self.name);
            match transaction.commit(author, &message, self.host.now_ms()) {
                Ok(_) => {
                    self.host.committed();
                    return Ok(Committed::Written(written));
                }
                Err(RepoError::Conflict { .. } | RepoError::Contended(_)) => {}
                Err(error) => return refused(error),
            }
        }
        Err(Fault::away("the branch keeps moving").into())
    }

    /// Notes a fault, and says how long to wait.
    fn note(&mut self, fault: Fault) -> Result<Duration, SourceError> {
        // Whatever it was about to do is done anew.
        self.state = self.kept.clone();
        self.state.failures = self.state.failures.saturating_add(1);
        self.state.words = Some(short(&fault.to_string()));
        self.state.stopped = matches!(fault, Fault::Stopped(_));
        match self.keep(&[]) {
            // What somebody else said of it is not written over, and looked at at once.
            Err(SourceError::Changed(_)) => return Ok(Duration::ZERO),
            kept => kept?,
        }
        let wait = BACKOFF.wait_ms(self.state.failures, self.host.chance());
        Ok(Duration::from_millis(wait.unwrap_or_default()))
    }
}

/// What a space says of how far a source has come.
fn position_of(there: Option<Content>) -> Option<Bytes> {
    match there {
        Some(Content::Bytes(bytes)) => Some(bytes),
        _ => None,
    }
}

/// What a position is told from others by: of many parts it is long, and it may be anything.
fn digest(position: &[u8]) -> String {
    Base::Base16Lower.encode(Sha256::digest(position))
}

/// Whether a key is as an edit would leave it (SRC-14). What cannot be read is not.
fn is_so(now: Result<Option<Content>, RepoError>, edit: &Edit) -> bool {
    match (now, edit) {
        (Ok(None), Edit::Delete) => true,
        (Ok(Some(Content::Bytes(now))), Edit::Put(value)) => now == *value,
        _ => false,
    }
}

/// What the space refuses for what it is; anything else may pass, or is for a person to know.
fn refused(error: RepoError) -> Result<Committed, Ended> {
    match error {
        RepoError::Hook(_)
        | RepoError::Joins { .. }
        | RepoError::BadKey { .. }
        | RepoError::TooLong { .. }
        | RepoError::OutOfPart { .. } => Ok(Committed::Refused(error.to_string())),
        RepoError::HookFailed(_) => Ok(Committed::NotJudged(error.to_string())),
        RepoError::Refused(_) | RepoError::Denied { .. } | RepoError::Beside => {
            Err(Fault::Stopped(error.to_string()).into())
        }
        error => Err(error.into()),
    }
}
