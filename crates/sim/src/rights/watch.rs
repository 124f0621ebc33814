//! Who may read what, and whether what a node hands over has anything else in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use allod_access::{Op, Principal, Request, Target};
use allod_blocks::{Cid, Codec, file_links};
use allod_identity::AgentId;
use allod_repo::{BranchName, CommitId, Heads, Repo, RightsNow, StateRef};
use allod_sync::Message;
use allod_tree::Node;
use bytes::Bytes;

use crate::keys::words;
use crate::rng::Rng;

/// Bytes by which a secret or a digest is known in a frame: the last of it, as trees may keep the first ones apart.
const TOKEN_BYTES: usize = 24;

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Prefixes of keys that a session serves by themselves to who may read no more of a branch: none but the one of all keys
/// (SYNC-60).
const SERVED: [&[u8]; 1] = [b""];

type Token = [u8; TOKEN_BYTES];

/// What somebody may read: the branches, each with prefixes of the keys.
pub(super) type Reads = BTreeSet<(BranchName, Vec<u8>)>;

/// What a token belongs to, within a commit.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    /// The commit as such.
    Commit,
    /// A node of its tree.
    Node,
    /// An entry, with what it links to.
    Entry(Bytes),
}

impl Part {
    /// Whether who may read what begins so may have it.
    fn is_within(&self, prefix: &[u8]) -> bool {
        match self {
            Self::Commit => true,
            Self::Node => prefix.is_empty(),
            Self::Entry(key) => key.starts_with(prefix),
        }
    }
}

/// All that was planted or made in a world, and where it is.
pub(super) struct Watch {
    /// Where each token is; what was planted and never committed is nowhere.
    homes: HashMap<Token, Vec<(CommitId, Part)>>,
    /// Whether one begins with two bytes: most of what is looked at is none.
    begins: Vec<bool>,
    /// Each commit, with the branch that it was made on and its parents.
    pub(super) commits: BTreeMap<CommitId, (BranchName, Vec<CommitId>)>,
    /// The names of all that each commit leads to, in an order in which it can be opened.
    pub(super) names: BTreeMap<CommitId, Vec<Cid>>,
    known: BTreeMap<(usize, AgentId), Readable>,
}

/// What somebody may have of what a node knows, as it was looked up last.
struct Readable {
    rights: RightsNow,
    offered: Vec<(BranchName, Heads)>,
    at: u64,
    /// For each prefix the commits whose entries may be had so far.
    commits: BTreeMap<Vec<u8>, BTreeSet<CommitId>>,
}

