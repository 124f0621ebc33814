//! Statements that are watched: each change of their result, commit by commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use allod::{Course, Position, QueryWatch, ResultChange, WatchError, WatchStep, WatchedQuery};
use allod_blocks::MemoryStore;
use allod_identity::SecretKey;
use allod_repo::{
    Author, BranchName, Edit, Genesis, Heads, MergeOptions, Outcome, Repo, SpaceClass, Span,
};
use allod_sql::{Limits, Scalar, Session};
use allod_tables::{Kept, Own, SpaceCatalog};
use allod_views::{
    FieldDefinition, Function, ProjectionDefinition, Received, ShapeDefinition, TypeDefinition,
    Views, create_projection, define_type,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::home::scale;

const START: u64 = 1_700_000_000_000;

/// A space in memory, and where it stands.
struct World {
    key: SecretKey,
    repo: Repo,
    views: Views,
    now: u64,
    position: Position,
}

impl World {
    /// With two types, an index and sums.
    fn new() -> Self {
        let key = SecretKey::from_seed([1; 32]);
        let author = Author {
            agent: key.agent_id(),
            key: &key,
        };
        let genesis = Genesis {
            at: START,
            class: SpaceClass::Convergent,
            name: "test".into(),
            nonce: [0; 16],
            owner: author.agent,
        };
        let repo = Repo::create(Arc::new(MemoryStore::new()), genesis, author).unwrap();
        for (name, source, shape) in [
            (
                "by_n",
                "item:*",
                ShapeDefinition::Index {
                    by: vec!["n".to_owned()],
                    values: Vec::new(),
                },
            ),
            (
                "totals",
                "item:*",
                ShapeDefinition::Group {
                    by: vec![("name".to_owned(), "name".to_owned())],
                    totals: vec![("total".to_owned(), Function::Sum, Some("n".to_owned()))],
                },
            ),
        ] {
            let definition = ProjectionDefinition {
                shape,
                source: source.to_owned(),
                filter: None,
            };
            create_projection(&repo, &name.parse().unwrap(), definition, (author, START)).unwrap();
        }
        let views = Views::open(&repo).unwrap();
        let mut world = Self {
            key,
            repo,
            views,
            now: START,
            position: Position::Branch(BranchName::main()),
        };
        world.define("item", &["name", "n"]);
        world.define("other", &["name", "n"]);
        world
    }

    fn by(&mut self) -> (Author<'_>, u64) {
        self.now += 1000;
        let author = Author {
            agent: self.key.agent_id(),
            key: &self.key,
        };
        (author, self.now)
    }

    fn define(&mut self, name: &str, fields: &[&str]) {
        let fields = fields.iter().map(|field| {
            let kind = if *field == "n" { "integer" } else { "string" };
            FieldDefinition::new(*field, kind.parse().unwrap())
        });
        let definition = TypeDefinition {
            check: None,
            closed: false,
            fields: fields.collect(),
            received: Received::Flag,
        };
        let repo = self.repo.clone();
        define_type(&repo, &name.parse().unwrap(), definition, true, self.by()).unwrap();
    }

    fn branch(&self) -> Option<BranchName> {
        match &self.position {
            Position::Branch(branch) => Some(branch.clone()),
            Position::Detached(_) => None,
        }
    }

    fn heads(&self) -> Heads {
        match &self.position {
            Position::Branch(branch) => self.repo.heads(branch).unwrap(),
            Position::Detached(id) => Heads::from([*id]),
        }
    }

    fn commit(&mut self, edits: &[(&str, Option<&str>)]) {
        let Some(branch) = self.branch() else { return };
        let edits: Vec<_> = edits
            .iter()
            .map(|(key, value)| {
                let edit = value.map_or(Edit::Delete, |value| {
                    Edit::Put(Bytes::copy_from_slice(value.as_bytes()))
                });
                (Bytes::copy_from_slice(key.as_bytes()), edit)
            })
            .collect();
        let repo = self.repo.clone();
        let (author, now) = self.by();
        repo.stage(&branch, edits, now).unwrap();
        repo.commit_staged(&branch, author, "test", now).unwrap();
    }

    fn branch_off(&mut self, name: &str) {
        let name: BranchName = name.parse().unwrap();
        if self.repo.create_branch(&name, &self.heads()).is_ok() {
            self.position = Position::Branch(name);
        }
    }

    fn switch(&mut self, name: &str) {
        let name: BranchName = name.parse().unwrap();
        if !self.repo.heads(&name).unwrap().is_empty() {
            self.position = Position::Branch(name);
        }
    }

    fn merge(&mut self, name: &str) {
        let theirs = self.repo.heads(&name.parse().unwrap()).unwrap();
        let (Some(branch), false) = (self.branch(), theirs.is_empty()) else {
            return;
        };
        let repo = self.repo.clone();
        let (author, now) = self.by();
        let merged = repo.merge(&branch, &theirs, author, &MergeOptions::default(), now);
        if matches!(merged, Ok(Outcome::Stopped(_))) {
            repo.abort(&branch).unwrap();
        }
    }

    /// As when the changes of another node arrive: several heads, until the next commit.
    fn join(&mut self, name: &str) {
        let theirs = self.repo.heads(&name.parse().unwrap()).unwrap();
        if let Some(branch) = self.branch() {
            self.repo.join_branch(&branch, &theirs).unwrap();
        }
    }

    fn watch(&self, query: WatchedQuery) -> Result<QueryWatch, WatchError> {
        let tables = (&self.views, &Kept::default());
        QueryWatch::new(tables, query, self.heads(), Arc::new(|| false))
    }

    fn steps(&self, watch: &mut QueryWatch) -> Vec<WatchStep> {
        std::iter::from_fn(|| watch.next(&self.position).unwrap()).collect()
    }

    /// What a statement gives in a state, how often each row.
    fn fresh(&self, query: &WatchedQuery, heads: &Heads) -> BTreeMap<String, u64> {
        let own = match heads.first() {
            Some(commit) if heads.len() == 1 => Own::Commit(*commit),
            _ => Own::Commits(heads.clone()),
        };
        let catalog = SpaceCatalog::new(&self.views, own).unwrap();
        let mut session = Session::new(Arc::new(catalog), Limits::default(), || 0).unwrap();
        let rows = session
            .prepare(&query.sql)
            .unwrap()
            .rows(&query.parameters)
            .unwrap();
        let mut all = BTreeMap::new();
        for row in rows {
            *all.entry(format!("{row:?}")).or_insert(0) += 1;
        }
        all
    }

    /// What the keys that begin so have in a state.
    fn under(&self, prefix: &str, heads: &Heads) -> Vec<String> {
        let view = self.repo.together(heads).unwrap();
        let items = view.range(&Span::prefix(prefix.as_bytes()), false);
        items.map(|item| format!("{:?}", item.unwrap())).collect()
    }
}

/// Does to a result what a step tells of.
fn replay(result: &mut BTreeMap<String, u64>, changes: &[ResultChange]) {
    let mut take = |row: &Vec<Scalar>, count: u64, is_added: bool| {
        let shown = format!("{row:?}");
        let times = result.entry(shown.clone()).or_insert(0);
        *times = if is_added {
            *times + count
        } else {
            times.checked_sub(count).expect("it was there")
        };
        if *times == 0 {
            result.remove(&shown);
        }
    };
    for change in changes {
        match change {
            ResultChange::Added { row, count } => take(row, *count, true),
            ResultChange::Removed { row, count } => take(row, *count, false),
            ResultChange::Modified { before, after } => {
                take(before, 1, false);
                take(after, 1, true);
            }
        }
    }
}

fn record(name: &str, n: u32) -> String {
    format!("{{\"name\":\"{name}\",\"n\":{n}}}")
}

/// Whether it is an item, its id, and a name and a number; none to delete it.
type Change = (bool, u32, Option<(u32, u32)>);

/// What happens to a space.
#[derive(Clone, Debug)]
enum Happening {
    Commit(Vec<Change>),
    BranchOff(usize),
    Switch(usize),
    Merge(usize),
    Join(usize),
    Detach,
    Look(usize),
}

const NAMES: [&str; 3] = ["main", "side", "third"];

fn happening() -> impl Strategy<Value = Happening> {
    let edit = (
        prop::bool::weighted(0.8),
        0..6u32,
        prop::option::weighted(0.8, (0..3u32, 0..5u32)),
    );
    prop_oneof![
        8 => prop::collection::vec(edit, 1..4).prop_map(Happening::Commit),
        1 => (1..3usize).prop_map(Happening::BranchOff),
        2 => (0..3usize).prop_map(Happening::Switch),
        2 => (0..3usize).prop_map(Happening::Merge),
        1 => (0..3usize).prop_map(Happening::Join),
        1 => Just(Happening::Detach),
        4 => (0..4usize).prop_map(Happening::Look),
    ]
}

fn query() -> impl Strategy<Value = WatchedQuery> {
    let of = |sql: &'static str, parameters: Vec<Scalar>, key: Option<&str>| WatchedQuery {
        parameters,
        key: key.map(str::to_owned),
        ..WatchedQuery::new(sql)
    };
    prop::sample::select(vec![
        of("SELECT _key, name, n FROM item", vec![], None),
        of("SELECT name FROM item", vec![], None),
        of("SELECT name, n FROM item", vec![], Some("name")),
        of(
            "SELECT name, count(*) AS c, sum(n) FROM item GROUP BY name",
            vec![],
            Some("name"),
        ),
        of(
            "SELECT a._key, b.name FROM item a LEFT JOIN item b ON a.n = b.n AND a._key < b._key",
            vec![],
            None,
        ),
        of("SELECT name, total FROM totals", vec![], Some("NAME")),
        of("SELECT _key FROM by_n WHERE n > 2", vec![], None),
        of(
            "SELECT i.name, o.name FROM item i JOIN other o ON i.n = o.n",
            vec![],
            None,
        ),
        of(
            "SELECT _key, n FROM item WHERE n > ?1",
            vec![Scalar::Integer(2)],
            None,
        ),
        of("SELECT _key, size FROM allod_entries", vec![], None),
        of(
            "WITH big AS (SELECT * FROM item WHERE n > 1) SELECT count(*) FROM big",
            vec![],
            None,
        ),
        of("SELECT 1", vec![], None),
    ])
}

