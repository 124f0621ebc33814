//! Whether a host, or the server of an address, is this machine.

use std::net::IpAddr;

use tokio_tungstenite::tungstenite::http::Uri;

/// Whether the host of a URL, an address in brackets or not, is this machine: `localhost`, or an address of its loopback,
/// however IPv6 spells that.
#[must_use]
pub fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>();
    let is_loopback = address.is_ok_and(|ip| ip.to_canonical().is_loopback());
    is_loopback || host.eq_ignore_ascii_case("localhost")
}

/// Whether the server at an address is on this machine.
#[must_use]
pub fn leads_here(url: &str) -> bool {
    let uri = url.parse::<Uri>();
    let host = uri.as_ref().ok().and_then(Uri::host);
    host.is_some_and(is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_however_it_is_spelled() {
        for here in [
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "LocalHost",
        ] {
            assert!(is_here(here), "{here}");
            assert!(leads_here(&format!("ws://{here}:1/federation")), "{here}");
        }
        for away in [
            "",
            "10.0.0.1",
            "[::ffff:10.0.0.1]",
            "localhost.example.org",
            "0.0.0.0",
        ] {
            assert!(!is_here(away), "{away}");
            assert!(!leads_here(&format!("ws://{away}:1/federation")), "{away}");
        }
        assert!(!leads_here("ws://127.0.0.1@example.org/federation"));
    }
}
