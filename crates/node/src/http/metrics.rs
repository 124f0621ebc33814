//! Figures for Prometheus (HTTP-60).

use std::fmt;
use std::time::{Duration, Instant};

use allod_blocks::{Latency, Operation};
use allod_repo::Verb;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, Method, Response};
use axum::middleware::Next;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::app::App;
use super::problem::{Cause, Problem};
use crate::node::Node;

/// The ends of the buckets of a latency, in seconds: a look-up, a commit, a scan, a statement at its limit.
const BUCKETS: [f64; 10] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 5.0, 30.0,
];

/// Of whom pages may embed what is answered.
const EMBEDDING: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Route {
    route: String,
}

/// What is counted of requests, and what is asked of the node when it is scraped.
pub(crate) struct Figures {
    registry: Registry,
    requests: Family<Asked, Counter>,
    took: Family<Route, Histogram>,
    open: Gauge,
    broken: Counter,
    faults: Counter,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}

impl Figures {
    pub(crate) fn new(node: Node) -> Self {
        let mut registry = Registry::with_prefix("allod");
        let figures = Self {
            requests: Family::default(),
            took: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            open: Gauge::default(),
            broken: Counter::default(),
            faults: Counter::default(),
            registry: Registry::default(),
        };
        let (requests, took) = (figures.requests.clone(), figures.took.clone());
        registry.register("http_requests", "Requests that were answered", requests);
        let name = "http_request_duration_seconds";
        registry.register(name, "Until the head of the answer was made", took);
        let open = figures.open.clone();
        registry.register("http_requests_open", "Requests without an answer yet", open);
        let broken = figures.broken.clone();
        registry.register(
            "http_answers_broken",
            "Answers that were not sent to their end",
            broken,
        );
        let faults = figures.faults.clone();
        registry.register("http_faults", "Faults of the node", faults);
        registry.register_collector(Box::new(OfNode(node)));
        Self {
            registry,
            ..figures
        }
    }

    /// All of them as text. Asks the store, so it is called apart from the runtime.
    pub(crate) fn text(&self) -> Result<String, Problem> {
        let mut text = String::new();
        encode(&mut text, &self.registry).map_err(|_error| Problem::fault("figures fail"))?;
        Ok(text)
    }

    /// An answer was not sent to its end.
    pub(crate) fn broke(&self) {
        self.broken.inc();
    }

    /// The node failed.
    pub(crate) fn failed(&self) {
        self.faults.inc();
    }
}

/// Counts a request while it is under way, also if its client goes.
struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts and times a request, tells of faults, and says to browsers what they may do with any answer.
pub(crate) async fn observe(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let started = Instant::now();
    let figures = app.figures();
    let open = Open::new(&figures.open);
    let method = known(request.method());
    // What has no route is counted as one: names that strangers choose are no labels.
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let mut response = next.run(request).await;
    drop(open);
    if let Some(Cause(cause)) = response.extensions_mut().remove() {
        app.tell(&cause);
    }
    let status = response.status().as_u16();
    let took = started.elapsed().as_secs_f64();
    figures
        .took
        .get_or_create(&Route {
            route: route.clone(),
        })
        .observe(took);
    figures
        .requests
        .get_or_create(&Asked {
            method,
            route,
            status,
        })
        .inc();
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (EMBEDDING, "same-origin"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox; frame-ancestors 'none'",
        ),
    ] {
        let fields = response.headers_mut();
        fields
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The node's own figures, which are looked at when they are asked for.
#[derive(Debug)]
struct OfNode(Node);

impl Collector for OfNode {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let node = &self.0;
        // A store that fails has no figures; the rest is told all the same.
        if let Ok(stats) = node.store().stats() {
            gauge(
                &mut encoder,
                "store_bytes",
                "Bytes of the store",
                stats.bytes,
            )?;
            let help = "Moves of branches in the log so far";
            gauge(&mut encoder, "log_end", help, stats.log_end)?;
            let help = "Moves that are not in the log any more";
            gauge(&mut encoder, "log_begin", help, stats.log_begin)?;
        }
        if let Ok(spaces) = node.spaces() {
            gauge(
                &mut encoder,
                "spaces",
                "Spaces with a name here",
                spaces.len() as u64,
            )?;
        }
        let connected = node.connected() as u64;
        gauge(
            &mut encoder,
            "peers_connected",
            "Devices a connection is open to",
            connected,
        )?;
        let verbs = Verb::ALL.map(|verb| (label(verb.name()), node.timings().latency(verb)));
        latencies(&mut encoder, "space", "a space was asked to do it", &verbs)?;
        let metrics = node.metrics();
        let operations = Operation::ALL.map(|of| (label(of.name()), metrics.latency(of)));
        latencies(
            &mut encoder,
            "store",
            "the store was asked to do it",
            &operations,
        )
    }
}

fn label(name: &str) -> String {
    name.replace(' ', "_")
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    metric.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))
}

/// How often each of several things was done, and how long it took.
fn latencies(
    encoder: &mut DescriptorEncoder<'_>,
    of: &str,
    what: &str,
    each: &[(String, Latency)],
) -> fmt::Result {
    let (name, help) = (format!("{of}_operations"), format!("How often {what}"));
    let mut metric = encoder.encode_descriptor(&name, &help, None, MetricType::Counter)?;
    for (verb, latency) in each {
        let labels = [("verb", &verb[..])];
        let mut metric = metric.encode_family(&labels)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&latency.count, None)?;
    }
    let (name, help) = (
        format!("{of}_operation_seconds"),
        format!("How long it took when {what}"),
    );
    let mut metric = encoder.encode_descriptor(&name, &help, None, MetricType::Gauge)?;
    for (verb, latency) in each {
        quantile(&mut metric, verb, "0.5", latency.p50)?;
        quantile(&mut metric, verb, "0.95", latency.p95)?;
        quantile(&mut metric, verb, "0.99", latency.p99)?;
        quantile(&mut metric, verb, "1", latency.max)?;
    }
    Ok(())
}

fn quantile(
    metric: &mut MetricEncoder<'_>,
    verb: &str,
    quantile: &str,
    took: Duration,
) -> fmt::Result {
    let labels = [("verb", verb), ("quantile", quantile)];
    metric
        .encode_family(&labels)?
        .encode_gauge(&took.as_secs_f64())
}
