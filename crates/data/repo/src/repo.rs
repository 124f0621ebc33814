//! A handle on one space: its branches, their states, and what is staged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allod_blocks::{Batch, BatchOutcome, Cid, Expect, REF_VALUE_BYTES_MAX, Store};
use allod_identity::{AgentId, DeviceId, SecretKey, Signed, Verified, canonical};
use allod_tree::{Forest, Tree};
use bytes::Bytes;

use crate::accept::RecentChanges;
use crate::agents::{Agents, spoke, statement_block};
use crate::beside::Judge;
use crate::error::{Refusal, Rejected, RepoError};
use crate::event::RefMove;
use crate::history::{AtHand, ByCommit};
use crate::hooks::PreCommit;
use crate::ids::{BranchName, CommitId, SpaceId};
use crate::joining::Joins;
use crate::kinds::KnownKinds;
use crate::layout;
use crate::part::{Kept, KnownParts, Part};
use crate::rights::{KnownRights, OnDenial};
use crate::stamp::{Clock, Stamp};
use crate::statements::{Commit, Genesis};
use crate::timing::Timings;
use crate::view::View;
use crate::work::Staged;

/// The most heads of a branch.
pub const HEADS_MAX: usize = 256;

/// The most heads of all branches of a space: what one hello of a session can list.
pub const HEADS_TOTAL_MAX: usize = 16_384;

/// The most branches of a space.
pub const BRANCHES_MAX: usize = 1024;

/// Decoded commits kept at hand; a commit is under 1 KiB, so this is a few MiB.
const COMMITS_CACHED: usize = 8192;

/// Open trees kept at hand; all share one budget of nodes.
const TREES_CACHED: usize = 64;

/// Bytes of nodes that all trees of a space keep in memory: what a million small records with an index
/// take, so that looking them up in any order waits for no disk.
const NODES_BYTES: usize = 256 * 1024 * 1024;

/// Who writes: an agent, and the device key that signs for it.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The agent.
    pub agent: AgentId,
    /// The signing key of one of its devices.
    pub key: &'a SecretKey,
}

/// The heads of a branch.
pub type Heads = BTreeSet<CommitId>;

/// One space in a store. Cheap to clone; clones share their caches.
#[derive(Clone)]
pub struct Repo {
    pub(crate) inner: Arc<Inner>,
    pub(crate) timings: Option<Timings>,
    pub(crate) hook: Option<Arc<PreCommit>>,
    pub(crate) judge: Option<Arc<Judge>>,
    pub(crate) on_denial: Option<Arc<OnDenial>>,
    /// Who changes values that join through this handle.
    pub(crate) device: Option<DeviceId>,
    /// What is to be kept, for handles on that.
    pub(crate) as_part: Option<Arc<Part>>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) id: SpaceId,
    pub(crate) genesis: Verified<Genesis>,
    pub(crate) agents: Agents,
    /// How much was learned of agents when it was last decided which commits count.
    pub(crate) heeded: AtomicU64,
    pub(crate) clock: Mutex<Clock>,
    pub(crate) staged: Mutex<BTreeMap<BranchName, Arc<Staged>>>,
    commits: Mutex<Commits>,
    pub(crate) graph: Mutex<AtHand>,
    forest: Forest,
    trees: Mutex<Vec<(Cid, Tree)>>,
    pub(crate) joins: Mutex<Joins>,
    pub(crate) changes: Mutex<RecentChanges>,
    /// Samples below some commits.
    pub(crate) samples: Mutex<BTreeMap<CommitId, Vec<CommitId>>>,
    pub(crate) kinds: Mutex<KnownKinds>,
    pub(crate) declared: Mutex<KnownParts>,
    pub(crate) rights: KnownRights,
    /// What is kept of the space, if not all is.
    pub(crate) part: Mutex<Option<Arc<Part>>>,
}

/// Commits at hand. Void once a collection of garbage removed marks.
#[derive(Default)]
struct Commits {
    by_id: ByCommit<Arc<Verified<Commit>>>,
    sweeps: u64,
}

