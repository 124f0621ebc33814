//! `http token issue`: a session token for somebody.

use allod::{Node, TokenFor};
use allod_access::{Command, Op};
use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;

use crate::cli::io::Io;

/// What a session token is issued for.
#[derive(Debug, Args)]
pub(crate) struct IssueArgs {
    /// Who is to bear it: a did:key, or a handle
    pub(crate) user: String,
    /// A role besides those that the user has
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    pub(crate) role: Vec<String>,
    /// What it may be used for: read, write, delete, ..., or commands as /space/read
    #[arg(long, value_name = "WHAT", value_delimiter = ',', required = true)]
    pub(crate) can: Vec<String>,
    /// How long it lasts, 1 to 60
    #[arg(long, value_name = "MINUTES", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) minutes: u64,
    /// In which space alone, by its name here or its id [default: all]
    #[arg(long = "in", value_name = "SPACE")]
    pub(crate) within: Option<String>,
}

pub(crate) fn issue(node: &Node, args: &IssueArgs, io: &mut Io<'_>) -> Result<()> {
    let can = args.can.iter().map(|text| {
        let command = if text.starts_with('/') {
            text.parse::<Command>().map_err(anyhow::Error::from)
        } else {
            text.parse::<Op>().map(Command::from).map_err(Into::into)
        };
        command.with_context(|| format!("--can {text}"))
    });
    let space = args.within.as_deref().map(|name| node.space(Some(name)));
    let text = node.issue_token(TokenFor {
        user: args.user.clone(),
        roles: args.role.clone(),
        can: can.collect::<Result<_>>()?,
        space: space.transpose()?.map(|repo| *repo.id().cid()),
        minutes: args.minutes,
    })?;
    io.data(&json!({ "token": text }), || text.clone())
}
