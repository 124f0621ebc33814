//! Branches and tags.

use allod_access::{Door, Target as Keys};
use allod_repo::{BranchName, Heads, Repo};
use axum::body::Body;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{self, ids};
use crate::clock::now_ms;
use crate::http::app::App;
use crate::http::blob::ASK_AGAIN;
use crate::http::body;
use crate::http::etag::{Conditions, state_tag};
use crate::http::percent;
use crate::http::problem::Problem;
use crate::http::query::{At, Query};
use crate::http::target::Target;
use crate::http::who::Who;
use crate::naming::branch_heads;
use crate::node::{Node, Position};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, make))
        .routes(routes!(show, delete))
        .routes(routes!(tags))
}

/// The branches of a space.
#[derive(Serialize, ToSchema)]
struct Branches {
    branches: Vec<Branch>,
}

/// A branch.
#[derive(Serialize, ToSchema)]
struct Branch {
    /// Its name.
    name: String,
    /// Its head commits. Its state is the join of theirs.
    heads: Vec<String>,
    /// The name of its state, which `If-Match` takes.
    etag: String,
    /// Whether it is the one that is meant where none is said.
    current: bool,
    /// Whether it only goes forward.
    protected: bool,
}

impl Branch {
    fn new(node: &Node, repo: &Repo, name: BranchName, heads: &Heads) -> Result<Self, Problem> {
        Ok(Self {
            heads: ids(heads),
            etag: state_tag(heads)?,
            protected: repo.is_protected(&name)?,
            current: node.position(repo)? == Position::Branch(name.clone()),
            name: name.to_string(),
        })
    }
}

/// A branch to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBranch {
    /// Its name: 1 to 128 of `a-z A-Z 0-9 . _ - /`, and not one that differs from another in case alone.
    name: String,
    /// Where it starts: a branch, tag, commit or time; the space's own branch unless said otherwise.
    at: Option<String>,
}

/// The branches of a space
#[utoipa::path(
    get, path = "/v1/spaces/{space}/branches", tag = "branches",
    params(("space" = String, Path, description = "The space's name here, or its id")),
    responses((status = 200, body = Branches))
)]
async fn list(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let branches = app.work(move |node| {
        let space = target.open(node, &who)?;
        space.check_known()?;
        let mut branches = Vec::new();
        for (name, heads) in space.repo.branches()? {
            if space.glimpse(name.as_str())?.is_some() {
                branches.push(Branch::new(node, &space.repo, name, &heads)?);
            }
        }
        Ok(Branches { branches })
    });
    answer::json(&branches.await?)
}

/// A branch and its heads
#[utoipa::path(
    get, path = "/v1/spaces/{space}/branches/{branch}", tag = "branches",
    params(
        ("space" = String, Path, description = "The space's name here, or its id"),
        ("branch" = String, Path, description = "The branch, with `/` as `%2F`"),
        ("If-None-Match" = Option<String>, Header, description = "ETags that are known"),
    ),
    responses(
        (status = 200, body = Branch, headers(("ETag" = String, description = "The name of its state"))),
        (status = 304, description = "It is known"),
    )
)]
async fn show(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let branch = app.work(move |node| {
        let space = target.open(node, &who)?;
        let name = target.name()?;
        space.ask(Door::Range, (&name, Keys::Prefix(b"")))?;
        let (name, heads) = branch_heads(&space.repo, &name)?;
        Branch::new(node, &space.repo, name, &heads)
    });
    let branch = branch.await?;
    answer::named(&headers, (&branch.etag, ASK_AGAIN), &branch)
}

