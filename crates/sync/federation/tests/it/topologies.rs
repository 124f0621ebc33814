//! The example of five topologies, run to its end: everybody has exactly what is said there.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the example has a main of its own"
)]
#[path = "../../examples/topologies.rs"]
mod example;

#[tokio::test(flavor = "multi_thread")]
async fn everybody_has_exactly_what_the_topology_gives() {
    for name in example::TOPOLOGIES {
        let counts = example::run(name).await.unwrap();
        assert!(counts.len() >= 4, "{name}");
    }
    assert!(example::run("star").await.is_err());
}
