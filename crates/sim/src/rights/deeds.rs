//! What people write and say in such a world.

use allod_access::{Command, Facts, Member, On, Op, Policy, Rule};
use allod_blocks::{Cid, FileProfile, add_file};
use allod_identity::Verified;
use allod_repo::{
    Author, BranchName, Commit, CommitId, Edit, Entry, Granting, Heads, MergeOptions, Outcome,
    Rejected, Repo, Stamp, State,
};
use bytes::Bytes;

use crate::keys::words;

use super::people::Role;
use super::{BRANCHES, RightsWorld, on, rule};

/// Files are cut small, so that a short one has an index.
const PROFILE: FileProfile = FileProfile {
    chunk_bytes: 1_000,
    links: 4,
};

/// What names of versions consist of.
const HEX: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
];

/// Who writes with which device.
macro_rules! author {
    ($world:expr, $node:expr) => {
        Author {
            agent: $world.agent($node),
            key: &$world.nodes[$node].device,
        }
    };
}

impl RightsWorld {
    /// A node writes a key, or deletes one.
    pub(super) fn write(&mut self, node: usize, branch: &str) -> Result<(), String> {
        let (now, branch) = (self.clock(node), on(branch)?);
        let key = self.key();
        let edit = self.value(node)?;
        let repo = self.nodes[node].repo.clone();
        let made = repo.transact(&branch, author!(self, node), "write", (2, now), |tx| {
            tx.edit(key.clone(), edit.clone())
        });
        self.tally(node, made).map(drop)
    }

    /// One of few keys, or one that has a secret in it.
    fn key(&mut self) -> Bytes {
        let first = ["docs/", "notes/", "user:mia:", "user:eve:", "z"];
        let mut key = first[self.rng.index(first.len())].as_bytes().to_vec();
        key.push(b'0' + self.rng.below(4) as u8);
        if self.rng.chance(40) {
            self.summary.secrets += 1;
            key.extend(self.watch.plant(&mut self.rng));
        }
        key.into()
    }

    /// A value with secrets in it, short or long, or a file of several blocks with one in each; or none.
    fn value(&mut self, node: usize) -> Result<Edit, String> {
        let length = match self.rng.below(10) {
            0 => return Ok(Edit::Delete),
            1..7 => 1,
            7..9 => 45,
            _ => 180,
        };
        let mut value = Vec::new();
        for number in 0..length {
            // A secret, and what everybody could guess.
            if number % 20 == 0 {
                self.summary.secrets += 1;
                value.extend(self.watch.plant(&mut self.rng));
            } else {
                value.extend([b' '; 32]);
            }
        }
        if length < 180 {
            return Ok(Edit::Put(value.into()));
        }
        let store = self.nodes[node].repo.store();
        let added = add_file(store.as_ref(), PROFILE, &mut &value[..], &mut |_| {});
        Ok(Edit::Link(added.map_err(words)?.cid))
    }

    /// A branch is begun, or another one is merged into it.
    pub(super) fn move_branch(&mut self, node: usize, name: &str) -> Result<(), String> {
        let (now, branch) = (self.clock(node), on(name)?);
        let from = on(BRANCHES[self.rng.index(BRANCHES.len())])?;
        let repo = self.nodes[node].repo.clone();
        let theirs = repo.heads(&from).map_err(words)?;
        if theirs.is_empty() || from == branch {
            return Ok(());
        }
        let author = author!(self, node);
        if repo.heads(&branch).map_err(words)?.is_empty() {
            let begun = repo.begin_branch(&branch, &theirs, (author, "begin"), now);
            self.summary.moved += u64::from(begun.is_ok());
            return self.tally(node, begun).map(drop);
        }
        let options = MergeOptions {
            allow_unrelated: true,
            ..MergeOptions::default()
        };
        let merged = repo.merge(&branch, &theirs, author, &options, now);
        self.summary.moved += u64::from(merged.is_ok());
        if let Some(Outcome::Stopped(_)) = self.tally(node, merged)? {
            repo.abort(&branch).map_err(words)?;
        }
        Ok(())
    }