/// Make a branch
#[utoipa::path(
    post, path = "/v1/spaces/{space}/branches", tag = "branches",
    params(("space" = String, Path, description = "The space's name here, or its id")),
    request_body = NewBranch,
    responses(
        (status = 201, body = Branch, headers(("Location" = String, description = "The branch"))),
    )
)]
async fn make(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let asked: NewBranch = body::json(&app, &headers, body).await?;
    let space = target.space();
    let branch = app.work(move |node| {
        let space = target.open(node, &who)?;
        let bad =
            |error: allod_repo::BadBranchName| Problem::new("E_HTTP_VALUE", error.to_string());
        let name: BranchName = asked.name.parse().map_err(bad)?;
        let at = At {
            branch: None,
            at: asked.at,
        };
        space.ask(Door::CreateBranch, (name.as_str(), Keys::Branch))?;
        // Who makes a branch may read it by other rules than those by which its first state is read.
        let heads = space.see_whole(Door::Range, &at)?;
        let repo = &space.repo;
        if heads.is_empty() {
            let words = "there is no commit to start from";
            return Err(Problem::new("E_HTTP_REFUSED", words));
        }
        let heads = if repo.authorizer()?.is_plain() {
            repo.create_branch(&name, &heads)?;
            heads
        } else {
            // Where rights are told apart a branch begins with a commit (REPO-116).
            let message = format!("Begin {name}");
            let _made = repo.begin_branch(&name, &heads, (node.author()?, &message), now_ms())?;
            repo.heads(&name)?
        };
        node.touch();
        Branch::new(node, repo, name, &heads)
    });
    let branch = branch.await?;
    let mut response = answer::json(&branch)?;
    *response.status_mut() = StatusCode::CREATED;
    let place = format!(
        "/v1/spaces/{space}/branches/{}",
        percent::encode(branch.name.as_bytes())
    );
    let place = HeaderValue::try_from(place).map_err(Problem::fault)?;
    response.headers_mut().insert(LOCATION, place);
    Ok(response)
}

/// A branch that was deleted.
#[derive(Serialize, ToSchema)]
struct Deleted {
    /// Its name.
    name: String,
    /// The heads that it had: a branch made at them is the one that is gone.
    heads: Vec<String>,
}

/// Delete a branch here
#[utoipa::path(
    delete, path = "/v1/spaces/{space}/branches/{branch}", tag = "branches",
    params(
        ("space" = String, Path, description = "The space's name here, or its id"),
        ("branch" = String, Path, description = "The branch, with `/` as `%2F`"),
        ("force" = Option<bool>, Query, description = "Also if it has commits that no other branch has"),
        ("If-Match" = Option<String>, Header, description = "Only if its ETag is one of these"),
    ),
    responses((status = 200, body = Deleted))
)]
async fn delete(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let is_forced = query.only(&["force"])?.flag("force")?;
    let conditions = Conditions::read(&headers)?;
    let deleted = app.work(move |node| {
        let space = target.open(node, &who)?;
        let name = target.name()?;
        space.ask(Door::DeleteBranch, (&name, Keys::Branch))?;
        let repo = &space.repo;
        let (name, heads) = branch_heads(repo, &name)?;
        conditions.of_branch(&state_tag(&heads)?)?;
        if node.position(repo)? == Position::Branch(name.clone()) {
            let words = format!("{name} is the space's own branch");
            return Err(Problem::new("E_HTTP_REFUSED", words));
        }
        let heads = repo.delete_branch(&name, is_forced)?;
        node.touch();
        Ok(Deleted {
            name: name.to_string(),
            heads: ids(&heads),
        })
    });
    answer::json(&deleted.await?)
}

/// The tags of a space.
#[derive(Serialize, ToSchema)]
struct Tags {
    tags: Vec<Tag>,
}

/// A tag.
#[derive(Serialize, ToSchema)]
struct Tag {
    /// Its name.
    name: String,
    /// The commit that it names for ever.
    commit: String,
}

/// The tags of a space
#[utoipa::path(
    get, path = "/v1/spaces/{space}/tags", tag = "branches",
    params(("space" = String, Path, description = "The space's name here, or its id")),
    responses((status = 200, body = Tags))
)]
async fn tags(
    State(app): State<App>,
    (target, who): (Target, Who),
    query: Query,
) -> Result<Response<Body>, Problem> {
    query.only(&[])?;
    let tags = app.work(move |node| {
        let space = target.open(node, &who)?;
        space.check_known()?;
        let mut tags = Vec::new();
        for (name, tag) in space.repo.tags()? {
            // A tag that names what may not be read, or is not here, is not told of.
            if space.who.is_own() || space.sees_commit(tag.commit)? {
                tags.push(Tag {
                    name: name.to_string(),
                    commit: tag.commit.to_string(),
                });
            }
        }
        Ok(Tags { tags })
    });
    answer::json(&tags.await?)
}
