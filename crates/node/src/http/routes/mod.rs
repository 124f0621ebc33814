//! What can be asked for, one module a subject. Each gives its routes with what they say of themselves for the
//! document of the API.

mod answer;
mod blobs;
mod branches;
mod commits;
mod diff;
mod entries;
mod events;
mod node;
mod rows;
mod schemas;
mod session;
mod spaces;
mod sql;
mod value;

use utoipa_axum::router::OpenApiRouter;

use super::app::App;

pub(crate) use self::commits::base64;
pub(crate) use self::events::CURSOR;

/// The routes of all subjects.
pub(crate) fn all() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(node::routes())
        .merge(session::routes())
        .merge(spaces::routes())
        .merge(branches::routes())
        .merge(commits::routes())
        .merge(entries::routes())
        .merge(value::routes())
        .merge(diff::routes())
        .merge(blobs::routes())
        .merge(schemas::routes())
        .merge(sql::routes())
        .merge(events::routes())
}
