//! Who is linked with whom.

use std::collections::BTreeSet;
use std::fmt;

use crate::rng::Rng;

/// The shape of a network. Each is connected.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Topology {
    /// Everybody with everybody.
    #[default]
    Full,
    /// One after the other.
    Line,
    /// The same, and the last with the first.
    Ring,
    /// All with one in the middle.
    Star,
    /// Each with one that was there before.
    Tree,
    /// A tree and some links more.
    Random,
}

/// A link, the lesser number first.
pub(crate) type Link = (usize, usize);

/// The link between two nodes.
pub(crate) const fn link(one: usize, other: usize) -> Link {
    if one < other {
        (one, other)
    } else {
        (other, one)
    }
}

impl Topology {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Full,
        Self::Line,
        Self::Ring,
        Self::Star,
        Self::Tree,
        Self::Random,
    ];

    /// The links between these nodes, which take their places by chance.
    pub(crate) fn links(self, nodes: &[usize], rng: &mut Rng) -> BTreeSet<Link> {
        let mut order = nodes.to_vec();
        for at in (1..order.len()).rev() {
            order.swap(at, rng.index(at + 1));
        }
        let mut links = BTreeSet::new();
        for (at, node) in order.iter().enumerate().skip(1) {
            let before = match self {
                Self::Full => {
                    links.extend(order[..at].iter().map(|other| link(*node, *other)));
                    continue;
                }
                Self::Line | Self::Ring => at - 1,
                Self::Star => 0,
                Self::Tree | Self::Random => rng.index(at),
            };
            links.insert(link(*node, order[before]));
        }
        if let (Self::Ring, [first, .., last]) = (self, order.as_slice()) {
            links.insert(link(*first, *last));
        }
        if self == Self::Random {
            for _ in 0..order.len() / 2 {
                let (one, other) = (rng.index(order.len()), rng.index(order.len()));
                if one != other {
                    links.insert(link(order[one], order[other]));
                }
            }
        }
        links
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Line => "line",
            Self::Ring => "ring",
            Self::Star => "star",
            Self::Tree => "tree",
            Self::Random => "random",
        })
    }
}
