//! Spaces.

use allod_repo::SpaceId;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer;
use crate::http::app::App;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::space::Space;
use crate::http::target::Target;
use crate::http::who::Who;
use crate::node::{Node, Position};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
}

/// The spaces here.
#[derive(Serialize, ToSchema)]
struct Spaces {
    spaces: Vec<SpaceName>,
}

/// A space.
#[derive(Serialize, ToSchema)]
struct SpaceName {
    /// Its name here.
    name: String,
    /// Its id, the same at everybody's.
    id: String,
}

/// A space, and where it stands.
#[derive(Serialize, ToSchema)]
struct SpaceInfo {
    /// Its id, the same at everybody's.
    id: String,
    /// The name that its owner gave it.
    name: String,
    /// Its owner, as a `did:key`.
    owner: String,
    /// The branch that is meant where none is said, if it is one.
    branch: Option<String>,
    /// The commit that is meant instead, if it is one.
    commit: Option<String>,
    /// Whether all of it is kept here.
    whole: bool,
}

/// The spaces of which whoever asks may read something.
pub(crate) fn known(node: &Node, who: &Who) -> Result<Vec<(String, SpaceId)>, Problem> {
    let mut known = Vec::new();
    for (name, id) in node.spaces()? {
        // One that cannot be read is told of to the node's agent.
        if who.is_own() || Space::open(node, who, &name)?.is_known()? {
            known.push((name, id));
        }
    }
    Ok(known)
}

/// The spaces with a name here
#[utoipa::path(get, path = "/v1/spaces", tag = "spaces", responses((status = 200, body = Spaces)))]
async fn list(State(app): State<App>, who: Who, query: Query) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let spaces = app.work(move |node| {
        let spaces = known(node, &who)?.into_iter();
        let spaces = spaces.map(|(name, id)| SpaceName {
            name,
            id: id.to_string(),
        });
        Ok(Spaces {
            spaces: spaces.collect(),
        })
    });
    answer::json(&spaces.await?)
}

/// A space, and where it stands
#[utoipa::path(
    get, path = "/v1/spaces/{space}", tag = "spaces",
    params(("space" = String, Path, description = "Its name here, or its id")),
    responses((status = 200, body = SpaceInfo))
)]
async fn show(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let space = app.work(move |node| {
        let space = target.open(node, &who)?;
        space.check_known()?;
        let repo = &space.repo;
        let (branch, commit) = match node.position(repo)? {
            Position::Branch(name) => {
                let is_seen = who.is_own() || space.glimpse(name.as_str())?.is_some();
                (is_seen.then(|| name.to_string()), None)
            }
            Position::Detached(id) => {
                let is_seen = who.is_own() || space.sees_commit(id)?;
                (None, is_seen.then(|| id.to_string()))
            }
        };
        let genesis = repo.genesis().payload();
        Ok(SpaceInfo {
            id: repo.id().to_string(),
            name: genesis.name.clone(),
            owner: genesis.owner.to_string(),
            branch,
            commit,
            whole: repo.part().is_none(),
        })
    });
    answer::json(&space.await?)
}
