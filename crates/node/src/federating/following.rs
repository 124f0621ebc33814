//! What a federation does when its space changes: links hear of deltas that came by other ways, entries are told as
//! deltas, and deltas are brought in as entries (FED-54).

use std::time::Duration;

use allod_deltas::{Brought, Refused, bring_while, tell_while};
use allod_federation::Federation;
use allod_feed::{Filter, Subscription};
use allod_repo::{Repo, SpaceId};
use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};

use super::register::FederatingError;
use super::settings::Shared;
use crate::clock::now_ms;
use crate::error::NodeError;
use crate::hooks::lock;
use crate::node::Node;

/// Events that are passed over at a time.
const PAGE: usize = 256;

/// How long is waited after something failed.
const AFTER_FAULT: Duration = Duration::from_secs(2);

/// What follows a space: who does, the space and how it is federated.
#[derive(Clone)]
pub(super) struct Following {
    pub(super) node: Node,
    pub(super) repo: Repo,
    pub(super) shared: Shared,
    pub(super) federation: Federation,
    pub(super) stop: watch::Receiver<bool>,
}

/// Objects and entries that were left out since a space was opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct LeftOut {
    /// Entries that were not told.
    pub(crate) told: u64,
    /// Objects that were not brought, each time that they were looked at.
    pub(crate) brought: u64,
    /// Keys that the space refused (DELTA-59).
    pub(crate) refused: u64,
    /// One of those that were refused last, and why.
    pub(crate) refusal: Option<Refused>,
}

/// Follows the moves of a space until it is to stop or the federation ends.
pub(super) async fn follow(following: Following) {
    let mut stop = following.stop.clone();
    let stops = Box::pin(async move {
        drop(stop.wait_for(|stop| *stop).await);
    });
    tokio::select! {
        () = stops => {}
        () = following.federation.closed() => {}
        () = following.moves() => {}
    }
}

impl Following {
    async fn moves(&self) {
        let mut consumer = None;
        loop {
            let done = self.round(&mut consumer).await;
            self.federation.arrived();
            // What could not be read or written now is tried again, from what is there.
            let federating = self.node.federating();
            match (done, &mut consumer) {
                (Ok(has_more), consumer) => {
                    lock(&federating.troubles).remove(&self.repo.id());
                    if let Some(consumer) = consumer.as_mut().filter(|_| !has_more) {
                        consumer.ready().await;
                    }
                }
                (Err(words), _) => {
                    lock(&federating.troubles).insert(self.repo.id(), words);
                    tokio::time::sleep(AFTER_FAULT).await;
                }
            }
        }
    }

    /// Passes over what came, tells and brings it; whether more came meanwhile.
    async fn round(&self, consumer: &mut Option<Subscription>) -> Result<bool, String> {
        self.passed(consumer).await?;
        let here = self.clone();
        // After the place in the log was taken: what comes meanwhile is seen to again, and what this writes too.
        let mut exchanging = spawn_blocking(move || here.exchange());
        let mut has_more = false;
        loop {
            let more = async {
                match consumer.as_mut() {
                    Some(consumer) => consumer.ready().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                done = &mut exchanging => return words(done).map(|()| has_more),
                () = more => {}
            }
            // What is told and brought may take long, and no link waits for it.
            has_more = true;
            if let Err(fault) = self.passed(consumer).await {
                // Never two at a time: they would write over each other.
                return words(exchanging.await).and(Err(fault));
            }
        }
    }

    /// Passes over what came, and says so to the links.
    async fn passed(&self, consumer: &mut Option<Subscription>) -> Result<(), String> {
        let (here, taken) = (self.clone(), consumer.take());
        let (at_end, has_moved) = words(spawn_blocking(move || here.pass(taken)).await)?;
        *consumer = Some(at_end);
        self.federation.arrived();
        if has_moved {
            self.node.touch();
        }
        Ok(())
    }

    /// Goes to the end of the log, and says whether the space moved. Of what was before nothing is known to one that
    /// begins.
    fn pass(&self, consumer: Option<Subscription>) -> Result<(Subscription, bool), NodeError> {
        let node = &self.node;
        let (mut consumer, mut has_moved) = match consumer {
            Some(consumer) => (consumer, false),
            None => {
                let filter = format!(
                    r#"{{"spaces":["{}"],"kinds":["commit","move"]}}"#,
                    self.repo.id()
                );
                let filter: Filter = filter.parse()?;
                (node.subscribe(node.cursor_at("now")?, filter)?, true)
            }
        };
        loop {
            let page = consumer.page(node, PAGE, usize::MAX)?;
            has_moved |= !page.events.is_empty();
            if page.is_end {
                return Ok((consumer, has_moved));
            }
        }
    }

    /// Tells and brings what is to be.
    fn exchange(&self) -> Result<(), NodeError> {
        let (repo, shared) = (&self.repo, &self.shared);
        let go_on = || !*self.stop.borrow() && !self.federation.is_closed();
        if let Some(branch) = &shared.tell {
            let deltas = self.node.deltas(repo, &shared.branch)?;
            let told = tell_while(&deltas, branch, now_ms(), &go_on)?;
            let mut all = lock(&self.node.federating().left_out);
            all.entry(repo.id()).or_default().told += told.left_out;
        }
        if let Some(setting) = &shared.bring {
            let deltas = self.node.deltas(repo, &shared.branch)?;
            let bringing = setting.bringing().map_err(FederatingError::from)?;
            let brought = bring_while(&deltas, &bringing, now_ms(), &go_on)?;
            self.node.note_brought(repo.id(), &brought);
        }
        Ok(())
    }
}

impl Node {
    /// Forgets which keys a space refused, as all of them are tried again.
    pub fn forget_refused(&self, space: SpaceId) {
        let mut all = lock(&self.federating().left_out);
        let left_out = all.entry(space).or_default();
        (left_out.refused, left_out.refusal) = (0, None);
    }

    /// Notes what was left out of a space that is brought into, so that whoever looks at it hears of it.
    pub fn note_brought(&self, space: SpaceId, brought: &Brought) {
        let mut all = lock(&self.federating().left_out);
        let left_out = all.entry(space).or_default();
        left_out.brought += brought.left_out;
        left_out.refused += brought.refused;
        if let Some(first) = brought.refusals.first() {
            left_out.refusal = Some(first.clone());
        }
    }
}

/// What work came to, or why it came to nothing.
pub(super) fn words<T>(done: Result<Result<T, NodeError>, JoinError>) -> Result<T, String> {
    match done {
        Ok(done) => done.map_err(|error| error.to_string()),
        // It panicked: the words of that are on standard error, and whoever looks at the space hears of it.
        Err(_ended) => Err("telling or bringing broke off; it is tried again".to_owned()),
    }
}
