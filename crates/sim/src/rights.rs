//! A world about rights: an owner, an administrator and others who are given rights, pass them on and lose them, while their
//! nodes write and meet apart (ACCESS, REPO-110 to REPO-117, SYNC-60 to SYNC-65).
//!
//! Nodes and sessions are the real ones. Each frame that a node hands over is looked at: nothing is in it that its receiver
//! may not read by what the sender knows. Stores do not fail here, and time is what each node's clock makes of it.

mod checks;
mod deeds;
mod people;
mod prying;
mod reading;
mod watch;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_access::{Draft, Member, On, Op, Policy, Roles, Rule};
use allod_blocks::MemoryStore;
use allod_identity::{AgentId, KeyLog, SecretKey};
use allod_repo::{
    Agents, Author, BranchName, CommitId, Genesis, Heads, Repo, RepoError, SpaceClass,
};

use crate::keys::words;
use crate::rng::Rng;
use people::{Person, Role};
use reading::Reading;
use watch::Watch;

/// When such a world begins, in milliseconds since 1970.
const START_MS: u64 = 1_700_000_000_000;

/// How far a clock is off at most, in either direction: two of them less than what a replica puts up with.
const SKEW_MS: u64 = 120_000;

/// The branches, but for `meta`. One belongs to who is called so, where a rule says that.
const BRANCHES: [&str; 5] = ["main", "side", "board", "mia/notes", "news"];

/// What happened in worlds about rights.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RightsSummary {
    /// Commits that were made, those on `meta` among them.
    pub commits: u64,
    /// What somebody tried and may not.
    pub refused: u64,
    /// Sessions that came to their end.
    pub sessions: u64,
    /// Sessions in which a side ended because the other may read nothing.
    pub strangers: u64,
    /// Sessions that ended because somebody's right to read went meanwhile.
    pub ended: u64,
    /// Frames that were looked at.
    pub frames: u64,
    /// What was planted in keys and values.
    pub secrets: u64,
    /// Grants that were given, those that were passed on among them.
    pub granted: u64,
    /// Grants that were taken back.
    pub taken_back: u64,
    /// Rules that were set.
    pub ruled: u64,
    /// Members who were named, given other roles or removed.
    pub members: u64,
    /// Branches that were begun or merged into.
    pub moved: u64,
    /// Commits on top of a branch before a right was taken away.
    pub vouched: u64,
    /// Commits that were dated back by who had lost the right.
    pub forged: u64,
    /// Times that somebody asked for all that there is.
    pub pried: u64,
    /// Nodes that agreed with another one whose person may read the same.
    pub agreed: u64,
    /// Branches that had something beside them at the end.
    pub beside: u64,
}

impl RightsSummary {
    /// Adds the figures of another world.
    pub fn add(&mut self, other: &Self) {
        let pairs = self.figures_mut().into_iter().zip(other.figures());
        pairs.for_each(|((_, sum), (_, more))| *sum += more);
    }

