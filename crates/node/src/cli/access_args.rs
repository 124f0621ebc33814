//! What can be said about who may do what.

use allod_identity::AgentId;
use clap::{Args, Subcommand, ValueEnum};

use crate::cli::id_args::wait_ms;

/// What is granted, and under which conditions.
#[derive(Clone, Debug, Args)]
pub(crate) struct Gift {
    /// What: read, write, delete, create, merge, drop, admin, pin, events, `all`, or a command as /space/read; with commas
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) can: Vec<String>,
    /// Only keys that begin with this; several are any of them
    #[arg(long, value_name = "TEXT", requires = "can")]
    pub(crate) prefix: Vec<String>,
    /// Only this branch, or those of a pattern with *; several are any of them
    #[arg(long, value_name = "NAME", requires = "can")]
    pub(crate) branch: Vec<String>,
    /// Only under this policy, as JSON: `[["like", ".key", "notes/*"]]`
    #[arg(long, value_name = "JSON", requires = "can")]
    pub(crate) policy: Option<String>,
    /// For so long: 30m, 12h, 7d or 2w; without it, until it is taken back
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "can")]
    pub(crate) expires: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    allod grant did:key:z6Mk... --can read,write --prefix notes/ --expires 7d\n  \
    allod grant did:key:z6Mk... --can read --branch public\n  \
    allod grant did:key:z6Mk... --can all\n\n\
    Who was granted something can pass it on, or less of it, in the same way. `allod grants` lists them, `allod revoke CID`\n\
    takes one back, with all that rests on it. A prefix that may be read is declared as a part of the branch (`allod space\n\
    parts`), so that who may read no more gets that over the wire, and nothing else.")]
pub(crate) struct GrantArgs {
    /// To whom: an agent's DID
    pub(crate) to: AgentId,
    #[command(flatten)]
    pub(crate) gift: Gift,
    /// Not before so long from now: 30m, 12h, 7d or 2w
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) after: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct GrantsArgs {
    /// Only those to this agent
    #[arg(long, value_name = "DID")]
    pub(crate) to: Option<AgentId>,
    /// Also those that ended or were taken back
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum About {
    Key,
    Branch,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// List the rules
    Show,
    /// Set a rule, in the place of the one with the same pattern
    #[command(after_help = "Examples:\n  \
        allod rules set key 'user:{userId}:*' --owner '{userId}' --allow admin=read,write,delete\n  \
        allod rules set key 'shared:*' --allow editor=read,write --allow viewer=read\n  \
        allod rules set branch main --allow admin=merge --allow member=read --nobody drop\n  \
        allod rules set branch '{user}/*' --owner '{user}'\n\n\
        {name} in a pattern stands for a text without : and /, and * at its end for any rest. Who is meant by an owner is\n\
        called so: by a handle that `allod member set` gives, or by the did:key, with or without did:key:.\n\
        What rules name and do not allow is denied; the most specific rule decides, and --deny goes before all.")]
    Set(RuleArgs),
    /// Remove a rule
    Remove {
        /// About keys or branches
        about: About,
        /// Its pattern
        pattern: String,
    },
    /// Say whether somebody may do something, and why
    #[command(after_help = "Examples:\n  \
        allod rules test did:key:z6Mk... write main notes/1\n  \
        allod rules test alice read main 'user:bob:*'\n  \
        allod rules test did:key:z6Mk... merge main")]
    Test {
        /// Who: an agent's DID, or a handle
        who: String,
        /// What: read, write, delete, create, merge, drop, admin, pin or events
        op: String,
        /// On which branch
        branch: String,
        /// On which key; with * at its end, on all that begin so
        key: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RuleArgs {
    /// About keys or branches
    pub(crate) about: About,
    /// Which of them
    pub(crate) pattern: String,
    /// Whom they belong to: {name} of the pattern, or what somebody is called
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// A role, and what it may: editor=read,write; member, admin and anyone are roles too
    #[arg(long, value_name = "ROLE=WHAT")]
    pub(crate) allow: Vec<String>,
    /// A role, and what it may not, whatever else says so
    #[arg(long, value_name = "ROLE=WHAT")]
    pub(crate) deny: Vec<String>,
    /// What nobody may, the owner of the space neither
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) nobody: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// List the members with their roles
    List,
    /// Say what somebody is in the space, in the place of what was said
    #[command(
        after_help = "Examples:\n  allod member set did:key:z6Mk... --name alice --role editor\n\n\
        Without --role somebody is a member and nothing else."
    )]
    Set {
        /// Who
        agent: AgentId,
        /// What rules call it: a word of a-z, 0-9, `.` and `-`
        #[arg(long)]
        name: Option<String>,
        /// Roles that rules name, besides `member`
        #[arg(long)]
        role: Vec<String>,
    },
    /// Make somebody a member no more
    Remove {
        /// Who
        agent: AgentId,
    },
}

/// How long something holds, in milliseconds: as a wait, or in weeks.
fn duration(text: &str) -> Result<u64, String> {
    let time = match text.strip_suffix('w') {
        Some(weeks) => wait_ms(&format!("{weeks}d"))?.checked_mul(7),
        None => Some(wait_ms(text)?),
    };
    time.filter(|it| *it > 0)
        .ok_or_else(|| format!("{text:?} is no time; say 30m, 12h, 7d or 2w"))
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("7d"), Ok(604_800_000));
        assert_eq!(duration("30m"), Ok(1_800_000));
        for bad in ["", "d", "7", "7x", "-1d", "0d", "99999999999999999w"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
