//! REPO-30 to REPO-33: tags.

use std::collections::BTreeMap;

use allod_repo::{
    BranchName, CommitId, Edit, Refusal, Repo, RepoError, TAG_MESSAGE_BYTES_MAX, TagName,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{
    Person, START, fault, heads, main, on, put, put_on, replica, scale, send, space,
};

fn name(text: &str) -> TagName {
    text.parse().unwrap()
}

fn tags(repo: &Repo) -> Vec<(String, CommitId)> {
    let tags = repo.tags().unwrap().into_iter();
    tags.map(|(name, tag)| (name.to_string(), tag.commit))
        .collect()
}

#[test]
fn a_tag_is_for_everybody_and_does_not_change() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let repo = space(&ada);
    let first = put(&repo, &ada, &[("k", Some("1"))], START);
    let second = put(&repo, &ada, &[("k", Some("2"))], START + 1);
    repo.add_member(&bob.author().agent, ada.author(), START)
        .unwrap();
    let v1 = name("v1");
    let long = "x".repeat(TAG_MESSAGE_BYTES_MAX);
    let made = repo.create_tag(&v1, first, &long, ada.author(), START + 2);
    let made = made.unwrap();
    assert_eq!(repo.find("v1").unwrap(), [first]);
    assert_eq!(
        repo.commit(made).unwrap().payload().branch,
        BranchName::meta()
    );
    let again = repo.create_tag(&v1, first, "", ada.author(), START + 3);
    assert!(matches!(fault(again), RepoError::TagExists(tag) if tag == v1));
    let longer = repo.create_tag(&name("v2"), first, &(long + "x"), ada.author(), START);
    assert!(matches!(fault(longer), RepoError::TooLong { .. }));
    let stranger = repo.create_tag(&name("v2"), first, "", bob.author(), START + 3);
    assert!(matches!(
        fault(stranger),
        RepoError::Denied {
            refusal: Refusal::NotOwner,
            ..
        }
    ));
    let nothing = repo.create_tag(
        &name("v2"),
        CommitId::from_cid(*repo.id().cid()),
        "",
        ada.author(),
        START,
    );
    assert!(matches!(fault(nothing), RepoError::NoCommit(_)));

    let other = replica(&repo);
    send(&repo, &other, &BranchName::meta(), START + 4).unwrap();
    assert_eq!(tags(&other), [("v1".to_owned(), first)]);
    assert!(
        matches!(fault(other.find("v1")), RepoError::NoCommit(_)),
        "REPO-33"
    );
    send(&repo, &other, &main(), START + 4).unwrap();
    assert_eq!(other.find("v1").unwrap(), [first]);

    // Written past the interface it is refused all the same.
    let meta = BranchName::meta();
    repo.stage(
        &meta,
        [(Bytes::from("tag/v1"), Edit::Put("x".into()))],
        START + 5,
    )
    .unwrap();
    let changed = repo.commit_staged(&meta, ada.author(), "", START + 5);
    assert!(matches!(fault(changed), RepoError::Refused(Refusal::Tag)));
    repo.unstage(&meta).unwrap();

    let early = repo.delete_tag(&name("v2"), ada.author(), START + 6);
    assert!(matches!(fault(early), RepoError::NoTag(_)));
    repo.delete_tag(&v1, ada.author(), START + 6).unwrap();
    assert!(repo.find("v1").unwrap().is_empty());
    repo.create_tag(&v1, second, "", ada.author(), START + 7)
        .unwrap();
    send(&repo, &other, &meta, START + 8).unwrap();
    assert_eq!(tags(&other), [("v1".to_owned(), second)]);
    assert_eq!(repo.check(&mut |_, _| {}).unwrap().problem_count, 0);
}

/// REPO-32.
#[test]
fn names_of_branches_and_tags_are_apart() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let id = put(&repo, &ada, &[("k", Some("1"))], START);
    repo.create_branch(&on("Draft"), &heads(&repo)).unwrap();
    let tag = |text: &str| repo.create_tag(&name(text), id, "", ada.author(), START + 1);
    for text in ["Draft", "draft", "MAIN"] {
        assert!(
            matches!(fault(tag(text)), RepoError::NameTaken { .. }),
            "{text}"
        );
    }
    tag("v1").unwrap();
    assert!(matches!(fault(tag("V1")), RepoError::NameTaken { taken } if taken == "v1"));
    for text in ["v1", "V1", "DRAFT"] {
        let made = repo.create_branch(&on(text), &heads(&repo));
        assert!(matches!(fault(made), RepoError::NameTaken { .. }), "{text}");
    }
    let made = repo.create_branch(&on("Draft"), &heads(&repo));
    assert!(matches!(fault(made), RepoError::BranchExists(_)));
}

/// What two devices of the owner named apart: one counts, and the same one everywhere.
#[test]
fn tags_made_apart_join_to_one() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let first = put(&repo, &ada, &[("k", Some("1"))], START);
    let second = put(&repo, &ada, &[("k", Some("2"))], START + 1);
    repo.create_tag(&name("v0"), first, "", ada.author(), START + 2)
        .unwrap();
    let other = replica(&repo);
    for branch in [main(), BranchName::meta()] {
        send(&repo, &other, &branch, START + 3).unwrap();
    }
    repo.create_tag(&name("v1"), first, "", ada.author(), START + 4)
        .unwrap();
    other
        .create_tag(&name("v1"), second, "", ada.author(), START + 5)
        .unwrap();
    let meta = BranchName::meta();
    send(&repo, &other, &meta, START + 6).unwrap();
    send(&other, &repo, &meta, START + 6).unwrap();
    assert_eq!(tags(&repo), tags(&other));
    assert_eq!(tags(&repo)[1], ("v1".to_owned(), second));
    assert_eq!(repo.conflicts(&meta, 10).unwrap()[0].key, "tag/v1");
    repo.create_tag(&name("v2"), first, "", ada.author(), START + 7)
        .unwrap();
    send(&repo, &other, &meta, START + 8).unwrap();
    assert_eq!(tags(&repo), tags(&other));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32 * scale(), ..ProptestConfig::default() })]

    /// A model that is a map of names.
    #[test]
    fn tags_agree_with_a_map(ops in prop::collection::vec((0..4u8, any::<bool>(), any::<bool>()), 1..20)) {
        let ada = Person::new(1);
        let repo = space(&ada);
        let other = replica(&repo);
        let mut model = BTreeMap::new();
        for (step, (at, delete, meet)) in ops.into_iter().enumerate() {
            let now = START + step as u64;
            let text = format!("t{at}");
            let id = put_on(&repo, &ada, "main", &[("k", Some(&step.to_string()))], now);
            if delete {
                let done = repo.delete_tag(&name(&text), ada.author(), now);
                prop_assert_eq!(done.is_ok(), model.remove(&text).is_some());
            } else {
                let done = repo.create_tag(&name(&text), id, "", ada.author(), now);
                prop_assert_eq!(done.is_ok(), !model.contains_key(&text));
                model.entry(text).or_insert(id);
            }
            prop_assert_eq!(tags(&repo), model.clone().into_iter().collect::<Vec<_>>());
            if meet && !repo.heads(&BranchName::meta()).unwrap().is_empty() {
                send(&repo, &other, &BranchName::meta(), now).unwrap();
                prop_assert_eq!(tags(&other), tags(&repo));
            }
        }
    }
}
