//! What can be said about spaces.

use std::net::SocketAddr;

use allod_repo::Reach;
use clap::Subcommand;

use crate::cli::access_args::Gift;
use crate::cli::part_args::PartArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum SpaceCommand {
    /// Begin a space
    New {
        /// What to call it
        name: String,
    },
    /// List the spaces here
    List,
    /// Make a space the current one
    Use {
        /// Its name or id
        name: String,
    },
    /// Show whom a space is meant for, or say so
    #[command(
        after_help = "Examples:\n  allod space reach\n  allod space reach public\n\n\
        It gives nobody a right. Consumers of events can ask for spaces of some reach alone, so that a sink carries\n\
        what is public and nothing else: `allod sink add NAME --reach public ...`. It is said in the space, by its\n\
        owner, and is private until then."
    )]
    Reach {
        /// `private`, `invited`, `circle` or `public`
        reach: Option<Reach>,
        /// The space [default: the current one]
        #[arg(long = "of", value_name = "NAME")]
        name: Option<String>,
    },
    /// Print a ticket: whoever holds it may join, as a member or with what it grants
    #[command(after_help = "Examples:\n  allod space ticket\n  \
        allod space ticket --can read --branch public --expires 7d\n  \
        allod space ticket --can read,write --prefix notes/ --expires 7d --days 1\n\n\
        With --can, whoever joins is granted that, for so long as --expires says; `allod grants` shows it. Without, they are\n\
        members, who may read and write what rules do not say otherwise.")]
    Ticket {
        /// The space [default: the current one]
        name: Option<String>,
        /// Addresses to put into it [default: those of the running node]
        #[arg(long, value_name = "ADDR")]
        addr: Vec<SocketAddr>,
        /// Days until it expires
        #[arg(long, default_value_t = 7)]
        days: u64,
        #[command(flatten)]
        gift: Gift,
    },
    /// Join the space of a ticket and fetch it, or a part of it
    #[command(
        visible_alias = "clone",
        after_help = "Examples:\n  allod space join allod-ticket:b...\n  \
        allod space clone allod-ticket:b... --prefix note: --prefix photo/2026 --depth 1\n  \
        allod space clone allod-ticket:b... --max-value 10M"
    )]
    Join {
        /// The ticket
        ticket: String,
        /// What to call the space here [default: as its owner does]
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        part: PartArgs,
    },
    /// Leave a space on this device: it does not come back by itself; other devices and members keep it
    #[command(
        after_help = "Examples:\n  allod space leave notes\n  allod space leave notes --undo\n\n\
        Another device of yours that has the space goes on with it. What it has stays in the store here, so that it can be \n\
        taken back: with --undo, or with a ticket."
    )]
    Leave {
        /// Its name or id
        name: String,
        /// Take a space back that was left
        #[arg(long)]
        undo: bool,
        /// Leave it although no other device is known to have all that is here
        #[arg(long, conflicts_with = "undo")]
        yes: bool,
    },
    /// Show which part of a space is kept here, or change that
    #[command(
        after_help = "Without options it shows the part. To keep another, say all of it:\n  \
        allod space part --prefix note: --prefix user: --depth 1 --max-value 10M\n\nWhat is not here comes from \
        peers; what falls out goes with the next `allod gc`. A larger file is read by `allod get KEY --raw --ask`, \
        from a peer."
    )]
    Part {
        /// The space [default: the current one]
        name: Option<String>,
        #[command(flatten)]
        part: PartArgs,
        /// Do not ask a peer whether it still has what falls out, but go by what it told last
        #[arg(long)]
        offline: bool,
        /// Give up a change that was begun and did not come to its end
        #[arg(long, conflicts_with_all = ["prefix", "depth", "max_value", "offline"])]
        give_up: bool,
    },
}
