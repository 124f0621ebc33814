//! What can be said about whom to believe.

use std::path::PathBuf;

use allod_identity::AgentId;
use allod_trust::Level;
use clap::{Args, Subcommand};

/// From when on and until when something holds.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Validity {
    /// For so many days; without it, until it is revoked
    #[arg(long)]
    pub(crate) days: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    allod attest did:key:z6Mk... vouch 'I have known her for years'\n  \
    allod attest did:key:z6Mk... skill.bees 'keeps bees since 2019' --evidence bafy... --days 365\n  \
    allod attest space:notes licence 'CC BY 4.0'\n\n\
    It is signed, and kept in your public space, where everybody may read it.")]
pub(crate) struct Attest {
    /// About whom or what: an agent's DID, `device:DID`, `space:NAME`, or a CID
    pub(crate) about: String,
    /// Of which category: a word of a-z, 0-9, `.` and `-`; `vouch` leads from you to an agent
    pub(crate) category: String,
    /// What you claim: a line
    pub(crate) claim: String,
    /// What shows it
    #[arg(long, value_name = "CID")]
    pub(crate) evidence: Vec<String>,
    #[command(flatten)]
    pub(crate) validity: Validity,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    allod attestations --about did:key:z6Mk...\n  \
    allod attestations --by did:key:z6Mk... --category vouch --json")]
pub(crate) struct Attestations {
    /// Whose
    #[arg(long, value_name = "DID")]
    pub(crate) by: Option<AgentId>,
    /// About whom or what, as for `allod attest`
    #[arg(long)]
    pub(crate) about: Option<String>,
    /// Of which category
    #[arg(long)]
    pub(crate) category: Option<String>,
    /// Valid then, in milliseconds since 1970; now unless said otherwise
    #[arg(long, value_name = "MS", conflicts_with = "all")]
    pub(crate) at: Option<u64>,
    /// Also those that are no longer valid, or not yet
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Say how close somebody is to you; it holds once they say so too
    #[command(after_help = "Examples:\n  \
        allod trust relate did:key:z6Mk... --level family\n  \
        allod trust relate did:key:z6Mk... --level association --kind bee-keeper --days 365")]
    Relate {
        /// With whom
        with: AgentId,
        /// How close: family, extended, community, association or network
        #[arg(long, value_parser = level)]
        level: Level,
        /// Of which kind: a word of a-z, 0-9, `.` and `-`
        #[arg(long, default_value = "friend")]
        kind: String,
        #[command(flatten)]
        validity: Validity,
    },
    /// List the relationships of an agent, and halves that wait for an answer
    List {
        /// Whose; yours unless said otherwise
        agent: Option<AgentId>,
    },
    /// Show by which way you know somebody
    Path {
        /// Whom
        to: AgentId,
        /// From whom; from you unless said otherwise
        #[arg(long, value_name = "DID")]
        from: Option<AgentId>,
        /// Over so many steps at most
        #[arg(long, default_value_t = allod_trust::DISTANCE_MAX,
              value_parser = clap::value_parser!(u8).range(1..=i64::from(allod_trust::DISTANCE_MAX)))]
        within: u8,
        /// Over steps of this level at least
        #[arg(long, value_parser = level, default_value = "network")]
        level: Level,
    },
    /// What a space takes from whom
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// List what is in quarantine, or beside a branch
    Held,
    /// Let commits out of quarantine, with those before them
    Release {
        /// The commits
        #[arg(required = true)]
        commits: Vec<String>,
    },
    /// Commit on top of what is beside a branch, so that it counts for all
    TakeIn {
        /// The branch; the current one unless said otherwise
        branch: Option<String>,
    },
    /// Print records as text, to be given to somebody
    Give {
        /// Their CIDs
        #[arg(required = true)]
        records: Vec<String>,
    },
    /// Keep records that somebody gave you in your public space: a file, or standard input
    Take {
        /// The file; `-` or nothing reads standard input
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print it
    Show,
    /// Set it from a JSON file; only the space's owner may
    #[command(
        after_help = "A policy is a list of rules; the first that holds decides:\n  \
        {\"rules\": [{\"when\": {\"related\": {\"within\": 2, \"level\": \"community\"}}, \"then\": \"accept\",\n  \
        \x20            \"because\": \"a friend of a friend\"}], \"otherwise\": \"quarantine\"}\n\n\
        Conditions: author, device, attested, related, member, custom, all, any, not. An empty list is nobody."
    )]
    Set {
        /// The file; `-` reads standard input
        file: PathBuf,
    },
    /// Take from every member again; only the space's owner may
    Clear,
    /// Say what it would say of a commit, and why; nothing changes
    Test {
        /// The commit
        commit: String,
        /// A policy in a JSON file, in place of that of the space
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CircleCommand {
    /// Begin a circle
    #[command(after_help = "Examples:\n  \
        allod circle new 'Garden Street' --role steward:member,steward --role member\n\n\
        Each role may name those that it admits others to; you may admit to all.")]
    New {
        /// What people call it
        name: String,
        /// A role, with those that it may admit others to
        #[arg(long = "role", value_name = "ROLE[:ROLES]", default_value = "member")]
        roles: Vec<String>,
    },
    /// Admit somebody
    Admit {
        /// The circle's CID, or enough of its name
        circle: String,
        /// Whom
        member: AgentId,
        /// With which role
        #[arg(long, default_value = "member")]
        role: String,
        #[command(flatten)]
        validity: Validity,
    },
    /// List circles, or the members of one
    List {
        /// The circle's CID, or enough of its name
        circle: Option<String>,
    },
}

/// A level by its name.
fn level(text: &str) -> Result<Level, String> {
    let found = Level::ALL.into_iter().find(|level| level.name() == text);
    found.ok_or_else(|| "family, extended, community, association or network".to_owned())
}
