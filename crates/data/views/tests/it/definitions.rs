//! Definitions in `meta`, and projections that are none.

use allod_repo::BranchName;
use allod_views::{
    Function, Projection, ProjectionDefinition, ViewError, Views, create_projection, define_type,
    drop_type,
};

use crate::world::{World, group, index, join, main, name, typed, words};

#[test]
fn types_and_projections_are_defined_and_dropped() {
    let mut world = World::new();
    let repo = world.repo.clone();
    let views = Views::open(&repo).unwrap();
    world.define("user", typed(&["id:string"]));
    world.create("by_id", index("user:*", None, &["id"], &[]));
    let defined = views.definitions().unwrap();
    assert_eq!(defined.types().count(), 1);
    assert_eq!(defined.projections().count(), 1);
    assert!(defined.kind_of(b"user:1").is_some());
    assert!(defined.kind_of(b"users:1").is_none());
    assert!(defined.kind_of(b"user").is_none());
    assert!(defined.kind_of(b"\xff:1").is_none());
    let narrowed = define_type(
        &repo,
        &name("user"),
        typed(&["id:number"]),
        false,
        world.by(),
    );
    assert!(
        matches!(narrowed, Err(ViewError::Type { .. })),
        "{narrowed:?}"
    );
    let again = create_projection(&repo, &name("by_id"), words("user:*", &["id"]), world.by());
    assert!(matches!(again, Err(ViewError::Exists(_))), "{again:?}");
    drop_type(&repo, &name("user"), world.by()).unwrap();
    views.drop_projection(&name("by_id"), world.by()).unwrap();
    assert!(matches!(
        drop_type(&repo, &name("user"), world.by()),
        Err(ViewError::NoType(_))
    ));
    let dropped = views.drop_projection(&name("by_id"), world.by());
    assert!(matches!(dropped, Err(ViewError::NoProjection(_))));
    let defined = views.definitions().unwrap();
    assert_eq!(defined.types().count() + defined.projections().count(), 0);
}

/// A commit is read with the types that were in force when it was made; what `meta` holds and is no
/// definition is passed over.
#[test]
fn a_commit_names_the_definitions_in_force() {
    let mut world = World::new();
    let views = Views::open(&world.repo).unwrap();
    let before = world.commit(&main(), &[("user:1", Some("{}"))]);
    world.define("user", typed(&["id:string"]));
    let first = world.commit(&main(), &[("user:1", Some(r#"{"id":"1"}"#))]);
    world.define("user", typed(&["id:string", "age:number"]));
    let second = world.commit(&main(), &[("user:1", Some(r#"{"id":"2"}"#))]);
    world.commit(
        &BranchName::meta(),
        &[
            ("type/order", Some("nonsense")),
            ("type/no name", Some("x")),
            ("projection/p", Some("")),
        ],
    );
    let fields = |id| {
        let snapshot = views.commit(id).unwrap();
        let kind = snapshot.types().kind(&name("user")).cloned();
        kind.map_or(0, |kind| kind.definition().fields.len())
    };
    assert_eq!([fields(before), fields(first), fields(second)], [0, 1, 2]);
    let now = views.branch(&main()).unwrap();
    assert_eq!(now.types().types().count(), 1);
    assert_eq!(now.projections().projections().count(), 0);
}

#[test]
fn only_the_owner_defines() {
    let mut world = World::new();
    let other = allod_identity::SecretKey::from_seed([2; 32]);
    let repo = world.repo.clone();
    let (owner, now) = world.by();
    repo.add_member(&other.agent_id(), owner, now).unwrap();
    let author = allod_repo::Author {
        agent: other.agent_id(),
        key: &other,
    };
    let defined = define_type(
        &repo,
        &name("user"),
        typed(&["id:string"]),
        false,
        (author, world.now + 5),
    );
    assert!(matches!(defined, Err(ViewError::Repo(_))), "{defined:?}");
}

#[track_caller]
fn broken(definition: ProjectionDefinition, words: &str) {
    let error = Projection::new(definition).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn projections_that_are_none() {
    for source in ["*", "user:1", "", "us*er:*"] {
        broken(index(source, None, &["a"], &[]), "no source");
    }
    broken(index("user:*", None, &[], &[]), "1 to 8");
    broken(index("user:*", None, &["a"; 9], &[]), "1 to 8");
    broken(index("user:*", None, &["a", "a"], &[]), "two columns");
    broken(index("user:*", None, &["a"], &[("a", "b")]), "two columns");
    broken(index("user:*", None, &["a"], &[("", "b")]), "no name");
    broken(index("user:*", Some("a ="), &["a"], &[]), "a =");
    broken(index("user:*", None, &["nothing(a)"], &[]), "nothing");
    let many: Vec<(String, String)> = (0..65).map(|n| (format!("v{n}"), "a".to_owned())).collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, of)| (name.as_str(), of.as_str()))
        .collect();
    broken(index("user:*", None, &["a"], &many), "0 to 64");
    broken(group("user:*", &[], &[]), "1 to 64");
    broken(
        group("user:*", &[], &[("s", Function::Sum, None)]),
        "only count",
    );
    broken(
        group("user:*", &[("n", "a")], &[("n", Function::Count, None)]),
        "two columns",
    );
    broken(join(("a:*", "x"), ("*", "y"), &[], &[], true), "no source");
    broken(
        join(
            ("a:*", "x"),
            ("b:*", "y"),
            &[("n", "x")],
            &[("n", "y")],
            true,
        ),
        "two columns",
    );
    broken(words("user:*", &[]), "1 to 8");
    assert!(Projection::decode(b"").is_none());
    let good = Projection::new(group(
        "user:*",
        &[("r", "role")],
        &[("n", Function::Count, None)],
    ))
    .unwrap();
    assert_eq!(
        Projection::decode(&good.encode()).unwrap().definition(),
        good.definition()
    );
    assert_eq!(good.columns(), ["r", "n"]);
}