impl fmt::Debug for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repo")
            .field("space", &self.inner.id)
            .finish_non_exhaustive()
    }
}

/// A lock whose data is a cache or a clock: sound whatever a panicking holder did.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Repo {
    /// Begins a space: signs its genesis and keeps it, with an empty `main`.
    ///
    /// `author` must act for `genesis.owner`, and the store must know its key log.
    pub fn create(
        store: Arc<dyn Store>,
        genesis: Genesis,
        author: Author<'_>,
    ) -> Result<Self, RepoError> {
        let signed = Verified::sign(author.key, genesis)
            .map_err(|_error| Refusal::Malformed("a space's name has 1 to 128 bytes"))?;
        match Self::adopt(store, signed.bytes().clone()) {
            Ok(repo) => Ok(repo),
            Err(Rejected::Fault(fault)) => Err(fault),
            Err(Rejected::Refused(refusal)) => Err(refusal.into()),
        }
    }

    /// Keeps a space that somebody else began. The owner's key log must be known (REPO-13).
    pub fn adopt(store: Arc<dyn Store>, genesis: Bytes) -> Result<Self, Rejected> {
        Self::adopt_part(store, genesis, None)
    }

    /// Keeps a part of a space that somebody else began, or all of it. Of a space that is here already it
    /// keeps what it kept.
    pub fn adopt_part(
        store: Arc<dyn Store>,
        genesis: Bytes,
        part: Option<&Part>,
    ) -> Result<Self, Rejected> {
        let signed = Signed::<Genesis>::decode(genesis)
            .map_err(|_error| Refusal::Malformed("a genesis does not decode"))?;
        let genesis = signed.verify().map_err(|_error| Refusal::Signature)?;
        let log = Agents::new(Arc::clone(&store)).key_log(&genesis.payload().owner)?;
        if !spoke(&log, genesis.signer()) {
            return Err(Refusal::Device.into());
        }
        let id = SpaceId::from_cid(*genesis.cid());
        let mut batch = Batch::new();
        batch.put(statement_block(&genesis)?);
        batch.set_ref(layout::space(id), Expect::Any, Some(Bytes::new()));
        let is_new = store.get_ref(&layout::space(id))?.is_none();
        if let Some(part) = part.filter(|_| is_new) {
            let now = Some(part.clone());
            Kept { now, next: None }.put(id, &mut batch)?;
        }
        let _outcome = store.commit(batch)?;
        Ok(Self::open(store, id)?)
    }

    /// Opens a space of the store.
    pub fn open(store: Arc<dyn Store>, id: SpaceId) -> Result<Self, RepoError> {
        let agents = Agents::new(Arc::clone(&store));
        Self::open_with(store, id, agents)
    }

    /// The same, with key logs that others look at too: what one learns is known to all at once.
    pub fn open_with(
        store: Arc<dyn Store>,
        id: SpaceId,
        agents: Agents,
    ) -> Result<Self, RepoError> {
        if store.get_ref(&layout::space(id))?.is_none() {
            return Err(RepoError::NoSpace(id));
        }
        let block = store.get(id.cid())?.ok_or(RepoError::Missing(*id.cid()))?;
        let part = Kept::stored(store.as_ref(), id)?.now.map(Arc::new);
        let genesis = Signed::<Genesis>::decode(block.into_bytes())
            .ok()
            .and_then(|signed| signed.verify().ok())
            .ok_or(RepoError::Damaged("its genesis does not verify"))?;
        let repo = Self {
            inner: Arc::new(Inner {
                agents,
                // Whether it was decided before it was opened nobody knows.
                heeded: AtomicU64::new(u64::MAX),
                forest: Forest::over(Arc::clone(&store), NODES_BYTES),
                store,
                id,
                genesis,
                clock: Mutex::default(),
                staged: Mutex::default(),
                commits: Mutex::default(),
                graph: Mutex::default(),
                trees: Mutex::default(),
                joins: Mutex::default(),
                changes: Mutex::default(),
                samples: Mutex::default(),
                kinds: Mutex::default(),
                declared: Mutex::default(),
                rights: KnownRights::default(),
                part: Mutex::new(part),
            }),
            timings: None,
            hook: None,
            judge: None,
            on_denial: None,
            device: None,
            as_part: None,
        };
        for (branch, mut heads) in repo.branches()? {
            while let Err(error) = repo.observe_all(&heads) {
                // Somebody may have removed the branch meanwhile, and then its commits.
                let now = repo.heads(&branch)?;
                if now == heads {
                    return Err(error);
                }
                heads = now;
            }
        }
        for tracking in repo.tracking(None)? {
            // What was forgotten meanwhile may be gone; nothing here follows it.
            match repo.observe_all(&tracking.heads) {
                Ok(()) | Err(RepoError::NoCommit(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(repo)
    }

    fn observe_all(&self, heads: &Heads) -> Result<(), RepoError> {
        for head in heads {
            self.observe(self.commit(*head)?.payload().stamp);
        }
        Ok(())
    }

    /// The spaces of a store.
    pub fn spaces(store: &dyn Store) -> Result<Vec<SpaceId>, RepoError> {
        let mut spaces = Vec::new();
        let mut after: Option<Bytes> = None;
        loop {
            let page = store.scan_refs(layout::SPACES, after.as_deref(), 256)?;
            let Some((last, _)) = page.last() else {
                return Ok(spaces);
            };
            after = Some(last.clone());
            for (name, _) in &page {
                let cid = Cid::try_from(&name[layout::SPACES.len()..])
                    .map_err(|_error| RepoError::Damaged("a space's name is no CID"))?;
                spaces.push(SpaceId::from_cid(cid));
            }
        }
    }

    /// The space's id.
    #[must_use]
    pub fn id(&self) -> SpaceId {
        self.inner.id
    }

    /// How the space began.
    #[must_use]
    pub fn genesis(&self) -> &Verified<Genesis> {
        &self.inner.genesis
    }

    /// The store that the space is in.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The key logs known here.
    #[must_use]
    pub fn agents(&self) -> &Agents {
        &self.inner.agents
    }

    /// All branches with their heads, in name order.
    pub fn branches(&self) -> Result<Vec<(BranchName, Heads)>, RepoError> {
        self.by_branch(&layout::heads(self.inner.id))
    }

    /// The commits that references with this prefix name, each for the branch whose name follows.
    pub(crate) fn by_branch(&self, prefix: &[u8]) -> Result<Vec<(BranchName, Heads)>, RepoError> {
        let page = self.inner.store.scan_refs(prefix, None, BRANCHES_MAX)?;
        page.iter()
            .map(|(name, value)| {
                let name = std::str::from_utf8(&name[prefix.len()..])
                    .ok()
                    .and_then(|name| name.parse().ok())
                    .ok_or(RepoError::Damaged("a stored branch name is malformed"))?;
                Ok((name, decode_heads(value)?))
            })
            .collect()
    }

    /// The heads of a branch; empty for one without commits.
    pub fn heads(&self, branch: &BranchName) -> Result<Heads, RepoError> {
        self.read_heads(branch).map(|(_, heads)| heads)
    }

    pub(crate) fn read_heads(
        &self,
        branch: &BranchName,
    ) -> Result<(Option<Bytes>, Heads), RepoError> {
        let raw = self
            .inner
            .store
            .get_ref(&layout::head(self.inner.id, branch))?;
        let heads = raw
            .as_ref()
            .map(decode_heads)
            .transpose()?
            .unwrap_or_default();
        Ok((raw, heads))
    }

    /// Makes a branch that starts at `heads`, all of which must be commits of this space.
    ///
    /// Fails with [`RepoError::BranchExists`]; [`RepoError::NameTaken`] if a branch or tag has the name but for its case;
    /// [`RepoError::NotCounting`]; or [`RepoError::MadeElsewhere`] where a branch begins with a commit
    /// ([`begin_branch`](Self::begin_branch)).
    pub fn create_branch(&self, name: &BranchName, heads: &Heads) -> Result<(), RepoError> {
        if name.is_meta() {
            return Err(RepoError::BranchExists(name.clone()));
        }
        let _hold = self.inner.store.uses().hold();
        for head in heads {
            self.state_root(*head)?;
            self.observe(self.commit(*head)?.payload().stamp);
        }
        if self.read_heads(name)?.0.is_some() {
            return Err(RepoError::BranchExists(name.clone()));
        }
        self.check_name(name.as_str())?;
        self.check_counting(heads)?;
        self.check_made_on(name, heads)?;
        self.check_forward(name, &Heads::new(), heads)?;
        if self.branches()?.len() >= BRANCHES_MAX {
            return Err(RepoError::TooLong {
                what: "the list of branches",
                limit: BRANCHES_MAX,
            });
        }
        let mut batch = Batch::new();
        let reference = layout::head(self.inner.id, name);
        for head in heads {
            self.rely_on(*head, &mut batch)?;
        }
        batch.set_ref(reference, Expect::Absent, Some(encode_heads(heads)?));
        let made = RefMove::new(self.id(), name, &Heads::new(), heads).of_commits_here();
        batch.append(made.encode()?);
        match self.inner.store.commit(batch)? {
            BatchOutcome::Done { .. } => Ok(()),
            BatchOutcome::Moved { .. } => {
                for head in heads {
                    self.commit(*head)?;
                }
                Err(RepoError::BranchExists(name.clone()))
            }
        }
    }

    /// A commit that was made or accepted here. Its signature is checked when it is read.
    ///
    /// That a block with its name is in the store does not make it one: peers fill the store too.
    pub fn commit(&self, id: CommitId) -> Result<Arc<Verified<Commit>>, RepoError> {
        let sweeps = self.inner.store.uses().sweeps();
        if let Some(commit) = self.commit_at_hand(id, sweeps) {
            return Ok(commit);
        }
        let mark = layout::commit(self.inner.id, id);
        if self.inner.store.get_ref(&mark)?.is_none() {
            return Err(RepoError::NoCommit(id));
        }
        let block = self.inner.store.get(id.cid())?;
        let block = block.ok_or(RepoError::Missing(*id.cid()))?;
        let commit = Signed::<Commit>::decode(block.into_bytes())
            .map_err(|_error| RepoError::Damaged("a stored commit does not decode"))?
            .verify()
            .map_err(|_error| RepoError::Damaged("a stored commit does not verify"))?;
        if commit.payload().space != self.inner.id {
            return Err(RepoError::NoCommit(id));
        }
        let commit = Arc::new(commit);
        self.keep_commit(Arc::clone(&commit), sweeps);
        Ok(commit)
    }

    /// Keeps at hand a commit that was in the store when `sweeps` were counted, or since.
    pub(crate) fn keep_commit(&self, commit: Arc<Verified<Commit>>, sweeps: u64) {
        let mut cache = lock(&self.inner.commits);
        if cache.by_id.len() >= COMMITS_CACHED {
            cache.by_id.clear();
        }
        // What was read before a sweep says nothing about what is there after it.
        if cache.sweeps == sweeps {
            cache
                .by_id
                .insert(CommitId::from_cid(*commit.cid()), commit);
        }
    }

    /// Lets go of commits and key logs that are at hand, so that they are read and verified anew.
    pub(crate) fn forget(&self) {
        lock(&self.inner.commits).by_id.clear();
        self.forget_graph();
        self.inner.agents.forget();
    }

    fn commit_at_hand(&self, id: CommitId, sweeps: u64) -> Option<Arc<Verified<Commit>>> {
        let mut cache = lock(&self.inner.commits);
        if cache.sweeps != sweeps {
            cache.by_id.clear();
            cache.sweeps = sweeps;
        }
        let commit = cache.by_id.get(&id)?;
        self.inner.store.uses().touch(id.cid());
        Some(Arc::clone(commit))
    }

    /// Adds to `batch` that `commit` is one here still: for a batch that makes something depend on
    /// a commit which the references it expects need not reach (REPO-66).
    pub(crate) fn rely_on(&self, commit: CommitId, batch: &mut Batch) -> Result<(), RepoError> {
        let mark = layout::commit(self.inner.id, commit);
        // A batch names a reference once (BLOCKS-26): the mark that it sets, it can rely on.
        if batch.refs().iter().all(|edit| edit.name != mark) {
            // If it is gone already, the batch is to fail.
            let there = self.inner.store.get_ref(&mark)?.unwrap_or_default();
            batch.set_ref(mark, Expect::Value(there.clone()), Some(there));
        }
        Ok(())
    }

    /// Whether a commit was accepted here.
    pub fn has_commit(&self, id: CommitId) -> Result<bool, RepoError> {
        match self.commit(id) {
            Ok(_) => Ok(true),
            Err(RepoError::NoCommit(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The tree with this root, read from the store as it is used.
    pub fn tree(&self, root: Cid) -> Result<Tree, RepoError> {
        let mut trees = lock(&self.inner.trees);
        let tree = match trees.iter().position(|(known, _)| *known == root) {
            Some(at) => trees.remove(at).1,
            None => self.inner.forest.open(root)?,
        };
        keep(&mut trees, &tree);
        Ok(tree)
    }

    /// A state by its tree alone, without commits.
    #[must_use]
    pub fn view(&self, tree: Tree) -> View {
        View::new(self.clone(), Heads::new(), tree)
    }

    /// Keeps at hand a tree whose blocks have just been stored.
    pub fn keep_tree(&self, tree: &Tree) {
        let settled = self.inner.forest.settle(tree);
        keep(&mut lock(&self.inner.trees), &settled);
    }

    /// The state of a branch: the join of the trees of its heads (REPO-6).
    pub fn state(&self, branch: &BranchName) -> Result<View, RepoError> {
        self.together(&self.heads(branch)?)
    }

    /// The state of commits together: the join of their trees (REPO-5), or of none an empty one.
    pub fn together(&self, commits: &Heads) -> Result<View, RepoError> {
        let (tree, _) = self.joined(commits)?;
        let part = match commits.first() {
            Some(first) if self.part().is_some() => {
                self.part_of(&self.commit(*first)?.payload().branch)
            }
            _ => None,
        };
        Ok(View::new(self.clone(), commits.clone(), tree).with_part(part))
    }

    /// The state that a commit signed, as far as it is kept here.
    ///
    /// # Errors
    /// [`RepoError::Bare`] if only its statement is.
    pub fn at(&self, commit: CommitId) -> Result<View, RepoError> {
        self.together(&Heads::from([commit]))
    }

    /// The content of a raw block.
    pub(crate) fn raw(&self, cid: &Cid) -> Result<Bytes, RepoError> {
        let block = self.inner.store.get(cid)?;
        Ok(block.ok_or(RepoError::Missing(*cid))?.into_bytes())
    }

    /// Takes note of a stamp made elsewhere.
    pub(crate) fn observe(&self, stamp: Stamp) {
        lock(&self.inner.clock).observe(stamp);
    }

    /// A new stamp (REPO-8).
    pub(crate) fn tick(&self, now_ms: u64) -> Stamp {
        lock(&self.inner.clock).tick(now_ms)
    }
}

fn keep(trees: &mut Vec<(Cid, Tree)>, tree: &Tree) {
    trees.retain(|(root, _)| *root != tree.root());
    if trees.len() >= TREES_CACHED {
        trees.remove(0);
    }
    trees.push((tree.root(), tree.clone()));
}

pub(crate) fn encode_heads(heads: &Heads) -> Result<Vec<u8>, RepoError> {
    let heads: Vec<CommitId> = heads.iter().copied().collect();
    canonical::encode(&heads).map_err(|_error| RepoError::Damaged("heads do not encode"))
}

pub(crate) fn decode_heads(value: &Bytes) -> Result<Heads, RepoError> {
    let heads: Vec<CommitId> = canonical::decode(value, REF_VALUE_BYTES_MAX)
        .map_err(|_error| RepoError::Damaged("stored heads do not decode"))?;
    Ok(heads.into_iter().collect())
}
