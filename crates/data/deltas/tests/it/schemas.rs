//! Schemas that are said by deltas, and the bounds of views.

use std::sync::Arc;

use allod_deltas::{
    Delta, DeltaFilter, DeltaStore, HyperSchema, HyperView, Looking, META_SCHEMA, MayNegate,
    MemoryDeltas, Number, On, Pattern, Pointer, ReadSchemaError, SELECT_BY_TARGET_CONTEXT, Schemas,
    Select, Transform, ViewError,
};

use crate::world::delta;

fn append(store: &MemoryDeltas, deltas: impl IntoIterator<Item = Delta>) {
    let deltas: Vec<Arc<Delta>> = deltas.into_iter().map(Arc::new).collect();
    store.append(&deltas, 0).unwrap();
}

fn say(store: &MemoryDeltas, schema: &HyperSchema, at: u64) {
    let said = schema.to_pointers().unwrap().into_iter().enumerate();
    append(
        store,
        said.map(|(n, pointers)| delta(&format!("{}-{at}-{n}", schema.id), at, "alice", pointers)),
    );
}

fn read(store: &MemoryDeltas, id: &str, at: Option<u64>) -> Option<HyperSchema> {
    HyperSchema::read(store, id, (at.map(Number::of), &MayNegate::Anyone)).unwrap()
}

#[test]
fn a_schema_that_is_said_reads_back() {
    let store = MemoryDeltas::new();
    let mut schema = HyperSchema::new("post", "Post")
        .with(On::Role("author".into()), "person")
        .with(On::Context("tags".into()), "tag");
    schema.transform.push(Transform {
        on: On::Context("likes".into()),
        schema: "person".into(),
        when: Some(DeltaFilter {
            authors: Some(["bob".to_owned()].into()),
            ..DeltaFilter::default()
        }),
    });
    schema.transform.sort_by(|a, b| a.on.cmp(&b.on));
    schema.select = Select::Patterns(vec![Pattern {
        contexts: Some(["title".to_owned()].into()),
        property: Some("name".into()),
        ..Pattern::default()
    }]);
    assert_eq!(read(&store, "post", None), None, "nobody has said it");
    say(&store, &schema, 10);
    assert_eq!(read(&store, "post", None), Some(schema.clone()));
    assert_eq!(HyperSchema::decode(&schema.encode()), Ok(schema.clone()));
    // Later it selects by context, and then that is taken back.
    let select = vec![
        Pointer::under("schema", "post", "select").unwrap(),
        Pointer::to("pattern", SELECT_BY_TARGET_CONTEXT).unwrap(),
    ];
    append(&store, [delta("later", 20, "alice", select)]);
    assert_eq!(
        read(&store, "post", None).unwrap().select,
        Select::TargetContext
    );
    assert_eq!(read(&store, "post", Some(19)), Some(schema.clone()));
    append(
        &store,
        [delta(
            "undo",
            30,
            "alice",
            vec![Pointer::negates("later").unwrap()],
        )],
    );
    assert_eq!(read(&store, "post", None), Some(schema.clone()));
    assert_eq!(read(&store, META_SCHEMA, None), Some(HyperSchema::meta()));
    // The schema of schemas shows it as an object.
    let schemas = Schemas::new([HyperSchema::meta()]).unwrap();
    let view = HyperView::of(&store, &schemas, META_SCHEMA, "post", &Looking::default()).unwrap();
    let properties: Vec<&String> = view.properties.keys().collect();
    assert_eq!(properties, ["name", "select", "transform"]);
}

#[test]
fn what_is_no_schema_is_refused() {
    let store = MemoryDeltas::new();
    say(&store, &HyperSchema::new("post", "Post"), 1);
    for (id, role, pointer) in [
        (
            "a",
            "select",
            Pointer::to("pattern", "select_everything").unwrap(),
        ),
        ("b", "select", Pointer::text("pattern", "[").unwrap()),
        (
            "c",
            "transform",
            Pointer::text("rules", "{\"author\":1}").unwrap(),
        ),
    ] {
        let about = Pointer::under("schema", "post", role).unwrap();
        append(&store, [delta(id, 2, "alice", vec![about, pointer])]);
        let said = HyperSchema::read(&store, "post", (None, &MayNegate::Anyone));
        assert!(matches!(said, Err(ReadSchemaError::Schema(_))), "{id}");
        append(
            &store,
            [delta(
                &format!("undo {id}"),
                3,
                "alice",
                vec![Pointer::negates(id).unwrap()],
            )],
        );
    }
    assert!(read(&store, "post", None).is_some());
}