fn happen(world: &mut World, happening: &Happening) {
    match happening {
        Happening::Commit(edits) => {
            let edits: Vec<(String, Option<String>)> = edits
                .iter()
                .map(|(is_item, id, value)| {
                    let kind = if *is_item { "item" } else { "other" };
                    let value = value.map(|(name, n)| record(&format!("n{name}"), n));
                    (format!("{kind}:{id}"), value)
                })
                .collect();
            let edits: Vec<(&str, Option<&str>)> = edits
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_deref()))
                .collect();
            world.commit(&edits);
        }
        Happening::BranchOff(name) => world.branch_off(NAMES[*name]),
        Happening::Switch(name) => world.switch(NAMES[*name]),
        Happening::Merge(name) => world.merge(NAMES[*name]),
        Happening::Join(name) => world.join(NAMES[*name]),
        Happening::Detach => {
            let heads = world.heads();
            if let Some(id) = heads.first() {
                let commit = world.repo.commit(*id).unwrap();
                let parent = commit.payload().parents.first().copied();
                world.position = Position::Detached(parent.unwrap_or(*id));
            }
        }
        Happening::Look(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96 * scale(), ..ProptestConfig::default() })]

    /// TAB-13, TAB-14, TAB-16.
    #[test]
    fn what_is_told_makes_each_result_of_the_one_before(
        before in prop::collection::vec(happening(), 0..6),
        query in query(),
        happenings in prop::collection::vec(happening(), 1..30),
    ) {
        let mut world = World::new();
        world.commit(&[("item:0", Some(&record("n0", 1)))]);
        for happening in &before {
            happen(&mut world, happening);
        }
        let mut watch = world.watch(query.clone()).unwrap();
        let mut result = world.fresh(&query, watch.at());
        let key = watch.columns().iter().position(|name| {
            name.eq_ignore_ascii_case(query.key.as_deref().unwrap_or("_key"))
        });
        let steps_of = |happening: &Happening| match happening {
            Happening::Look(steps) => *steps,
            _ => 0,
        };
        for happening in happenings.iter().chain([&Happening::Look(usize::MAX)]) {
            happen(&mut world, happening);
            for _ in 0..steps_of(happening) {
                let at = watch.at().clone();
                let Some(step) = watch.next(&world.position).unwrap() else { break };
                prop_assert_eq!(watch.at(), &step.heads);
                replay(&mut result, &step.changes);
                prop_assert_eq!(&result, &world.fresh(&query, &step.heads), "{}", query.sql);
                for change in &step.changes {
                    if let ResultChange::Modified { before, after } = change {
                        prop_assert_eq!(&before[key.unwrap()], &after[key.unwrap()]);
                    }
                }
                // What reads items alone is not run for what changes others.
                let reads_others = ["other", "allod_entries"].iter().any(|name| query.sql.contains(name));
                if !reads_others && world.under("item:", &at) == world.under("item:", &step.heads) {
                    prop_assert!(!step.is_computed);
                }
            }
        }
        prop_assert_eq!(watch.at(), &world.heads());
        // From where it is, another watch has nothing to tell.
        prop_assert!(world.watch(query).unwrap().next(&world.position).unwrap().is_none());
    }
}

