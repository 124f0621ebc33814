//! Who asks (HTTP-80): the node's agent, or whoever bears a session token.

use std::sync::Arc;

use allod_access::{Principal, Token};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::problem::Problem;
use crate::error::NodeError;
use crate::node::Node;

/// Who asks. Cheap to clone. What it is made of is not shown (ACCESS-33).
#[derive(Clone, Debug)]
pub(crate) struct Who(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    principal: Principal,
    /// What it bears, if it is not the node's agent.
    session: Option<Token>,
}

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let who = parts.extensions.get::<Self>().cloned();
        who.ok_or_else(|| Problem::fault("nobody was let in, and a route asks who it is"))
    }
}

impl Who {
    /// The node's agent. A node that acts for nobody yet is a stranger to its spaces.
    pub(crate) fn own(node: &Node) -> Result<Self, Problem> {
        let principal = match node.principal() {
            Err(NodeError::NoAgent(_)) => Principal::stranger(),
            principal => principal?,
        };
        Ok(Self(Arc::new(Inner {
            principal,
            session: None,
        })))
    }

    /// Who bears a session token.
    pub(crate) fn bearer(node: &Node, text: &str) -> Result<Self, Problem> {
        let token = node.take_token(text)?;
        Ok(Self(Arc::new(Inner {
            principal: Principal::bearer(&token),
            session: Some(token),
        })))
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.0.principal
    }

    pub(crate) fn session(&self) -> Option<&Token> {
        self.0.session.as_ref()
    }

    pub(crate) fn is_own(&self) -> bool {
        self.0.session.is_none()
    }

    /// Refuses who is not the node's agent.
    pub(crate) fn check_own(&self) -> Result<(), Problem> {
        if self.is_own() {
            return Ok(());
        }
        Err(Problem::new(
            "E_HTTP_DENIED",
            "this is for the node's own agent, and not for who bears a session token",
        ))
    }

    /// Refuses who bears a token that has ended or was given back since it was let in.
    pub(crate) fn check_still(&self, node: &Node) -> Result<(), Problem> {
        match &self.0.session {
            Some(token) => Ok(node.check_token(token)?),
            None => Ok(()),
        }
    }
}
