//! Who claims what at one time, for policies to ask: however much is claimed, each look takes few steps.

use allod_identity::AgentId;

use crate::counted::{Claim, Counted};
use crate::record::{About, is_valid};

/// The claims that are valid at one time: of those that say the same of the same by the same author only the first.
#[derive(Clone, Default)]
pub(crate) struct Attested {
    /// By what they are about, category, author and text.
    claims: Vec<Claim>,
}

impl Attested {
    pub(crate) fn new(counted: &Counted, now: u64) -> Self {
        let all = counted.claims_in_order().iter();
        let valid = all.filter(|claim| is_valid(claim.payload().from, claim.payload().until, now));
        let mut claims: Vec<Claim> = valid.cloned().collect();
        claims.dedup_by(|later, first| {
            let (later, first) = (later.payload(), first.payload());
            (later.by, later.about) == (first.by, first.about)
                && later.category == first.category
                && later.claim == first.claim
        });
        Self { claims }
    }

    /// The claim of an author, with a text if one is given; of several the first.
    pub(crate) fn by(
        &self,
        by: &AgentId,
        about: &About,
        category: &str,
        text: Option<&str>,
    ) -> Option<&Claim> {
        let wanted = (about, category, by, text.unwrap_or_default());
        let start = self.claims.partition_point(|claim| {
            let it = claim.payload();
            (&it.about, it.category.as_str(), &it.by, it.claim.as_str()) < wanted
        });
        self.claims.get(start).filter(|claim| {
            let it = claim.payload();
            (&it.about, it.category.as_str(), &it.by) == (about, category, by)
                && text.is_none_or(|text| it.claim == text)
        })
    }

    /// The authors of claims of a category, each once, ascending.
    pub(crate) fn authors(
        &self,
        about: &About,
        category: &str,
    ) -> impl Iterator<Item = AgentId> + use<'_> {
        let place = |claim: &Claim| {
            let it = claim.payload();
            it.about
                .cmp(about)
                .then_with(|| it.category.as_str().cmp(category))
        };
        let start = self.claims.partition_point(|claim| place(claim).is_lt());
        let rest = &self.claims[start..];
        let mut rest = &rest[..rest.partition_point(|claim| place(claim).is_le())];
        std::iter::from_fn(move || {
            let author = rest.first()?.payload().by;
            rest = &rest[of_first(rest)..];
            Some(author)
        })
    }
}

/// How many claims are of the same author as the first. Most have few, and those with many are passed over in leaps.
fn of_first(claims: &[Claim]) -> usize {
    let by = claims.first().map(|claim| claim.payload().by);
    let is_theirs = |claim: &Claim| Some(claim.payload().by) == by;
    let mut leap = 1;
    while claims.get(leap).is_some_and(is_theirs) {
        leap *= 2;
    }
    let (start, end) = (leap / 2, leap.min(claims.len()));
    start + claims[start..end].partition_point(is_theirs)
}
