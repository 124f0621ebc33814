//! What failed, as whoever asked hears it (HTTP-30): RFC 9457 with the project's codes.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::limits::RETRY_AFTER_S;

/// Every code that an answer may have, its status, and what it says in general.
pub(crate) const CODES: [(&str, StatusCode, &str); 71] = [
    (
        "E_HTTP_ANSWER",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The answer is too large to be given whole",
    ),
    (
        "E_HTTP_BLOB",
        StatusCode::NOT_FOUND,
        "No such file in a space here",
    ),
    (
        "E_HTTP_BUSY",
        StatusCode::SERVICE_UNAVAILABLE,
        "The node is busy",
    ),
    (
        "E_HTTP_CONDITION",
        StatusCode::PRECONDITION_FAILED,
        "A condition does not hold",
    ),
    ("E_HTTP_DENIED", StatusCode::FORBIDDEN, "It may not be done"),
    (
        "E_HTTP_ENTRY",
        StatusCode::NOT_FOUND,
        "No value under this key",
    ),
    ("E_HTTP_EXISTS", StatusCode::CONFLICT, "It is there already"),
    (
        "E_HTTP_FAULT",
        StatusCode::INTERNAL_SERVER_ERROR,
        "The node failed",
    ),
    (
        "E_HTTP_FULL",
        StatusCode::INSUFFICIENT_STORAGE,
        "The disk of the node is full",
    ),
    (
        "E_HTTP_HOST",
        StatusCode::MISDIRECTED_REQUEST,
        "Not a name of this node",
    ),
    ("E_HTTP_KEY", StatusCode::BAD_REQUEST, "Not a key"),
    (
        "E_HTTP_METHOD",
        StatusCode::METHOD_NOT_ALLOWED,
        "Not a method of this resource",
    ),
    (
        "E_HTTP_MOVED",
        StatusCode::CONFLICT,
        "Others changed it meanwhile",
    ),
    (
        "E_HTTP_NEEDS_FILE",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The file is not here",
    ),
    (
        "E_HTTP_ORIGIN",
        StatusCode::FORBIDDEN,
        "Pages of this origin may not ask",
    ),
    ("E_HTTP_PATH", StatusCode::NOT_FOUND, "No such resource"),
    (
        "E_HTTP_RANGE",
        StatusCode::RANGE_NOT_SATISFIABLE,
        "The range is not within the value",
    ),
    (
        "E_HTTP_REFUSED",
        StatusCode::CONFLICT,
        "The space as it is does not allow it",
    ),
    (
        "E_HTTP_REQUEST",
        StatusCode::BAD_REQUEST,
        "The request is malformed",
    ),
    (
        "E_HTTP_SCHEMA",
        StatusCode::NOT_FOUND,
        "No such schema of events here",
    ),
    (
        "E_HTTP_SIZE",
        StatusCode::PAYLOAD_TOO_LARGE,
        "The body is too large",
    ),
    (
        "E_HTTP_SLOW",
        StatusCode::REQUEST_TIMEOUT,
        "The body did not come in time",
    ),
    ("E_HTTP_SPACE", StatusCode::NOT_FOUND, "No such space here"),
    (
        "E_HTTP_STATE",
        StatusCode::NOT_FOUND,
        "No such branch, tag, commit or time",
    ),
    (
        "E_HTTP_TOKEN",
        StatusCode::UNAUTHORIZED,
        "A token is needed",
    ),
    (
        "E_HTTP_TYPE",
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "The body is of another type",
    ),
    (
        "E_HTTP_VALUE",
        StatusCode::UNPROCESSABLE_ENTITY,
        "Out of its range",
    ),
    (
        "E_BARE",
        StatusCode::NOT_FOUND,
        "Of this commit only the statement is kept here",
    ),
    (
        "E_BRANCH",
        StatusCode::FORBIDDEN,
        "The commit does not belong on this branch",
    ),
    (
        "E_BRANCHES",
        StatusCode::CONFLICT,
        "The space has too many branches",
    ),
    (
        "E_COMMIT",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The commit would be malformed",
    ),
    (
        "E_COMMIT_POLICY",
        StatusCode::CONFLICT,
        "The commit of meta that it names is unknown here",
    ),
    (
        "E_CRDT",
        StatusCode::UNPROCESSABLE_ENTITY,
        "Not a value that joins",
    ),
    (
        "E_CRDT_KIND",
        StatusCode::CONFLICT,
        "The key has values that join",
    ),
    (
        "E_CRDT_SIZE",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The value that joins is too large",
    ),
    (
        "E_DEVICE",
        StatusCode::FORBIDDEN,
        "The device does not act for its agent",
    ),
    (
        "E_ENTRY",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The entry would be malformed",
    ),
    (
        "E_ENTRY_STAMP",
        StatusCode::CONFLICT,
        "The entry would be stamped later than its commit",
    ),
    (
        "E_EQUIVOCATION",
        StatusCode::FORBIDDEN,
        "The agent's key log says two things at once",
    ),
    (
        "E_FUTURE",
        StatusCode::CONFLICT,
        "The clock of the node is behind the space",
    ),
    (
        "E_HEADS",
        StatusCode::CONFLICT,
        "The branch has too many heads",
    ),
    (
        "E_HOOK",
        StatusCode::UNPROCESSABLE_ENTITY,
        "A hook refused the commit",
    ),
    (
        "E_HOOK_FAILED",
        StatusCode::SERVICE_UNAVAILABLE,
        "A hook could not be asked about the commit",
    ),
    (
        "E_KEPT",
        StatusCode::FORBIDDEN,
        "A grant, or what takes one back, does not change",
    ),
    (
        "E_KEY_LOG",
        StatusCode::FORBIDDEN,
        "The agent's key log does not verify",
    ),
    (
        "E_MISSING",
        StatusCode::UNPROCESSABLE_ENTITY,
        "A block that it links to is not here",
    ),
    (
        "E_NOT_MEMBER",
        StatusCode::FORBIDDEN,
        "The agent is not a member of the space",
    ),
    ("E_NOT_OWNER", StatusCode::FORBIDDEN, "Only the owner may"),
    ("E_PARENT", StatusCode::CONFLICT, "A parent is unknown here"),
    (
        "E_PART",
        StatusCode::NOT_FOUND,
        "Not in the part of the space that is kept here",
    ),
    (
        "E_PROTECTED",
        StatusCode::FORBIDDEN,
        "The branch is protected",
    ),
    (
        "E_ROOT",
        StatusCode::CONFLICT,
        "The changes do not give the tree",
    ),
    (
        "E_SIGNATURE",
        StatusCode::FORBIDDEN,
        "The signature does not hold",
    ),
    (
        "E_SQL",
        StatusCode::UNPROCESSABLE_ENTITY,
        "Not SQL, or not one statement",
    ),
    (
        "E_SQL_CANCELLED",
        StatusCode::SERVICE_UNAVAILABLE,
        "The statement was cancelled",
    ),
    (
        "E_SQL_COLUMN",
        StatusCode::UNPROCESSABLE_ENTITY,
        "No such column",
    ),
    (
        "E_SQL_DENIED",
        StatusCode::UNPROCESSABLE_ENTITY,
        "No statement may do this",
    ),
    (
        "E_SQL_LIMIT",
        StatusCode::UNPROCESSABLE_ENTITY,
        "A limit of queries was reached",
    ),
    (
        "E_SQL_PARAMETERS",
        StatusCode::UNPROCESSABLE_ENTITY,
        "Another number of values than of parameters",
    ),
    (
        "E_SQL_READ_ONLY",
        StatusCode::UNPROCESSABLE_ENTITY,
        "Statements only read",
    ),
    (
        "E_SQL_STATE",
        StatusCode::UNPROCESSABLE_ENTITY,
        "A state that cannot be bound",
    ),
    (
        "E_SQL_TABLE",
        StatusCode::UNPROCESSABLE_ENTITY,
        "No such table",
    ),
    (
        "E_SQL_TABLE_FAULT",
        StatusCode::INTERNAL_SERVER_ERROR,
        "A table failed",
    ),
    ("E_TAG", StatusCode::CONFLICT, "A tag does not change"),
    (
        "E_TOKEN",
        StatusCode::UNAUTHORIZED,
        "The session token is not taken",
    ),
    ("E_TREE", StatusCode::CONFLICT, "The tree breaks a rule"),
    (
        "E_UNTRUSTED",
        StatusCode::FORBIDDEN,
        "Nothing like it is taken from its author",
    ),
    (
        "E_WRONG_SPACE",
        StatusCode::CONFLICT,
        "It belongs to another space",
    ),
    ("E_CURSOR", StatusCode::BAD_REQUEST, "Not a cursor"),
    (
        "E_CURSOR_EXPIRED",
        StatusCode::GONE,
        "The log does not go on from the cursor",
    ),
    ("E_FILTER", StatusCode::BAD_REQUEST, "Not a filter"),
];