    /// What is beside a branch is taken in, by who may do all that is there.
    pub(super) fn take_in(&mut self, node: usize, branch: &str) -> Result<(), String> {
        let now = self.clock(node);
        let repo = self.nodes[node].repo.clone();
        let taken = repo.take_in(&on(branch)?, author!(self, node), "take in", now);
        self.tally(node, taken).map(drop)
    }

    /// Somebody says something of rights.
    pub(super) fn deed(&mut self, node: usize) -> Result<(), String> {
        match self.rng.below(10) {
            0..3 => self.give(node),
            3..5 => self.take_back(node, None),
            5..7 => self.change_rule(node),
            _ => self.change_member(node),
        }
    }

    /// Somebody gives, or passes on, a right.
    fn give(&mut self, node: usize) -> Result<(), String> {
        let to = 1 + self.rng.index(Role::ALL.len() - 2);
        let commands: [&[&str]; 7] = [
            &["/space/read"],
            &["/space/read", "/space/write"],
            &["/space"],
            &["/space/write"],
            &["/space/admin"],
            &["/branch"],
            &["/"],
        ];
        let commands = commands[self.rng.index(commands.len())];
        let policies = [
            Policy::default(),
            Policy::branch("side"),
            Policy::branch("board"),
            Policy::prefix("docs/"),
            Policy::prefix("notes/").and(Policy::branch("main")),
        ];
        let policy = policies[self.rng.index(policies.len())].clone();
        let ends = self.clock(node) + 1 + self.rng.below(90_000);
        let ends = self.rng.chance(25).then_some(ends);
        self.grant(node, (to, commands), policy, ends)
    }