/// Who hands something over to whom, and when by the clock of the former.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) from: (usize, &'a Repo),
    pub(super) to: AgentId,
    pub(super) at: u64,
    /// Whether it is said before the receiver has named its agent.
    pub(super) is_first: bool,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            homes: HashMap::new(),
            begins: vec![false; 1 << 16],
            commits: BTreeMap::new(),
            names: BTreeMap::new(),
            known: BTreeMap::new(),
        }
    }

    /// A new secret.
    pub(super) fn plant(&mut self, rng: &mut Rng) -> Vec<u8> {
        let secret = rng.bytes(SECRET_BYTES);
        self.know(token_of(&secret));
        secret
    }

    fn know(&mut self, token: Token) -> &mut Vec<(CommitId, Part)> {
        self.begins[begin_of(&token)] = true;
        self.homes.entry(token).or_default()
    }

    /// Notes what a node has made: each commit that is new, with all that it leads to. How many there are.
    pub(super) fn note(&mut self, repo: &Repo) -> Result<u64, String> {
        let mut count = 0;
        let offered = repo.offered().map_err(words)?;
        let mut open: Vec<CommitId> = offered.into_iter().flat_map(|(_, all)| all).collect();
        while let Some(id) = open.pop() {
            if self.commits.contains_key(&id) {
                continue;
            }
            let commit = repo.commit(id).map_err(words)?;
            let said = commit.payload();
            open.extend(&said.parents);
            self.commits
                .insert(id, (said.branch.clone(), said.parents.clone()));
            self.find(repo, id, said.tree)?;
            count += 1;
        }
        Ok(count)
    }

    /// Notes all that a commit leads to.
    fn find(&mut self, repo: &Repo, id: CommitId, tree: Cid) -> Result<(), String> {
        let mut names = vec![*id.cid()];
        self.know(token_of(&id.cid().to_bytes()))
            .push((id, Part::Commit));
        let mut open = vec![(tree, Part::Node)];
        while let Some((cid, part)) = open.pop() {
            names.push(cid);
            self.know(token_of(&cid.to_bytes()))
                .push((id, part.clone()));
            let block = repo.store().get(&cid).map_err(words)?;
            let block = block.ok_or_else(|| format!("{cid} of {id} is not here"))?;
            if part != Part::Node {
                self.find_secrets(block.bytes(), (id, &part));
                let links = file_links(&block).map_err(words)?.into_iter();
                open.extend(links.map(|link| (link, part.clone())));
                continue;
            }
            let node = Node::decode(block.bytes()).map_err(words)?;
            if !node.is_leaf() {
                let links = (0..node.len()).filter_map(|at| node.link(at));
                open.extend(links.map(|link| (link, Part::Node)));
                continue;
            }
            for (key, entry) in node.entries() {
                let part = Part::Entry(key.clone());
                self.find_secrets(&key, (id, &part));
                self.find_secrets(&entry, (id, &part));
                let (_, state) = StateRef::decode(&entry).map_err(words)?;
                if let StateRef::Link(cid) = state {
                    open.push((cid, part));
                }
            }
        }
        self.names.insert(id, names);
        Ok(())
    }

    /// Notes where planted secrets are. Of what is none nothing is known: digests in what is linked to are of other blocks.
    fn find_secrets(&mut self, bytes: &[u8], (id, part): (CommitId, &Part)) {
        for token in self.tokens_in(bytes) {
            if let Some(homes) = self.homes.get_mut(&token)
                && !homes.iter().any(|(of, at)| *of == id && at == part)
            {
                homes.push((id, part.clone()));
            }
        }
    }

    /// The tokens that are anywhere in some bytes.
    fn tokens_in(&self, bytes: &[u8]) -> Vec<Token> {
        let mut found = Vec::new();
        for window in bytes.windows(TOKEN_BYTES) {
            if !self.begins[begin_of(window)] {
                continue;
            }
            let Ok(token) = Token::try_from(window) else {
                continue;
            };
            if self.homes.contains_key(&token) {
                found.push(token);
            }
        }
        found
    }

    /// Looks at a frame that is handed over; `heard` is what the sender was told in the same session. What it has in it that its
    /// receiver may not read is told in words.
    pub(super) fn look(
        &mut self,
        frame: &Bytes,
        heard: &[Bytes],
        way: Way<'_>,
    ) -> Result<(), String> {
        let mut found = self.tokens_in(frame);
        let contents = contents_of(frame);
        found.extend(contents.iter().filter(|it| self.homes.contains_key(*it)));
        if found.is_empty() {
            return Ok(());
        }
        self.look_up(way)?;
        let key = (way.from.0, way.to);
        let Some(readable) = self.known.get(&key) else {
            return Ok(());
        };
        for token in found {
            let homes = self.homes.get(&token).into_iter().flatten();
            let mut homes = homes.map(|(id, part)| (*id, part));
            if homes.any(|(id, part)| readable.has(id, part)) {
                continue;
            }
            let may_be_named = way.is_first && self.may_be_named(&token, &readable.rights);
            let is_content = contents.contains(&token);
            if may_be_named || self.was_told(&token, heard, is_content) {
                continue;
            }
            let what = self.words(&token);
            let number = way.from.0;
            let kind = kind_of(frame);
            return Err(format!(
                "node {number} gives {} {what} in {kind}, which they may not read",
                way.to
            ));
        }
        Ok(())
    }

    /// SYNC-61: whoever says hello first names commits of `meta`, and of others where nothing says who may read what.
    fn may_be_named(&self, token: &Token, rights: &RightsNow) -> bool {
        let homes = self.homes.get(token).into_iter().flatten();
        let mut homes = homes.filter(|(_, part)| *part == Part::Commit);
        homes.any(|(id, _)| rights.is_plain() || self.is_of_meta(*id))
    }

    fn is_of_meta(&self, id: CommitId) -> bool {
        let of = self.commits.get(&id);
        of.is_some_and(|(branch, _)| branch.is_meta())
    }

    /// Whether the receiver said it itself in the session: that it has a content, or a name.
    fn was_told(&self, token: &Token, heard: &[Bytes], is_content: bool) -> bool {
        heard.iter().any(|frame| {
            let has_content = contents_of(frame).contains(token);
            has_content || (!is_content && self.tokens_in(frame).contains(token))
        })
    }

    fn words(&self, token: &Token) -> String {
        let homes = self.homes.get(token).into_iter().flatten();
        let homes = homes.map(|(id, part)| {
            let branch = self.commits.get(id).map(|(branch, _)| branch.as_str());
            let what = match part {
                Part::Commit => "the name or content of",
                Part::Node => "a node of",
                Part::Entry(_) => "what is in",
            };
            format!("{what} {} on {}", id.short(), branch.unwrap_or("?"))
        });
        homes
            .last()
            .unwrap_or_else(|| "what nobody committed".to_owned())
    }

    /// What somebody may have all of, of what a node has: what stands on branches that they may read or was made on them, and all
    /// before it.
    pub(super) fn readable_of(
        &self,
        way: Way<'_>,
        stood: &BTreeMap<BranchName, BTreeSet<CommitId>>,
    ) -> Result<BTreeSet<CommitId>, String> {
        let rights = way.from.1.authorizer().map_err(words)?;
        let made_on = self.commits.values().map(|(branch, _)| branch);
        let reads = reads(&rights, &way.to, way.at, made_on.chain(stood.keys()));
        let mut may = BTreeSet::new();
        for (branch, prefix) in &reads {
            if prefix.is_empty() {
                may.extend(stood.get(branch).into_iter().flatten());
                let all = stood.values().flatten();
                self.add_made_on(branch, all, &mut may);
            }
        }
        Ok(may)
    }

    /// Adds those of some commits that were made on a branch, and all before them.
    pub(super) fn add_made_on<'a>(
        &self,
        branch: &BranchName,
        of: impl Iterator<Item = &'a CommitId>,
        to: &mut BTreeSet<CommitId>,
    ) {
        let is_of = |id: &&CommitId| self.commits.get(*id).is_some_and(|it| it.0 == *branch);
        let mut below = BTreeSet::new();
        self.add_below(of.filter(is_of), &mut below);
        to.append(&mut below);
    }

    fn look_up(&mut self, way: Way<'_>) -> Result<(), String> {
        let (number, repo) = way.from;
        let rights = repo.authorizer().map_err(words)?;
        let offered = repo.offered().map_err(words)?;
        if let Some(known) = self.known.get(&(number, way.to))
            && known.rights.is_same(&rights)
            && known.offered == offered
            && known.at == way.at
        {
            return Ok(());
        }
        // Of a branch there may be commits alone, in the history of others.
        let made_on = self.commits.values().map(|(branch, _)| branch);
        let names: BTreeSet<_> = offered
            .iter()
            .map(|(name, _)| name)
            .chain(made_on)
            .collect();
        let reads = reads(&rights, &way.to, way.at, names.into_iter());
        let mut commits: BTreeMap<Vec<u8>, BTreeSet<CommitId>> = BTreeMap::new();
        for (branch, prefix) in &reads {
            let heads = offered.iter().filter(|(name, _)| name == branch);
            let of = commits.entry(prefix.clone()).or_default();
            self.add_below(heads.flat_map(|(_, heads)| heads), of);
        }
        // What was made on a branch may be asked for by its name, wherever it stands (SYNC-63).
        for (branch, prefix) in reads {
            let made = self.commits.iter();
            let made = made.filter(|(_, (made_on, _))| *made_on == branch);
            let of = commits.entry(prefix).or_default();
            of.extend(made.map(|(id, _)| *id));
        }
        let readable = Readable {
            rights,
            offered,
            at: way.at,
            commits,
        };
        self.known.insert((number, way.to), readable);
        Ok(())
    }

    /// Adds commits, and all before them.
    pub(super) fn add_below<'a>(
        &self,
        heads: impl IntoIterator<Item = &'a CommitId>,
        to: &mut BTreeSet<CommitId>,
    ) {
        let mut open: Vec<CommitId> = heads.into_iter().copied().collect();
        while let Some(id) = open.pop() {
            if to.insert(id)
                && let Some((_, parents)) = self.commits.get(&id)
            {
                open.extend(parents);
            }
        }
    }
}

