"""A second reading of DID: the document of an agent, from the page alone.

Python 3.10 or later, standard library only. It shares no code with the crates.

    python3 specs/reference/documents.py specs/vectors            checks the vectors
    python3 specs/reference/documents.py --write specs/vectors    writes them again, byte for byte
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import statement as s  # noqa: E402
import vectors  # noqa: E402

CONTEXT = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"]
NAME = re.compile(r"[a-z][a-z0-9.-]{0,31}")
TYPE = re.compile(r"[A-Za-z0-9]{1,64}")
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]*")


def check_services(services):
    """DID-3."""
    names = [service["name"] for service in services]
    for service in services:
        endpoint = service["endpoint"]
        good = NAME.fullmatch(service["name"]) and TYPE.fullmatch(service["type"]) and URI.fullmatch(endpoint)
        if not good or not 3 <= len(endpoint) <= 1024 or set(endpoint) & set("\"<>\\'`"):
            raise s.Fault("E_DID_SERVICE")
    if len(services) > 16 or len(set(names)) < len(names):
        raise s.Fault("E_DID_SERVICE")


def document(agent, events, services):
    """DID-1, DID-2."""
    check_services(services)
    keys = []
    try:
        log = s.replay(s.from_did(agent), events)
        devices = sorted(s.from_did(device) for device in log["devices"])
        keys = [log["key"]] + [s.to_did(key) for key in devices if s.to_did(key) != log["key"]]
    except s.Fault as fault:
        if fault.code != "E_EQUIVOCATION":
            raise
    names = [key[8:] for key in keys]
    ids = [f"{agent}#{name}" for name in names]
    shown = {
        "@context": CONTEXT,
        "id": agent,
        "verificationMethod": [
            {"id": f"{agent}#{name}", "type": "Multikey", "controller": agent, "publicKeyMultibase": name}
            for name in names
        ],
        "authentication": ids,
        "assertionMethod": ids,
        "capabilityDelegation": ids[:1],
        "capabilityInvocation": ids[:1],
    }
    if services:
        shown["service"] = [
            {"id": f"{agent}#{it['name']}", "type": it["type"], "serviceEndpoint": it["endpoint"]} for it in services
        ]
    return shown


def run_document(given):
    return document(given["agent"], [bytes.fromhex(event) for event in given["events"]], given["services"])


RUNNERS = {"identity/document.json": run_document}


def cases():
    import statement_cases as c  # beside this file

    def case(case_id, comment, events, services=(), error=None):
        given = {"agent": s.to_did(c.KEY[c.AGENT]), "events": [event.hex() for event in events]}
        return (case_id, comment, given | {"services": list(services)}, error)

    first = c.inception()
    laptop = c.added(first)
    phone = c.added(laptop, seq=2, device=c.PHONE, name="phone")
    node = {"name": "node", "type": "AllodNode", "endpoint": "https://example.org:8443/"}
    quic = {"name": "quic", "type": "AllodPeer", "endpoint": "allod:quic/198.51.100.7/4711"}
    yield case("DID-1/valid/key", "an agent that is only its key", [])
    yield case("DID-1/valid/log", "a log without devices", [first])
    yield case("DID-1/valid/devices", "two devices", [first, laptop, phone])
    yield case("DID-1/valid/rotated", "a key that was changed", [first, laptop, c.rotated(laptop, 1)])
    removed = c.follow(laptop, "remove-device", {"device": c.KEY[c.LAPTOP], "at": 5})
    yield case("DID-1/valid/removed", "a device that was removed", [first, laptop, removed])
    yield case("DID-2/valid/frozen", "a log that ends in an equivocation", [first, laptop, c.added(first, name="mine")], [node])
    yield case("DID-3/valid/services", "two services", [first], [node, quic])
    bad = "E_DID_SERVICE"
    yield case("DID-3/invalid/twice", "a name twice", [], [node, node], bad)
    yield case("DID-3/invalid/many", "17 services", [], [node | {"name": f"n{n}"} for n in range(17)], bad)
    for name, change, comment in (
        ("name", {"name": "Node"}, "an upper-case letter in a name"),
        ("no-name", {"name": ""}, "no name"),
        ("fragment", {"name": "a#b"}, "a fragment in a name"),
        ("type", {"type": ""}, "no type"),
        ("type-long", {"type": "T" * 65}, "a type of 65 letters"),
        ("type-blank", {"type": "Allod Node"}, "a blank in a type"),
        ("relative", {"endpoint": "//example.org/"}, "no scheme"),
        ("scheme", {"endpoint": "1a:b"}, "a digit before a scheme"),
        ("short", {"endpoint": "a:"}, "nothing behind the scheme"),
        ("blank", {"endpoint": "https://example.org/ x"}, "a blank"),
        ("quote", {"endpoint": "https://example.org/\""}, "a quote"),
        ("markup", {"endpoint": "javascript:<script>"}, "markup"),
        ("utf-8", {"endpoint": "https://ex\u00e4mple.org/"}, "a letter that is not ASCII"),
        ("long", {"endpoint": "a:" + "b" * 1023}, "1025 characters"),
    ):
        yield case(f"DID-3/invalid/{name}", comment, [first], [node | change], bad)
    gap = [laptop]
    yield case("DID-1/invalid/log", "events that make no log", gap, error="E_KEYLOG_GAP")


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    vectors.write(vectors_dir, "DID", RUNNERS, [("identity/document.json", cases())])


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