    pub(super) fn grant(
        &mut self,
        node: usize,
        (to, commands): (usize, &[&str]),
        policy: Policy,
        expires: Option<u64>,
    ) -> Result<(), String> {
        let now = self.clock(node);
        let commands = commands.iter().map(|it| it.parse::<Command>());
        let what = Granting {
            commands: commands.collect::<Result<_, _>>().map_err(words)?,
            policy,
            not_before: None,
            expires,
        };
        let (to, seed) = (self.people[to].id(), self.rng.seed());
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&seed[..16]);
        if to == self.agent(node) {
            return Ok(());
        }
        let repo = self.nodes[node].repo.clone();
        let given = repo.grant(to, &what, &nonce, author!(self, node), now);
        let given = self.tally(node, given)?;
        self.summary.granted += given.map_or(0, |grants| grants.len() as u64);
        Ok(())
    }

    /// Somebody takes a grant back, of a person or of anybody; with care they keep what rests on it first (REPO-117).
    pub(super) fn take_back(&mut self, node: usize, of: Option<usize>) -> Result<(), String> {
        let now = self.clock(node);
        let repo = self.nodes[node].repo.clone();
        let rights = repo.authorizer().map_err(words)?;
        let facts = rights.facts();
        let of = of.map(|person| self.people[person].id());
        let known = facts.grants.iter();
        let known = known.filter(|(_, grant)| of.is_none_or(|agent| agent == grant.audience));
        let known: Vec<Cid> = known.map(|(cid, _)| *cid).collect();
        if known.is_empty() {
            return Ok(());
        }
        let grant = known[self.rng.index(known.len())];
        if self.rng.chance(80) {
            let mut after = facts.clone();
            after.grants.remove(&grant);
            self.vouch(node, &after)?;
        }
        let taken = repo.ungrant(grant, None, author!(self, node), now);
        let taken = self.tally(node, taken)?.flatten();
        self.summary.taken_back += u64::from(taken.is_some());
        Ok(())
    }

    /// Somebody takes from a person what lets them read: a grant, that they are a member, or that members read a branch.
    pub(super) fn turn_away(&mut self, node: usize, person: usize) -> Result<(), String> {
        if self.rng.chance(50) {
            let branch = BRANCHES[self.rng.index(BRANCHES.len())];
            let closed = rule(On::Branch, branch, &[(Op::Read, "admin")], None)?;
            return self.set_rule(node, &closed);
        }
        let repo = &self.nodes[node].repo;
        let id = self.people[person].id();
        let is_member = repo.is_member(&id).map_err(words)?;
        if is_member && self.people[person].role != Role::Owner {
            return self.name(node, person, &Member::removed());
        }
        self.take_back(node, Some(person))
    }

    fn vouch(&mut self, node: usize, after: &Facts) -> Result<(), String> {
        let now = self.clock(node);
        let repo = self.nodes[node].repo.clone();
        for branch in repo.branches_at_stake(after).map_err(words)? {
            let author = (author!(self, node), "keep");
            let vouched = repo.vouch_before(&branch, after, author, now);
            let is_helped = matches!(vouched, Ok(Some(_)));
            self.summary.vouched += u64::from(is_helped);
            self.tally(node, vouched)?;
            let lost = repo.branches_at_stake(after).map_err(words)?;
            if is_helped && lost.contains(&branch) {
                return Err(format!("node {node} vouched for {branch} in vain"));
            }
        }
        Ok(())
    }

    fn change_rule(&mut self, node: usize) -> Result<(), String> {
        let roles = ["member", "editor", "admin", "anyone"];
        let [one, two] = [0; 2].map(|_| roles[self.rng.index(roles.len())]);
        let made = match self.rng.below(8) {
            0 => rule(
                On::Branch,
                "board",
                &[(Op::Read, one), (Op::Write, two)],
                None,
            )?,
            1 => rule(On::Branch, "main", &[(Op::Read, one)], None)?,
            2 => rule(
                On::Branch,
                "side",
                &[(Op::Write, one), (Op::Read, two)],
                None,
            )?,
            3 => rule(On::Branch, "*", &[(Op::Read, one), (Op::Merge, two)], None)?,
            4 => rule(
                On::Key,
                "docs/*",
                &[(Op::Write, one), (Op::Read, two)],
                None,
            )?,
            5 => rule(On::Key, "user:{who}:*", &[(Op::Read, one)], Some("{who}"))?,
            6 => {
                let patterns = ["board", "main", "side"];
                let pattern = patterns[self.rng.index(patterns.len())];
                Rule::removed(On::Branch, pattern.parse().map_err(words)?)
            }
            _ => Rule::removed(On::Key, "docs/*".parse().map_err(words)?),
        };
        self.set_rule(node, &made)
    }

    pub(super) fn set_rule(&mut self, node: usize, rule: &Rule) -> Result<(), String> {
        let now = self.clock(node);
        let repo = self.nodes[node].repo.clone();
        let set = repo.set_rule(rule, (author!(self, node), "rule"), now);
        let set = self.tally(node, set)?.flatten();
        self.summary.ruled += u64::from(set.is_some());
        Ok(())
    }

    fn change_member(&mut self, node: usize) -> Result<(), String> {
        // Nobody who has a grant alone becomes a member but by chance.
        let whom = [Role::Editor, Role::Member, Role::Editor, Role::Clerk];
        let whom = whom[self.rng.index(whom.len())] as usize;
        let roles: [&[&str]; 5] = [
            &[],
            &["member"],
            &["editor"],
            &["editor", "member"],
            &["member"],
        ];
        let roles = roles[self.rng.index(roles.len())].iter();
        let roles = roles.map(|it| (*it).to_owned()).collect();
        let name = self.rng.chance(30).then(|| "mia".to_owned());
        let member = Member::new(name, roles).map_err(words)?;
        if self.rng.chance(80) {
            let repo = &self.nodes[node].repo;
            let mut after = repo.authorizer().map_err(words)?.facts().clone();
            after
                .members
                .insert(self.people[whom].id(), vec![member.clone()]);
            self.vouch(node, &after)?;
        }
        self.name(node, whom, &member)
    }

    pub(super) fn name(&mut self, node: usize, whom: usize, member: &Member) -> Result<(), String> {
        let now = self.clock(node);
        let repo = self.nodes[node].repo.clone();
        let said = (&self.people[whom].id(), member);
        let set = repo.set_member(said, (author!(self, node), "member"), now);
        let set = self.tally(node, set)?.flatten();
        self.summary.members += u64::from(set.is_some());
        Ok(())
    }

    /// Who has lost a right, or not, signs a commit that says it was made when it held: on the heads of then, by a clock of then.
    pub(super) fn date_back(&mut self, node: usize) -> Result<(), String> {
        let past = self.nodes[node].past.clone();
        let meta = past.heads.get(&BranchName::meta());
        let Some(policy) = meta.and_then(|heads| heads.first().copied()) else {
            return Ok(());
        };
        let branch = if self.rng.chance(20) {
            BranchName::meta()
        } else {
            on(BRANCHES[self.rng.index(BRANCHES.len())])?
        };
        let Some(parents) = past.heads.get(&branch).filter(|heads| !heads.is_empty()) else {
            return Ok(());
        };
        let (key, value) = if branch.is_meta() {
            let version: String = (0..32).map(|_| HEX[self.rng.index(16)]).collect();
            let key = format!("member/{}/{version}", self.agent(node));
            (Bytes::from(key), Member::plain().encode().map_err(words)?)
        } else {
            self.summary.secrets += 1;
            (self.key(), self.watch.plant(&mut self.rng))
        };
        let repo = &self.nodes[node].repo;
        let author = author!(self, node);
        let forged = forge(
            repo,
            (&branch, parents),
            author,
            (key, value),
            (policy, past.at_ms),
        )?;
        let (statement, changes) = forged;
        match take(repo, (statement, changes), &branch, self.clock(node)) {
            Ok(()) => {
                self.summary.forged += 1;
                self.summary.commits += self.watch.note(repo)?;
                Ok(())
            }
            Err(Rejected::Refused(_)) => {
                self.summary.refused += 1;
                Ok(())
            }
            Err(Rejected::Fault(fault)) => Err(words(fault)),
        }
    }
}

