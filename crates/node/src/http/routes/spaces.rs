//! Spaces.

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
use crate::http::target::Target;
use crate::node::Position;

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
struct Space {
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

/// The spaces with a name here
#[utoipa::path(get, path = "/v1/spaces", tag = "spaces", responses((status = 200, body = Spaces)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let spaces = app.work(|node| {
        let spaces = node.spaces()?.into_iter();
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
    responses((status = 200, body = Space))
)]
async fn show(
    State(app): State<App>,
    target: Target,
    query: Query,
) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let space = app.work(move |node| {
        let repo = target.repo(node)?;
        let (branch, commit) = match node.position(&repo)? {
            Position::Branch(name) => (Some(name.to_string()), None),
            Position::Detached(id) => (None, Some(id.to_string())),
        };
        let genesis = repo.genesis().payload();
        Ok(Space {
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
