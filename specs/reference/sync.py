"""A second reading of the frames of SYNC, from specs/30-sync.md alone.

Python 3.10 or later, standard library only. It shares no code with the crates; DAG-CBOR is read by
statement.py beside this file.

    python3 specs/reference/sync.py specs/vectors            checks the vectors
    python3 specs/reference/sync.py --write specs/vectors    writes them again, byte for byte

`check(vectors_dir)` returns how many cases passed and a list of what failed.
"""

import base64
import hashlib
import sys

import repo
import statement as s
import vectors
from vectors import Fault

FRAME_BYTES_MAX = 1_310_720
FRAME_BYTES_CEILING = 2 * 1024 * 1024 + 64 * 1024
BRANCHES_MAX, HEADS_MAX, LOGS_MAX, SAMPLES_MAX, WANTED_MAX = 1024, 256, 256, 512, 1024
PREFIXES_MAX = 1024
REASON_BYTES_MAX = 512
HELLO = {
    "agent": bytes, "branches": list, "events": list, "logs": list, "samples": list,
    "slices": bool, "space": s.Link, "version": int, "wants": (list, type(None)),
}


def require(condition):
    if not condition:
        raise Fault("E_FRAME")


def read(data):
    """The value of canonical DAG-CBOR."""
    try:
        return s.decode(data)
    except s.Fault:
        raise Fault("E_FRAME") from None


def is_uint(value):
    return type(value) is int and 0 <= value < 1 << 64


def is_list_of(kind, value):
    return isinstance(value, list) and all(type(item) is kind for item in value)


def is_pair(value, first, second):
    return isinstance(value, list) and len(value) == 2 and type(value[0]) is first and type(value[1]) is second


def members(value, shapes):
    try:
        require(isinstance(value, dict))
        s.members(value, shapes)
    except s.Fault:
        raise Fault("E_FRAME") from None


def texts(links):
    return list(map(s.cid_text, links))


def hexes(items):
    return [item.hex() for item in items]


def hello(value):
    members(value, HELLO | ({"parts": list} if "parts" in value else {}))
    require(s.is_key(value["agent"]) and is_list_of(bytes, value["events"]) and is_list_of(s.Link, value["samples"]))
    for branch in value["branches"]:
        require(is_pair(branch, str, list) and repo.is_branch(branch[0]) and is_list_of(s.Link, branch[1]))
        require(len(branch[1]) <= HEADS_MAX)
    for part in value.get("parts", []):
        require(is_pair(part, str, list) and repo.is_branch(part[0]) and is_list_of(bytes, part[1]))
        require(all(1 <= len(prefix) <= 256 for prefix in part[1]))
    require("parts" not in value or value["parts"])
    require(sum(len(part[1]) for part in value.get("parts", [])) <= PREFIXES_MAX)
    for log in value["logs"]:
        require(is_pair(log, bytes, bytes) and s.is_key(log[0]) and len(log[1]) == 16)
    require(len(value["branches"]) <= BRANCHES_MAX)
    wants = value["wants"]
    require(wants is None or is_list_of(str, wants) and len(wants) <= BRANCHES_MAX and all(map(repo.is_branch, wants)))
    require(len(value["logs"]) <= LOGS_MAX and len(value["samples"]) <= SAMPLES_MAX)
    return {
        "agent": s.to_did(value["agent"]),
        "branches": [[name, texts(heads)] for name, heads in value["branches"]],
        "events": hexes(value["events"]),
        "logs": [[s.to_did(agent), mark.hex()] for agent, mark in value["logs"]],
        "parts": [[name, hexes(prefixes)] for name, prefixes in value.get("parts", [])],
        "samples": texts(value["samples"]),
        "slices": value["slices"],
        "space": s.cid_text(value["space"]),
        "version": value["version"],
        "wants": wants,
    }


def key_events(agent, events):
    require(type(agent) is bytes and s.is_key(agent) and is_list_of(bytes, events))
    return {"agent": s.to_did(agent), "events": hexes(events)}


def commit(statement, branch, mode):
    require(type(statement) is bytes and is_uint(branch) and is_uint(mode) and mode < 2)
    return {"statement": statement.hex(), "branch": branch, "mode": mode}


def changes(flat, last):
    require(is_list_of(bytes, flat) and len(flat) % 2 == 0 and type(last) is bool)
    keys = flat[::2]
    require(all(a < b for a, b in zip(keys, keys[1:])))
    return {"entries": [[key.hex(), value.hex()] for key, value in zip(keys, flat[1::2])], "last": last}


def want(opened, names):
    require(is_list_of(s.Link, opened) and is_list_of(s.Link, names))
    require(len(opened) <= WANTED_MAX and len(names) <= WANTED_MAX)
    return {"opened": texts(opened), "names": texts(names)}


def blocks(contents, absent):
    require(is_list_of(bytes, contents) and is_list_of(s.Link, absent))
    require(len(contents) + len(absent) <= WANTED_MAX)
    return {"blocks": hexes(contents), "absent": texts(absent)}


def why(code, reason):
    require(type(code) is str and type(reason) is str)
    require(len(code.encode()) + len(reason.encode()) <= REASON_BYTES_MAX)
    return {"code": code, "reason": reason}


def refuse(link, code, reason):
    require(type(link) is s.Link)
    return {"commit": s.cid_text(link)} | why(code, reason)