impl Readable {
    fn has(&self, id: CommitId, part: &Part) -> bool {
        let mut commits = self.commits.iter();
        commits.any(|(prefix, commits)| part.is_within(prefix) && commits.contains(&id))
    }
}

/// What somebody may read at a time (SYNC-60, ACCESS-22).
pub(super) fn reads<'a>(
    rights: &RightsNow,
    agent: &AgentId,
    at: u64,
    branches: impl Iterator<Item = &'a BranchName>,
) -> Reads {
    let who = &Principal::agent(*agent);
    let mut reads = Reads::new();
    if !rights.knows(who, at) {
        return reads;
    }
    reads.insert((BranchName::meta(), Vec::new()));
    for branch in branches.filter(|it| !it.is_meta()) {
        for prefix in SERVED {
            let request = Request {
                who,
                op: Op::Read,
                branch: branch.as_str(),
                target: Target::Prefix(prefix),
                at,
            };
            if rights.check(&request).is_allowed() {
                reads.insert((branch.clone(), prefix.to_vec()));
            }
        }
    }
    reads
}

fn begin_of(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

fn token_of(bytes: &[u8]) -> Token {
    let mut token = [0; TOKEN_BYTES];
    let from = bytes.len().saturating_sub(TOKEN_BYTES);
    token.copy_from_slice(&bytes[from..]);
    token
}

/// The names of what a frame has the content of.
fn contents_of(frame: &Bytes) -> Vec<Token> {
    let contents = match Message::decode(frame) {
        Ok(Message::Commit { statement, .. }) => vec![statement],
        Ok(Message::Blocks { blocks, .. }) => blocks,
        _ => Vec::new(),
    };
    let name = |bytes: &Bytes| allod_blocks::sha256_cid(Codec::Raw, bytes).to_bytes();
    contents.iter().map(|it| token_of(&name(it))).collect()
}

/// What sort of message a frame is, for people.
fn kind_of(frame: &Bytes) -> String {
    let told = format!("{:?}", Message::decode(frame));
    let word = told.trim_start_matches("Ok(").split([' ', '(']).next();
    format!("a message {}", word.unwrap_or("?"))
}
