//! How far the links of a space have come with their servers (FED-32, FED-52).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use allod_blocks::{Batch, Expect};
use allod_deltas::Cursor;
use allod_federation::{PositionStore, Positions};
use allod_repo::SpaceId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use super::register::{FederatingError, Register, encode, link_name, position_of};
use super::settings::{LinkDefinition, Shared};
use crate::hooks::lock;

/// How far the links of a space have come with their servers. Clones are handles to the same.
#[derive(Clone, Debug)]
pub(crate) struct SpacePositions {
    register: Register,
    space: Arc<str>,
    shared: Arc<Shared>,
    waiting: Arc<Mutex<Waiting>>,
}

/// What is to be written: of each address the newest.
#[derive(Debug, Default)]
struct Waiting {
    newest: BTreeMap<String, Positions>,
    is_writing: bool,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    remote: Option<String>,
    ours: Option<String>,
    theirs: Option<String>,
    /// What was sent and taken until then; with other rules what was refused is gone through again.
    #[serde(default)]
    rules: String,
}

impl SpacePositions {
    pub(super) fn new(register: Register, space: SpaceId, shared: Shared) -> Self {
        Self {
            register,
            space: space.to_string().into(),
            shared: Arc::new(shared),
            waiting: Arc::default(),
        }
    }

    /// A text that differs where other deltas may go over a link.
    fn rules(&self, link: &LinkDefinition) -> Result<String, FederatingError> {
        let shared = &self.shared;
        let of_space = (&shared.branch, &shared.trust, &shared.give, &shared.take);
        let of_link = (&link.trust, &link.push, &link.pull, &link.mode);
        let text = encode(&self.space, &(of_space, of_link))?;
        let digest = Sha256::digest(text);
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn read(&self, url: &str) -> Result<Option<Positions>, FederatingError> {
        let store = self.register.store();
        let found = store.get_ref(&position_of(&self.space, url))?;
        let kept = found.and_then(|value| serde_json::from_slice::<Kept>(&value).ok());
        let (Some(kept), Some((_, link))) = (kept, self.register.link_to(&self.space, url)?) else {
            return Ok(None);
        };
        let is_of_these = kept.rules == self.rules(&link)?;
        Ok(is_of_these.then(|| Positions {
            remote: kept.remote,
            ours: kept.ours.and_then(|text| text.parse::<Cursor>().ok()),
            theirs: kept.theirs,
        }))
    }

    /// Writes what waits, until nothing does.
    fn write_all(&self) {
        loop {
            let mut waiting = lock(&self.waiting);
            let Some((url, _)) = waiting.newest.first_key_value() else {
                waiting.is_writing = false;
                return;
            };
            let url = url.clone();
            let newest = waiting.newest.remove(&url);
            drop(waiting);
            if let Some(positions) = newest {
                // What is lost here costs some deltas that are sent again.
                drop(self.write(&url, &positions));
            }
        }
    }

    /// Durable with the next batch of the store, and no sooner than the deltas that it speaks of. Of a link that is
    /// gone, or goes meanwhile, nothing is kept.
    fn write(&self, url: &str, positions: &Positions) -> Result<(), FederatingError> {
        let store = self.register.store();
        let Some((name, link)) = self.register.link_to(&self.space, url)? else {
            return Ok(());
        };
        let Some(there) = store.get_ref(&link_name(&name))? else {
            return Ok(());
        };
        let kept = Kept {
            remote: positions.remote.clone(),
            ours: positions.ours.map(|cursor| cursor.to_string()),
            theirs: positions.theirs.clone(),
            rules: self.rules(&link)?,
        };
        let mut batch = Batch::new();
        let place = position_of(&self.space, url);
        batch.set_ref(place, Expect::Any, Some(encode(url, &kept)?));
        batch.set_ref(link_name(&name), Expect::Value(there.clone()), Some(there));
        let _done = store.commit_later(batch)?;
        Ok(())
    }
}

impl PositionStore for SpacePositions {
    fn load(&self, remote_url: &str) -> Positions {
        if let Some(positions) = lock(&self.waiting).newest.get(remote_url) {
            return positions.clone();
        }
        // One that cannot be read is as good as none: then the server is asked for what differs.
        self.read(remote_url).ok().flatten().unwrap_or_default()
    }

    /// Only notes it: this is called where frames are handled, and a store may take its time.
    fn save(&self, remote_url: &str, positions: &Positions) {
        let mut waiting = lock(&self.waiting);
        let newest = &mut waiting.newest;
        newest.insert(remote_url.to_owned(), positions.clone());
        if waiting.is_writing {
            return;
        }
        waiting.is_writing = true;
        drop(waiting);
        let here = self.clone();
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || here.write_all())),
            Err(_) => here.write_all(),
        }
    }
}