#[test]
fn a_schema_that_too_much_was_said_about_is_refused() {
    let store = MemoryDeltas::new();
    let name = |n: u32| {
        let about = Pointer::under("schema", "post", "name").unwrap();
        delta(
            &format!("n{n}"),
            1,
            "alice",
            vec![about, Pointer::text("name", "Post").unwrap()],
        )
    };
    append(&store, (0..16_384).map(name));
    assert_eq!(read(&store, "post", None).unwrap().name, "Post");
    append(&store, [name(16_384)]);
    let said = HyperSchema::read(&store, "post", (None, &MayNegate::Anyone));
    assert!(matches!(said, Err(ReadSchemaError::Schema(_))));
}

#[test]
fn a_hash_is_that_of_what_a_schema_says() {
    let one = HyperSchema::new("post", "Post").with(On::Role("a".into()), "x");
    let same = HyperSchema::decode(
        " {\"transform\":{\"a\":{\"schemaId\":\"x\"}}, \"name\":\"Post\",\"id\":\"post\"}",
    )
    .unwrap();
    assert_eq!(one.hash(), same.hash());
    assert_ne!(one.hash(), HyperSchema::new("post", "Post").hash());
}

/// DELTA-44: sixteen levels with two references each are few deltas and a large view.
#[test]
fn a_view_that_would_be_written_without_end_is_refused() {
    let store = MemoryDeltas::new();
    let names: Vec<String> = (0..16).map(|n| format!("s{n}")).collect();
    let schemas = Schemas::new(names.iter().enumerate().map(|(n, name)| {
        let schema = HyperSchema::new(name, "S");
        match names.get(n + 1) {
            Some(next) => schema.with(On::Role("part".into()), next),
            None => schema,
        }
    }))
    .unwrap();
    append(
        &store,
        (0..16).flat_map(|n| {
            (0..3).map(move |k| {
                let pointers = vec![
                    Pointer::under("of", format!("o{n}"), "parts").unwrap(),
                    Pointer::to("part", format!("o{}", n + 1)).unwrap(),
                ];
                delta(&format!("d{n}-{k}"), 1, "alice", pointers)
            })
        }),
    );
    let view = |schema: &str, object: &str| {
        HyperView::of(&store, &schemas, schema, object, &Looking::default())
    };
    assert!(matches!(view("s0", "o0"), Err(ViewError::Budget)));
    let some = view("s10", "o10").unwrap();
    assert_eq!(some.properties["parts"].len(), 3);
    assert!(matches!(view("none", "o0"), Err(ViewError::NoSchema(_))));
}

/// Objects that refer to each other end where the schemas do.
#[test]
fn objects_in_a_circle_are_viewed() {
    let store = MemoryDeltas::new();
    let friends = |id: &str, of: &str, friend: &str| {
        let pointers = vec![
            Pointer::under("of", of, "friend").unwrap(),
            Pointer::under("friend", friend, "friend").unwrap(),
        ];
        delta(id, 1, "alice", pointers)
    };
    append(
        &store,
        [friends("1", "ann", "ben"), friends("2", "ben", "ann")],
    );
    let schemas = Schemas::new([
        HyperSchema::new("person", "Person").with(On::Role("friend".into()), "name"),
        HyperSchema::new("name", "Name"),
    ])
    .unwrap();
    let view = HyperView::of(&store, &schemas, "person", "ann", &Looking::default()).unwrap();
    let json = view.to_json();
    assert!(
        json.contains("\"_context\":\"friend\""),
        "the context is kept: {json}"
    );
    assert_eq!(view.properties["friend"].len(), 2);
}

/// A view is bounded by bytes too: few deltas may be large.
#[test]
fn a_view_of_many_bytes_is_refused() {
    let store = MemoryDeltas::new();
    let text = "x".repeat(255 * 1024);
    let say = |from: u32, to: u32| {
        for of in from..to {
            let pointers = vec![
                Pointer::under("of", "o1", "c").unwrap(),
                Pointer::text("is", text.as_str()).unwrap(),
            ];
            let said = Delta::new(format!("d{of}"), Number::of(1), "a", "s", pointers).unwrap();
            store.append(&[Arc::new(said)], 1).unwrap();
        }
    };
    let schemas = Schemas::new([HyperSchema::new("s", "S")]).unwrap();
    let view = || HyperView::of(&store, &schemas, "s", "o1", &Looking::default());
    say(0, 256);
    assert_eq!(view().unwrap().metadata.delta_count, 256);
    say(256, 258);
    assert!(matches!(view(), Err(ViewError::Budget)));
}