/// PROJ-30.
#[test]
fn a_course_is_that_of_the_branch() {
    let mut world = World::new();
    world.commit(&[("a", Some("1"))]);
    let start = world.heads();
    let mut course = Course::new(world.repo.clone(), start.clone());
    let mut from_nothing = Course::new(world.repo.clone(), Heads::new());
    let all = |world: &World, course: &mut Course| {
        let mut states = Vec::new();
        while let Some(next) = course.next(&world.position).unwrap().cloned() {
            states.push(next);
            course.advance();
        }
        states
    };
    assert_eq!(all(&world, &mut course), []);
    let mut own = vec![start];
    for n in ["2", "3"] {
        world.commit(&[("a", Some(n))]);
        own.push(world.heads());
    }
    world.branch_off("side");
    for n in ["1", "2", "3", "4"] {
        world.commit(&[("b", Some(n))]);
    }
    world.switch("main");
    world.commit(&[("c", Some("1"))]);
    own.push(world.heads());
    world.merge("side");
    own.push(world.heads());
    // The longer line is not that of the branch: what it brought comes with the merge.
    assert_eq!(all(&world, &mut course), own[1..]);
    assert_eq!(all(&world, &mut from_nothing), own);
    // From within the other line, those that follow from it.
    let side = world.repo.heads(&"side".parse().unwrap()).unwrap();
    let mut course = Course::new(world.repo.clone(), side.clone());
    assert_eq!(all(&world, &mut course), own[4..]);
    // Several heads are a state, and a commit over them another.
    world.switch("side");
    world.commit(&[("b", Some("5"))]);
    let ahead = world.repo.heads(&"side".parse().unwrap()).unwrap();
    world.switch("main");
    world.commit(&[("c", Some("2"))]);
    let mine = world.heads();
    world.join("side");
    let both = world.heads();
    assert_eq!(both.len(), 2);
    assert_eq!(all(&world, &mut course), [mine, both.clone()]);
    world.commit(&[("c", Some("3"))]);
    assert_eq!(all(&world, &mut course), [world.heads()]);
    // What does not follow is one step.
    world.switch("side");
    assert_eq!(all(&world, &mut course), [ahead]);
    world.position = Position::Detached(*own[0].first().unwrap());
    assert_eq!(all(&world, &mut course), own[..1]);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let mut world = World::new();
    world.commit(&[("item:1", Some(&record("a", 1)))]);
    for (sql, words) in [
        ("SELECT * FROM item AS OF 'main'", "the state at hand"),
        ("SELECT * FROM item ON BRANCH 'main'", "the state at hand"),
        ("DIFF 'main' 'main' ON item", "the state at hand"),
        ("SELECT * FROM allod_log()", "the state at hand"),
        ("EXPLAIN SELECT 1", "a plan"),
        ("DELETE FROM item", "not allowed"),
        ("SELECT nam FROM item", "is it name?"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT ?", "0 values for 1"),
    ] {
        let error = world.watch(WatchedQuery::new(sql)).unwrap_err();
        assert!(error.to_string().contains(words), "{sql}: {error}");
    }
    for (sql, key) in [
        ("SELECT name FROM item", "n"),
        ("SELECT name, n AS name FROM item", "name"),
    ] {
        let query = WatchedQuery {
            key: Some(key.to_owned()),
            ..WatchedQuery::new(sql)
        };
        let error = world.watch(query).unwrap_err();
        assert!(error.to_string().contains("has not one column"), "{error}");
    }
}

/// What is kept of a result is bounded, when the watch begins and later.
#[test]
fn a_result_that_grows_too_large_ends_the_watch() {
    let mut world = World::new();
    world.commit(&[("item:1", Some(&record("a", 2)))]);
    let mut query = WatchedQuery::new("SELECT _key FROM item");
    query.limits.rows = 2;
    let mut watch = world.watch(query).unwrap();
    world.commit(&[("item:2", Some("{}"))]);
    assert_eq!(world.steps(&mut watch).len(), 1);
    world.commit(&[("item:3", Some("{}"))]);
    let error = watch.next(&world.position).unwrap_err();
    assert_eq!(error.to_string(), "the limit of rows is reached");
    let numbers = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100)";
    let large = WatchedQuery::new(format!("{numbers} SELECT x, zeroblob(1000000) FROM c"));
    let error = world.watch(large).unwrap_err();
    assert!(matches!(error, WatchError::Large), "{error}");
    assert!(error.to_string().contains("64 MiB"), "{error}");
}

