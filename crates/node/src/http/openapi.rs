//! The document of the API: what the handlers say of themselves, and what holds for all of them (HTTP-2).

use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Response,
    ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::problem::{CODES, ProblemBody};

/// Statuses that any request may be answered with.
const ANY: [u16; 9] = [400, 401, 403, 404, 409, 421, 422, 500, 503];

/// Statuses of requests that read under a condition or a range.
const READS: [u16; 2] = [412, 416];

/// Statuses of requests that write, or have a body.
const WRITES: [u16; 5] = [408, 412, 413, 415, 507];

/// Parameters that have a form, as a regular expression.
const FORMS: [(&str, &str); 3] = [
    ("If-Match", r#"^(\*|"[!#-~]*"(, "[!#-~]*")*)$"#),
    (
        "If-None-Match",
        r#"^(\*|(W/)?"[!#-~]*"(, (W/)?"[!#-~]*")*)$"#,
    ),
    ("cid", "^baf(ybei|krei)[a-z2-7]{51}[aeimquy4]$"),
];

/// The document with what holds for all routes added, as JSON.
pub(crate) fn complete(document: OpenApi) -> String {
    let mut document = whole(document);
    document.openapi = utoipa::openapi::OpenApiVersion::Version31;
    // Only what cannot be text fails here, and there is none of that.
    document.to_pretty_json().unwrap_or_default()
}

fn whole(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Allod")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The spaces of a node. Problems are RFC 9457 with a registered code; names of states and values are \
             CIDs. See specs/60-http.md.",
        ))
        .build();
    document.servers = None;
    document.security = Some(vec![SecurityRequirement::new("token", [""; 0])]);
    let components = document.components.get_or_insert_with(Components::new);
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "Needed where the node has a token, and anywhere but on loopback",
        ))
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    let name = ProblemBody::name().into_owned();
    components.schemas.insert(name, ProblemBody::schema());
    for item in document.paths.paths.values_mut() {
        for (operation, statuses) in operations(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                describe(parameter);
            }
            for status in ANY.iter().chain(statuses) {
                let responses = &mut operation.responses.responses;
                let problem = || RefOr::T(problem(*status));
                responses.entry(status.to_string()).or_insert_with(problem);
            }
        }
    }
    document
}

/// Says how parameters are written that have a form of their own.
fn describe(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(parameter) = parameter else {
        return;
    };
    let form = FORMS.iter().find(|(name, _)| *name == parameter.name);
    if let Some((_, pattern)) = form {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(*pattern))
            .build();
        parameter.schema = Some(text.into());
    }
}

/// The operations of a path, each with the statuses that such ones have.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&mut Operation, &'static [u16])> {
    let reads = item.get.as_mut().map(|operation| (operation, &READS[..]));
    let writes = [item.put.as_mut(), item.post.as_mut(), item.delete.as_mut()];
    let writes = writes.into_iter().flatten();
    reads
        .into_iter()
        .chain(writes.map(|operation| (operation, &WRITES[..])))
}

/// A response that tells of a problem, with the codes that it may have.
fn problem(status: u16) -> Response {
    let codes = CODES.iter().filter(|(_, of, _)| of.as_u16() == status);
    let codes: Vec<String> = codes.map(|(code, ..)| format!("`{code}`")).collect();
    let schema = Ref::from_schema_name(ProblemBody::name());
    ResponseBuilder::new()
        .description(codes.join(", "))
        .content(
            "application/problem+json",
            ContentBuilder::new().schema(Some(schema)).build(),
        )
        .build()
}
