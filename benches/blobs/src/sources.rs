//! One blob from two senders at once, beside the same from one: all of them are nodes of ours, on one machine.

use serde_json::{Value, json};

use crate::{Side, content, median, row, size, transfer};

/// What a transfer from two senders took.
struct Run {
    seconds: f64,
    /// Bytes that came from either.
    came: [f64; 2],
}

const FROM_ONE: &str = "from one node";

/// Runs both in turn, and says the medians.
pub(crate) fn compare(bytes: u64, rounds: u64) {
    let hash = content::hash(bytes);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        one.push(transfer("ours", bytes, &hash));
        two.push(from_two(bytes, &hash));
    }
    let rate = |seconds: f64| bytes as f64 / 1e6 / seconds;
    let of = size(bytes);
    row(
        &format!("{of} from two nodes at once, verified and durable"),
        ("MB/s", "more"),
        rate(median(&two, |run| run.seconds)),
        json!({ FROM_ONE: rate(median(&one, |run| run.seconds)) }),
        "stated: all nodes share the processors",
    );
    row(
        &format!("bytes received as part of {of}, from two nodes at once"),
        ("x", "less"),
        median(&two, |run| (run.came[0] + run.came[1]) / bytes as f64),
        json!({}),
        "<= 1.1",
    );
    row(
        &format!("{of} from two nodes at once: part that came from the one that gave less"),
        ("x", "more"),
        median(&two, |run| {
            run.came[0].min(run.came[1]) / (run.came[0] + run.came[1])
        }),
        json!({}),
        ">= 0.1",
    );
}

/// Runs two senders, of which the second has it from the first, and a receiver that joined before the second did, so
/// that both know it.
fn from_two(bytes: u64, hash: &str) -> Run {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let mut first = Side::start("ours-send", &at("first"), &bytes.to_string());
    let invitation = first.said()["invitation"].to_string();
    let mut receiver = Side::start("ours-receive-from-two", &at("receiver"), &invitation);
    assert_eq!(receiver.said()["joined"], true);
    let mut second = Side::start("ours-pass-on", &at("second"), &invitation);
    let place = second.said();
    receiver.tell(&place);
    let received = receiver.said();
    assert_eq!(
        receiver.said()["hash"],
        hash,
        "the content that was read back"
    );
    receiver.end();
    for mut sender in [second, first] {
        sender.ask_to_end();
        sender.said();
        sender.end();
    }
    let number = |value: &Value| value.as_f64().expect("a number");
    let run = Run {
        seconds: number(&received["seconds"]),
        came: [0, 1].map(|source| number(&received["came"][source])),
    };
    eprintln!(
        "two sources, {}: {:.0} MB/s; {:.1} and {:.1} MB came; receiver {:.0} MiB",
        size(bytes),
        bytes as f64 / 1e6 / run.seconds,
        run.came[0] / 1e6,
        run.came[1] / 1e6,
        number(&received["peak_mib"]),
    );
    run
}