def projection(name, state):
    require(type(name) is s.Link and type(state) is s.Link)
    return {"name": s.cid_text(name), "state": s.cid_text(state)}


def tree(root):
    require(root is None or type(root) is s.Link)
    return {"root": root if root is None else s.cid_text(root)}


def compare(root, size, leaves, entries, have):
    require(type(root) is s.Link and is_uint(size) and type(leaves) is bytes and type(entries) is bytes and is_uint(have))
    require(len(leaves) <= 16 * 10 and len(entries) <= 128 * 10)
    return {"tree": s.cid_text(root), "size": size, "leaves": leaves.hex(), "entries": entries.hex(), "have": have}


def sketch(total, first, symbols, last):
    require(is_uint(total) and is_uint(first) and type(symbols) is bytes and type(last) is bool)
    return {"total": total, "first": first, "symbols": symbols.hex(), "last": last}


def pick(elements, last):
    require(type(elements) is bytes and len(elements) % 8 == 0 and len(elements) <= 8 * 65_536 and type(last) is bool)
    return {"elements": [elements[at : at + 8].hex() for at in range(0, len(elements), 8)], "last": last}


def credit(count):
    require(is_uint(count))
    return {"bytes": count}


MESSAGES = {
    1: ("hello", hello),
    2: ("key-events", key_events),
    3: ("commit", commit),
    4: ("changes", changes),
    5: ("want", want),
    6: ("blocks", blocks),
    7: ("done", lambda: {}),
    8: ("refuse", refuse),
    9: ("ack", lambda: {}),
    10: ("credit", credit),
    11: ("close", why),
    12: ("projection", projection),
    13: ("tree", tree),
    14: ("compare", compare),
    15: ("sketch", sketch),
    16: ("pick", pick),
    17: ("entries", changes),
}


def run_frame(given):
    data = bytes.fromhex(given["bytes"])
    require(len(data) <= (FRAME_BYTES_CEILING if data[1:2] == b"\x06" else FRAME_BYTES_MAX))
    value = read(data)
    require(isinstance(value, list) and value and type(value[0]) is int and value[0] in MESSAGES)
    name, reader = MESSAGES[value[0]]
    require(len(value) - 1 == reader.__code__.co_argcount)
    return {"message": name} | reader(*value[1:])


def request(value):
    members(value, {"agent": bytes, "events": list, "secret": bytes, "space": s.Link})
    require(s.is_key(value["agent"]) and is_list_of(bytes, value["events"]) and len(value["secret"]) == 16)
    return {
        "agent": s.to_did(value["agent"]), "events": hexes(value["events"]),
        "secret": value["secret"].hex(), "space": s.cid_text(value["space"]),
    }


def welcome(value):
    members(value, {"genesis": bytes, "logs": list})
    for log in value["logs"]:
        require(is_pair(log, bytes, list) and s.is_key(log[0]) and is_list_of(bytes, log[1]))
    logs = [[s.to_did(agent), hexes(events)] for agent, events in value["logs"]]
    return {"genesis": value["genesis"].hex(), "logs": logs}


def refused(code, reason):
    require(type(code) is str and type(reason) is str)
    return {"code": code, "reason": reason}


JOINING = {1: ("request", request), 2: ("welcome", welcome), 3: ("refused", refused)}


def run_join(given):
    data = bytes.fromhex(given["bytes"])
    require(len(data) <= FRAME_BYTES_MAX)
    value = read(data)
    require(isinstance(value, list) and value and type(value[0]) is int and value[0] in JOINING)
    name, reader = JOINING[value[0]]
    require(len(value) - 1 == reader.__code__.co_argcount)
    return {"message": name} | reader(*value[1:])


# --- tickets ------------------------------------------------------------------------------------

PREFIX = "allod-ticket:"


def ticket_text(content):
    data = content + hashlib.sha256(content).digest()[:4]
    return PREFIX + "b" + base64.b32encode(data).decode().lower().rstrip("=")


def run_ticket(given):
    text = given["text"].strip()
    if not text.startswith(PREFIX + "b") or len(text) - len(PREFIX) > 4096:
        raise Fault("E_TICKET")
    body = text[len(PREFIX) + 1 :].upper()
    try:
        data = base64.b32decode(body + "=" * (-len(body) % 8))
    except ValueError:
        raise Fault("E_TICKET") from None
    content = data[:-4]
    if len(data) < 4 or hashlib.sha256(content).digest()[:4] != data[-4:]:
        raise Fault("E_TICKET")
    try:
        value = read(content)
        members(value, {"addrs": list, "device": bytes, "secret": bytes, "space": s.Link})
        require(is_list_of(str, value["addrs"]) and len(value["addrs"]) <= 8)
        require(s.is_key(value["device"]) and len(value["secret"]) == 16)
    except Fault:
        raise Fault("E_TICKET") from None
    return {
        "addrs": value["addrs"], "device": s.to_did(value["device"]),
        "secret": value["secret"].hex(), "space": s.cid_text(value["space"]),
    }


RUNNERS = {"sync/frame.json": run_frame, "sync/join.json": run_join, "sync/ticket.json": run_ticket}


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    import sync_cases

    vectors.write(vectors_dir, "SYNC", RUNNERS, sync_cases.files())


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