    /// All of them, with their names.
    #[must_use]
    pub fn figures(&self) -> [(&'static str, u64); 17] {
        let mut of = *self;
        of.figures_mut().map(|(name, figure)| (name, *figure))
    }

    fn figures_mut(&mut self) -> [(&'static str, &mut u64); 17] {
        [
            ("commits", &mut self.commits),
            ("refused", &mut self.refused),
            ("sessions", &mut self.sessions),
            ("strangers", &mut self.strangers),
            ("ended", &mut self.ended),
            ("frames", &mut self.frames),
            ("secrets", &mut self.secrets),
            ("granted", &mut self.granted),
            ("taken back", &mut self.taken_back),
            ("ruled", &mut self.ruled),
            ("members", &mut self.members),
            ("moved", &mut self.moved),
            ("vouched", &mut self.vouched),
            ("forged", &mut self.forged),
            ("pried", &mut self.pried),
            ("agreed", &mut self.agreed),
            ("beside", &mut self.beside),
        ]
    }
}

/// One node: a replica, and the device that it is.
struct Node {
    repo: Repo,
    device: SecretKey,
    person: usize,
    /// By how much more its clock is ahead than one is that is as far behind as may be.
    skew_ms: u64,
    /// What its person knew when a commit was last made: what is dated back goes on from there.
    past: Past,
}

/// A moment that somebody who dates back claims to be in.
#[derive(Clone, Default)]
struct Past {
    at_ms: u64,
    heads: BTreeMap<BranchName, Heads>,
}

struct RightsWorld {
    rng: Rng,
    now_ms: u64,
    people: Vec<Person>,
    nodes: Vec<Node>,
    /// Which side of a partition each node is on.
    sides: Vec<bool>,
    is_parted: bool,
    watch: Watch,
    /// What commits do, as it was read once.
    reading: Reading,
    summary: RightsSummary,
}

/// Runs the world about rights of a seed to its end.
///
/// # Errors
/// What does not hold, in words.
pub fn run_rights(seed: u64) -> Result<RightsSummary, String> {
    let mut world = RightsWorld::new(seed)?;
    for _ in 0..world.rng.within(40, 90) {
        world.now_ms += world.rng.below(4_000);
        world.happen()?;
    }
    world.heal()?;
    Ok(world.summary)
}

impl RightsWorld {
    fn new(seed: u64) -> Result<Self, String> {
        let mut rng = Rng::new(seed ^ 0x7269_6768_7473);
        let people = Role::ALL.map(|role| Person::new(role, &mut rng));
        let mut people: Vec<Person> = people.into_iter().collect::<Result<_, _>>()?;
        let genesis = Genesis {
            at: START_MS,
            class: SpaceClass::Convergent,
            name: "rights".to_owned(),
            nonce: [5; 16],
            owner: people[0].id(),
        };
        let mut nodes: Vec<Node> = Vec::new();
        for person in with_devices(&mut rng) {
            let device = SecretKey::from_seed(rng.seed());
            people[person].add(&device, START_MS)?;
            let store = Arc::new(MemoryStore::new());
            let agents = Agents::new(store.clone());
            learn(&agents, &people[0].log)?;
            learn(&agents, &people[person].log)?;
            let repo = match nodes.first() {
                None => {
                    let author = Author {
                        agent: people[0].id(),
                        key: &device,
                    };
                    Repo::create(store, genesis.clone(), author).map_err(words)?
                }
                Some(first) => {
                    let genesis = first.repo.genesis().bytes().clone();
                    Repo::adopt(store, genesis).map_err(words)?
                }
            };
            nodes.push(Node {
                repo: repo.on_device(device.device_id()),
                device,
                person,
                skew_ms: rng.below(2 * SKEW_MS),
                past: Past::default(),
            });
        }
        // All devices of the owner are in the log that all know from the beginning.
        for node in &nodes {
            learn(node.repo.agents(), &people[0].log)?;
        }
        let mut world = Self {
            rng,
            now_ms: START_MS + SKEW_MS,
            sides: vec![false; nodes.len()],
            is_parted: false,
            watch: Watch::new(),
            reading: Reading::default(),
            summary: RightsSummary::default(),
            people,
            nodes,
        };
        world.begin()?;
        Ok(world)
    }

    /// The owner says who is who, and begins the branches.
    fn begin(&mut self) -> Result<(), String> {
        let is_ruled = self.rng.chance(70);
        let is_keyed = is_ruled && self.rng.chance(60);
        if is_ruled {
            self.first_rules(is_keyed)?;
        }
        for (person, said) in [
            (Role::Editor, (None, vec!["editor", "member"])),
            (Role::Member, (Some("mia"), vec!["member"])),
        ] {
            let roles = said.1.iter().map(|it| (*it).to_owned()).collect();
            let member = Member::new(said.0.map(str::to_owned), roles).map_err(words)?;
            self.name(0, person as usize, &member)?;
        }
        let whole = self.rng.chance(70);
        let commands: &[&str] = if whole { &["/"] } else { &["/space"] };
        self.grant(0, (Role::Admin as usize, commands), Policy::default(), None)?;
        self.grant(
            0,
            (Role::Clerk as usize, &["/space", "/branch"]),
            Policy::branch("side"),
            None,
        )?;
        let docs = Policy::prefix("docs/");
        self.grant(0, (Role::Writer as usize, &["/space/write"]), docs, None)?;
        // Somebody who may write there, and read all or nothing.
        if self.rng.chance(60) {
            let main = Policy::branch("main");
            self.grant(0, (Role::Writer as usize, &["/space/read"]), main, None)?;
        }
        let docs = Policy::prefix("docs/");
        self.grant(0, (Role::Reader as usize, &["/space/read"]), docs, None)?;
        for branch in BRANCHES {
            if branch == "main" || self.rng.chance(80) {
                self.write(0, branch)?;
            }
        }
        for node in 1..self.nodes.len() {
            self.meet(0, node, usize::MAX)?;
            self.meet(node, 0, usize::MAX)?;
        }
        Ok(())
    }

    /// Rules by which members work, the board is for who administers, and names own what bears them.
    fn first_rules(&mut self, is_keyed: bool) -> Result<(), String> {
        let work = [Op::Read, Op::Write, Op::Create, Op::Merge];
        let all = |ops: &[Op], role| ops.iter().map(|op| (*op, role)).collect::<Vec<_>>();
        let mut rules = vec![
            rule(On::Branch, "*", &all(&work, "member"), None)?,
            rule(On::Branch, "board", &all(&work, "admin"), None)?,
            rule(
                On::Branch,
                "{who}/*",
                &[(Op::Read, "member")],
                Some("{who}"),
            )?,
        ];
        if is_keyed {
            let keys = [Op::Read, Op::Write, Op::Delete];
            let docs = [
                (Op::Read, "member"),
                (Op::Write, "editor"),
                (Op::Delete, "editor"),
            ];
            rules.push(rule(On::Key, "*", &all(&keys, "member"), None)?);
            rules.push(rule(On::Key, "docs/*", &docs, None)?);
            let own = [(Op::Read, "member")];
            rules.push(rule(On::Key, "user:{who}:*", &own, Some("{who}"))?);
        }
        for rule in rules {
            self.set_rule(0, &rule)?;
        }
        Ok(())
    }

    fn happen(&mut self) -> Result<(), String> {
        let node = self.rng.index(self.nodes.len());
        let branch = BRANCHES[self.rng.index(BRANCHES.len())];
        match self.rng.below(100) {
            0..30 => self.write(node, branch),
            30..62 => {
                let other = self.rng.index(self.nodes.len());
                let cut = if self.rng.chance(25) {
                    self.rng.index(16)
                } else {
                    usize::MAX
                };
                let apart = self.is_parted && self.sides[node] != self.sides[other];
                if node == other || apart {
                    return Ok(());
                }
                self.meet(node, other, cut)
            }
            62..68 => {
                self.is_parted = !self.is_parted;
                for side in &mut self.sides {
                    *side = self.rng.chance(50);
                }
                Ok(())
            }
            68..86 => {
                // Most of what is said of rights is said by who may say it.
                let node = if self.rng.chance(60) {
                    self.one_of(&[Role::Owner, Role::Admin])
                } else {
                    node
                };
                self.deed(node)
            }
            86..92 => self.move_branch(node, branch),
            92..96 => self.date_back(node),
            96..98 => self.take_in(node, branch),
            _ => self.pry(),
        }
    }

    /// A node of somebody with one of some roles, if there is one.
    fn one_of(&mut self, roles: &[Role]) -> usize {
        let nodes = (0..self.nodes.len()).filter(|node| {
            let role = self.people[self.nodes[*node].person].role;
            roles.contains(&role)
        });
        let nodes: Vec<usize> = nodes.collect();
        nodes[self.rng.index(nodes.len())]
    }

    fn clock(&self, node: usize) -> u64 {
        self.now_ms + self.nodes[node].skew_ms - SKEW_MS
    }

    fn agent(&self, node: usize) -> AgentId {
        self.people[self.nodes[node].person].id()
    }

    /// What came of something that a node did: the commit is noted, and that it may not is no fault.
    fn tally<T>(&mut self, node: usize, made: Result<T, RepoError>) -> Result<Option<T>, String> {
        use allod_repo::Refusal::{NotMember, NotOwner, Rights};
        let repo = &self.nodes[node].repo;
        // What was made on the way stays, though it did not help.
        self.summary.commits += self.watch.note(repo)?;
        match made {
            Ok(made) => {
                self.nodes[node].past = Past {
                    at_ms: self.clock(node),
                    heads: repo.branches().map_err(words)?.into_iter().collect(),
                };
                Ok(Some(made))
            }
            Err(
                RepoError::Refused(Rights | NotMember | NotOwner)
                | RepoError::Denied { .. }
                | RepoError::RightsApart
                | RepoError::BranchExists(_)
                | RepoError::NoBranch(_)
                | RepoError::NotCounting(_)
                | RepoError::MadeElsewhere(_)
                | RepoError::UnderWay { .. },
            ) => {
                self.summary.refused += 1;
                Ok(None)
            }
            Err(error) => Err(format!("node {node} could not do something: {error}")),
        }
    }
}

/// The persons who have a node: the owner, sometimes with two, the administrator, some others, and a stranger.
fn with_devices(rng: &mut Rng) -> Vec<usize> {
    let mut with = vec![Role::Owner as usize];
    if rng.chance(30) {
        with.push(Role::Owner as usize);
    }
    with.push(Role::Admin as usize);
    let others = [
        Role::Editor,
        Role::Member,
        Role::Clerk,
        Role::Writer,
        Role::Reader,
    ];
    with.extend(
        others
            .iter()
            .filter(|_| rng.chance(65))
            .map(|it| *it as usize),
    );
    with.push(Role::Stranger as usize);
    with
}

fn rule(on: On, pattern: &str, allow: &[(Op, &str)], owner: Option<&str>) -> Result<Rule, String> {
    let mut roles = Roles::new();
    for (op, role) in allow {
        roles.entry(*op).or_default().push((*role).to_owned());
    }
    let draft = Draft {
        on,
        allow: roles,
        deny: Roles::new(),
        owner: owner.map(str::to_owned),
        pattern: pattern.parse().map_err(words)?,
    };
    Rule::try_from(draft).map_err(words)
}

fn branch_of(repo: &Repo, id: CommitId) -> Result<BranchName, String> {
    Ok(repo.commit(id).map_err(words)?.payload().branch.clone())
}

/// Tells a node of a log.
fn learn(agents: &Agents, log: &KeyLog) -> Result<(), String> {
    let events: Vec<_> = log.known().map(|event| event.bytes().clone()).collect();
    agents.learn(log.agent(), &events).map_err(words)
}

fn on(name: &str) -> Result<BranchName, String> {
    name.parse().map_err(words)
}
