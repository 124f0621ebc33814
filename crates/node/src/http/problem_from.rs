//! What each fault and refusal of the layers below is over HTTP: the one place that decides it (HTTP-31).

use allod_blocks::{FileError, StoreError, StoreErrorKind};
use allod_feed::FeedError;
use allod_repo::{Refusal, RepoError};
use allod_sql::{SqlError, TableError};

use axum::http::HeaderValue;

use super::problem::Problem;
use super::routes::CURSOR;
use crate::error::NodeError;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::Full => Self::new("E_HTTP_FULL", "nothing was written"),
            _ => Self::fault(error),
        }
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Store(error) => error.into(),
            error => Self::fault(error),
        }
    }
}

impl From<RepoError> for Problem {
    fn from(error: RepoError) -> Self {
        use RepoError as E;
        let words = error.to_string();
        match error {
            E::Store(error) => error.into(),
            E::NoSpace(_) => Self::new("E_HTTP_SPACE", words),
            E::NoBranch(name) => Self::new("E_HTTP_STATE", format!("no branch {name}")),
            E::NoTag(name) => Self::new("E_HTTP_STATE", format!("no tag {name}")),
            E::NoCommit(_) => Self::new("E_HTTP_STATE", words),
            E::BadKey { .. } => Self::new("E_HTTP_KEY", words),
            E::BranchName(_) | E::TooLong { .. } | E::TooMany { .. } => {
                Self::new("E_HTTP_VALUE", words)
            }
            E::BranchExists(_) | E::NameTaken { .. } => Self::new("E_HTTP_EXISTS", words),
            E::Unmerged(name) => {
                let words = format!(
                    "branch {name} has commits that no other branch has; force=true deletes it all the same"
                );
                Self::new("E_HTTP_REFUSED", words)
            }
            E::NotCounting(_)
            | E::MadeElsewhere(_)
            | E::RightsApart
            | E::BranchKept(_)
            | E::InTheWay { .. }
            | E::UnderWay(_)
            | E::NoDevice
            | E::Beside => Self::new("E_HTTP_REFUSED", words),
            E::Conflict { .. } | E::Contended(_) | E::MovedOn(_) => {
                Self::new("E_HTTP_MOVED", words)
            }
            E::Joins { .. } | E::OtherKind { .. } | E::PlainValue { .. } => Self::new(
                "E_CRDT_KIND",
                "it is changed by operations, on the command line",
            ),
            E::StateTooLarge(_) => Self::new("E_CRDT_SIZE", words),
            E::Bare(_) => Self::new("E_BARE", words),
            E::OutOfPart { .. } => Self::new("E_PART", words),
            E::NotKept { .. } => Self::new("E_PART", "the file is larger than what is kept here"),
            // Its words are for whoever asked for the commit (HOOK-3).
            E::Hook(words) => Self::new("E_HOOK", words),
            E::HookFailed(words) => Self::new("E_HOOK_FAILED", words),
            E::Refused(refusal) | E::Denied { refusal, .. } => refusal.into(),
            error => Self::fault(error),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rights => Self::new("E_HTTP_DENIED", refusal.to_string()),
            refusal => Self::new(refusal.code(), refusal.to_string()),
        }
    }
}

impl From<FeedError> for Problem {
    fn from(error: FeedError) -> Self {
        let words = error.to_string();
        match error {
            FeedError::Repo(error) => error.into(),
            FeedError::Store(error) => error.into(),
            FeedError::Expired { snapshot, .. } => {
                let problem = Self::new("E_CURSOR_EXPIRED", words);
                match HeaderValue::try_from(snapshot.to_string()) {
                    Ok(snapshot) => problem.with(CURSOR, snapshot),
                    Err(_) => problem,
                }
            }
            FeedError::Cursor => Self::new("E_CURSOR", words),
            FeedError::Filter(_) => Self::new("E_FILTER", words),
            error => Self::fault(error),
        }
    }
}

impl From<NodeError> for Problem {
    fn from(error: NodeError) -> Self {
        use NodeError as E;
        match error {
            E::Repo(error) => error.into(),
            E::Blob(error) => error.into(),
            E::NoSuchSpace(name) => Self::new("E_HTTP_SPACE", format!("no space {name:?} here")),
            E::NoState(text) => {
                let words =
                    format!("no branch, tag or commit {text:?}, nor a time with commits before it");
                Self::new("E_HTTP_STATE", words)
            }
            E::NoBranch(name) => Self::new("E_HTTP_STATE", format!("no branch {name:?}")),
            E::ManyCommits(text, count) => {
                let words = format!("{text:?} means {count} commits; give more of the id");
                Self::new("E_HTTP_STATE", words)
            }
            E::Table(error) => error.into(),
            E::Feed(error) => error.into(),
            E::Refused(refusal) => refusal.into(),
            error @ (E::Denied { .. } | E::DeniedInPart { .. }) => {
                Self::new("E_HTTP_DENIED", error.to_string())
            }
            E::Token(error) => Self::token(error.to_string()),
            E::TokenGivenBack => Self::token("the token was given back"),
            E::ManyTokens => Self::busy("too many tokens were given back; try again in an hour"),
            // What a token cannot say.
            E::Sign(error) if error.code() == "E_TOKEN" => {
                Self::new("E_HTTP_VALUE", error.to_string())
            }
            error => Self::fault(error),
        }
    }
}

impl From<TableError> for Problem {
    fn from(error: TableError) -> Self {
        match error {
            TableError::State(words) => Self::new("E_SQL_STATE", words),
            error => Self::fault(error),
        }
    }
}

impl From<SqlError> for Problem {
    fn from(error: SqlError) -> Self {
        let words = match error.offset() {
            Some(offset) => format!("{error}, at byte {offset}"),
            None => error.to_string(),
        };
        match error {
            // What is below it is not for whoever asked.
            SqlError::Table { table, .. } => {
                let mut problem = Self::fault(words);
                problem.name("E_SQL_TABLE_FAULT", format!("the table {table} failed"));
                problem
            }
            SqlError::Constraint { .. } | SqlError::Moved { .. } => Self::fault(words),
            error => Self::new(error.code(), words),
        }
    }
}
