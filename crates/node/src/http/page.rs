//! The page for people: what can be asked for, and what codes mean. It loads nothing from elsewhere.

use std::fmt::Write as _;

use serde_json::Value;

use super::problem::CODES;

/// How the page looks.
pub(crate) const STYLE: &str = "\
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
:target { background: Mark; color: MarkText; }
";

/// The page, made from the document of the API.
pub(crate) fn html(document: &str) -> String {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let mut routes = String::new();
    let paths = document["paths"].as_object();
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let summary = operation["summary"].as_str().unwrap_or_default();
            // Writing to a text does not fail.
            writeln!(
                routes,
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                escaped(&method.to_uppercase()),
                linked(path, method),
                escaped(summary)
            )
            .ok();
        }
    }
    let mut codes = String::new();
    for (code, status, title) in CODES {
        let (status, title) = (status.as_u16(), escaped(title));
        writeln!(
            codes,
            "<tr id=\"{code}\"><td><code>{code}</code></td><td>{status}</td><td>{title}</td></tr>"
        )
        .ok();
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Allod</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <link rel=\"stylesheet\" href=\"/style.css\"></head><body>\n<h1>Allod</h1>\n\
         <p>This is a node. Programs ask it as <a href=\"/openapi.json\">openapi.json</a> says.</p>\n\
         <h2>Routes</h2>\n<table>\n{routes}</table>\n<h2>Problems</h2>\n<table>\n{codes}</table>\n</body></html>\n"
    )
}

/// A path, as a link if it can be asked for as it is.
fn linked(path: &str, method: &str) -> String {
    let path = escaped(path);
    if method == "get" && !path.contains('{') {
        format!("<a href=\"{path}\"><code>{path}</code></a>")
    } else {
        format!("<code>{path}</code>")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
