//! What is computed without anybody asking, in which order, and how far it is.

use std::ops::ControlFlow;

use allod_repo::BranchName;
use allod_views::{Priority, ViewError, Views};

use crate::world::{World, index, main, name, projected, typed};

/// Two branches with commits of their own; one projection.
fn world() -> (World, BranchName) {
    let mut world = World::new();
    world.define("user", typed(&["id:string", "role:string"]));
    let side: BranchName = "side".parse().unwrap();
    for n in 0..3 {
        let record = format!("{{\"id\":\"{n}\",\"role\":\"r{n}\"}}");
        world.commit(&main(), &[("user:1", Some(&record))]);
    }
    let heads = world.repo.heads(&main()).unwrap();
    world.repo.create_branch(&side, &heads).unwrap();
    for n in 3..5 {
        let record = format!("{{\"id\":\"{n}\",\"role\":\"r{n}\"}}");
        world.commit(&side, &[("user:1", Some(&record))]);
    }
    world.create("by_role", index("user:*", None, &["role"], &[]));
    (world, side)
}

#[test]
fn the_most_urgent_is_computed_first_and_counted() {
    let (world, side) = world();
    let views = Views::open(&world.repo).unwrap();
    let by_role = name("by_role");
    let counts = || {
        let status = views.status(&by_role).unwrap();
        assert_eq!(status.total, status.rebuilt + status.pending);
        assert!(!status.is_rebuilding);
        (status.total, status.rebuilt)
    };
    assert_eq!(counts(), (5, 0));
    let mut order = Vec::new();
    while let Some(job) = views.next_job(&side).unwrap() {
        order.push(job.priority);
        job.run(&mut |_| ControlFlow::Continue(())).unwrap();
    }
    // The commits of side have those of main behind them.
    let expected = [
        Priority::CurrentHead,
        Priority::CurrentHistory,
        Priority::CurrentHistory,
        Priority::CurrentHistory,
        Priority::CurrentHistory,
    ];
    assert_eq!(order, expected);
    assert_eq!(counts(), (5, 5));
    // Now from main: what is left of others is last.
    views.forget_all().unwrap();
    let mut order = Vec::new();
    while let Some(job) = views.next_job(&main()).unwrap() {
        order.push(job.priority);
        job.run(&mut |_| ControlFlow::Continue(())).unwrap();
    }
    let expected = [
        Priority::CurrentHead,
        Priority::CurrentHistory,
        Priority::CurrentHistory,
        Priority::OtherHeads,
        Priority::OtherHistory,
    ];
    assert_eq!(order, expected);
    assert_eq!(counts(), (5, 5));
}

#[test]
fn who_says_to_wait_is_heard_also_after_a_restart() {
    let (mut world, _) = world();
    let views = Views::open(&world.repo).unwrap();
    world.create("by_id", index("user:*", None, &["id"], &[]));
    views.wait(&name("by_id"), true).unwrap();
    assert!(views.status(&name("by_id")).unwrap().is_waiting);
    assert!(!views.status(&name("by_role")).unwrap().is_waiting);
    let again = Views::open(&world.repo).unwrap();
    while let Some(job) = again.next_job(&main()).unwrap() {
        assert_eq!(job.name, name("by_role"));
        job.run(&mut |_| ControlFlow::Continue(())).unwrap();
    }
    assert_eq!(again.status(&name("by_id")).unwrap().rebuilt, 0);
    // Whoever asks gets it all the same.
    drop(projected(&again.branch(&main()).unwrap(), "by_id"));
    assert_eq!(again.status(&name("by_id")).unwrap().rebuilt, 1);
    again.wait(&name("by_id"), false).unwrap();
    again.wait_all(true).unwrap();
    assert!(again.next_job(&main()).unwrap().is_none());
    again.wait_all(false).unwrap();
    assert_eq!(
        again.next_job(&main()).unwrap().unwrap().name,
        name("by_id")
    );
    let unknown = again.wait(&name("nothing"), true);
    assert!(matches!(unknown, Err(ViewError::NoProjection(_))));
}

#[test]
fn a_rebuild_computes_all_and_can_be_stopped() {
    let (world, _) = world();
    let views = Views::open(&world.repo).unwrap();
    let by_role = name("by_role");
    let mut seen = Vec::new();
    let progress = &mut |done, total| {
        seen.push((done, total));
        ControlFlow::Continue(())
    };
    // Two heads, and five commits.
    assert_eq!(views.rebuild(&by_role, progress).unwrap(), 7);
    assert_eq!(seen.first(), Some(&(0, 7)));
    assert_eq!(views.status(&by_role).unwrap().pending, 0);
    let mut left = 3;
    let stop = &mut |_, _| {
        left -= 1;
        if left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let stopped = views.rebuild(&by_role, stop);
    assert!(matches!(stopped, Err(ViewError::Cancelled)));
    let status = views.status(&by_role).unwrap();
    assert!(status.rebuilt > 0 && status.pending > 0, "{status:?}");
    assert!(
        views
            .rebuild(&name("nothing"), &mut |_, _| ControlFlow::Continue(()))
            .is_err()
    );
}
