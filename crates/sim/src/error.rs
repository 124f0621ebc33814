//! How a world fails.

/// A promise that did not hold. Blame: the code under test.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// What was acknowledged as staged or committed is not there, or is not what was written.
    #[error("node {node}: lost: {what}")]
    Lost {
        /// The node.
        node: usize,
        /// What is missing.
        what: String,
    },
    /// Replicas that have talked to each other differ.
    #[error("nodes {left} and {right} differ: {what}")]
    Diverged {
        /// One node.
        left: usize,
        /// The other.
        right: usize,
        /// Where.
        what: String,
    },
    /// A check of a whole replica found something.
    #[error("node {node}: damaged: {what}")]
    Damaged {
        /// The node.
        node: usize,
        /// What was found.
        what: String,
    },
    /// A session between honest nodes ended as it may not, or refused what it may not.
    #[error("node {node} in a session with {peer}: {what}")]
    Session {
        /// The node that ended it or refused.
        node: usize,
        /// Its peer.
        peer: usize,
        /// The code and reason.
        what: String,
    },
    /// A call failed although no fault was injected.
    #[error("node {node}: {what}")]
    Fault {
        /// The node.
        node: usize,
        /// The call and its error.
        what: String,
    },
    /// More crossed a link, or there were more sessions, than there is a reason for.
    #[error("a storm: {0}")]
    Storm(String),
    /// A run or session does not come to an end.
    #[error("no end: {0}")]
    Endless(&'static str),
}