/// What whoever is not let in is to show.
pub(crate) const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"allod\"");

/// The media type of problems.
const MEDIA: &str = "application/problem+json";

/// What failed.
#[derive(Debug)]
pub(crate) struct Problem {
    code: &'static str,
    detail: String,
    /// What is not for whoever asked.
    cause: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What went wrong inside, on its way to whoever runs the node.
#[derive(Clone, Debug)]
pub(crate) struct Cause(pub(crate) String);

/// A problem as it is sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Where the code is explained: a reference to the page of this node.
    #[serde(rename = "type")]
    kind: String,
    /// What the code means in general.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What happened here.
    detail: String,
    /// The registered code; programs decide by it.
    code: String,
}

impl Problem {
    /// A problem with a code of [`CODES`].
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            cause: None,
            headers: Vec::new(),
        }
    }

    /// The request cannot be understood.
    pub(crate) fn request(detail: impl Into<String>) -> Self {
        Self::new("E_HTTP_REQUEST", detail)
    }

    /// The node failed; the cause stays here.
    pub(crate) fn fault(cause: impl ToString) -> Self {
        let mut problem = Self::new("E_HTTP_FAULT", "it is told to whoever runs the node");
        problem.cause = Some(cause.to_string());
        problem
    }

    /// There is no turn for the request.
    pub(crate) fn busy(detail: &str) -> Self {
        let retry = HeaderValue::from_static(RETRY_AFTER_S);
        Self::new("E_HTTP_BUSY", detail).with(RETRY_AFTER, retry)
    }

    /// A session token is not taken.
    pub(crate) fn token(detail: impl Into<String>) -> Self {
        Self::new("E_TOKEN", detail).with(WWW_AUTHENTICATE, CHALLENGE)
    }

    /// A condition does not hold.
    pub(crate) fn condition(detail: impl Into<String>) -> Self {
        Self::new("E_HTTP_CONDITION", detail)
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Gives a fault another code.
    pub(crate) fn name(&mut self, code: &'static str, detail: String) {
        (self.code, self.detail) = (code, detail);
    }

    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    /// The status of the answer and what the code means.
    fn meaning(&self) -> (StatusCode, &'static str) {
        let known = CODES.iter().find(|(code, ..)| *code == self.code);
        known.map_or(
            (StatusCode::INTERNAL_SERVER_ERROR, "The node failed"),
            |(_, status, title)| (*status, *title),
        )
    }

    /// The body.
    pub(crate) fn value(&self) -> serde_json::Value {
        let (status, title) = self.meaning();
        json!({
            "type": format!("/#{}", self.code),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.value().to_string()));
        *response.status_mut() = self.meaning().0;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_meaning_that_is_an_error() {
        let mut codes: Vec<_> = CODES.iter().map(|(code, ..)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
        for (code, status, title) in CODES {
            assert!(
                status.is_client_error() || status.is_server_error(),
                "{code}"
            );
            assert!(
                title.starts_with(|c: char| c.is_ascii_uppercase()),
                "{code}"
            );
        }
    }

    #[test]
    fn what_went_wrong_inside_is_not_sent() {
        let problem = Problem::fault("/home/ada/store: disk on fire");
        assert!(!problem.value().to_string().contains("ada"));
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let cause = response.extensions().get::<Cause>().unwrap();
        assert!(cause.0.contains("on fire"));
    }
}