type Changes = std::collections::BTreeMap<Bytes, Bytes>;

/// A commit as its author likes it, and what it changes.
fn forge(
    repo: &Repo,
    (branch, parents): (&BranchName, &Heads),
    author: Author<'_>,
    (key, value): (Bytes, Vec<u8>),
    (policy, at_ms): (CommitId, u64),
) -> Result<(Bytes, Changes), String> {
    let (mut stamp, mut generation) = (Stamp::at_millis(at_ms), 0);
    for parent in parents {
        let said = repo.commit(*parent).map_err(words)?;
        let said = said.payload();
        stamp = stamp.max(Stamp::from_bits(said.stamp.bits() + 1));
        generation = generation.max(said.generation);
    }
    let state = State::Value(value.into());
    let entry = Entry { stamp, state }.encode();
    let base = repo.together(parents).map_err(words)?.tree().clone();
    let edits = [(key.clone(), Some(entry.clone()))];
    let tree = base.edit(edits, &mut |_block| {}).map_err(words)?;
    let mut parents: Vec<CommitId> = parents.iter().copied().collect();
    parents.sort_by_key(|id| id.cid().to_bytes());
    let said = Commit {
        author: author.agent,
        branch: branch.clone(),
        generation: generation + 1,
        message: "as of then".to_owned(),
        parents,
        parts: None,
        policy: Some(policy),
        space: repo.id(),
        stamp,
        tree: tree.root(),
    };
    let signed = Verified::sign(author.key, said).map_err(words)?;
    Ok((signed.bytes().clone(), Changes::from([(key, entry)])))
}

/// Takes a commit as if it had come from a peer.
fn take(
    repo: &Repo,
    (statement, changes): (Bytes, Changes),
    branch: &BranchName,
    now: u64,
) -> Result<(), Rejected> {
    let reviewed = repo.review(statement, now)?;
    let id = reviewed.id();
    let complete = repo.with_changes(reviewed, &changes)?;
    repo.accept(complete, branch)?;
    repo.join_branch(branch, &Heads::from([id])).map(drop)
}