/// TAB-15.
#[test]
fn definitions_are_those_of_now() {
    let mut world = World::new();
    world.commit(&[("item:1", Some(r#"{"name":"a","n":1,"more":"x"}"#))]);
    let mut watch = world
        .watch(WatchedQuery::new("SELECT * FROM item"))
        .unwrap();
    let mut names = world
        .watch(WatchedQuery::new("SELECT name FROM item"))
        .unwrap();
    // Other things of the space are nothing that is read.
    let head = *world.heads().first().unwrap();
    let repo = world.repo.clone();
    let (author, now) = world.by();
    repo.create_tag(&"v1".parse().unwrap(), head, "", author, now)
        .unwrap();
    assert_eq!(world.steps(&mut watch), []);
    world.define("item", &["name", "n", "more"]);
    let error = watch.next(&world.position).unwrap_err();
    assert!(matches!(error, WatchError::Columns), "{error}");
    // What has the same columns goes on.
    let steps = world.steps(&mut names);
    assert_eq!(steps.len(), 1);
    assert!(steps[0].is_computed && steps[0].changes.is_empty());
    assert_eq!(world.steps(&mut names), []);
}

#[test]
fn whoever_has_gone_is_not_computed_for() {
    let mut world = World::new();
    world.commit(&[("item:1", Some("{}"))]);
    let gone = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asked = Arc::clone(&gone);
    let should_stop = Arc::new(move || asked.load(std::sync::atomic::Ordering::Relaxed));
    let tables = (&world.views, &Kept::default());
    let query = WatchedQuery::new("SELECT count(*) FROM item");
    let mut watch = QueryWatch::new(tables, query, world.heads(), should_stop).unwrap();
    world.commit(&[("item:2", Some("{}"))]);
    gone.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(watch.next(&world.position).unwrap(), None);
    gone.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(world.steps(&mut watch).len(), 1);
}
