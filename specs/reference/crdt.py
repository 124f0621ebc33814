"""A second reading of CRDT: states of values that join, from specs/23-crdt.md alone.

Python 3.10 or later, standard library only. It shares no code with the crates. What the changes of a
document mean is not read.

    python3 specs/reference/crdt.py specs/vectors            checks the vectors
    python3 specs/reference/crdt.py --write specs/vectors    writes state.json, join.json, compact.json and apply.json
"""

import base64
import hashlib
import json
import sys

import statement as s
import vectors
from vectors import Fault

KINDS = [
    "g-counter", "pn-counter", "lww-register", "mv-register", "2p-set", "or-set", "counted-set", "lww-map", "list", "document",
]  # fmt: skip
STATE_BYTES_MAX, ITEM_BYTES_MAX, NUMBER_MAX = 1 << 20, 1 << 16, (1 << 64) - 1
ROOT = ()


def need(condition, code="E_CRDT"):
    if not condition:
        raise Fault(code)


# --- reading (CRDT-1) -----------------------------------------------------------------------------
#
# A body is read as a dictionary: by writer, element, field, dot or hash. Those of or-set and mv-register
# are a pair of what is seen, and the items by their dots.


def number(value, least=0):
    need(type(value) is int and least <= value <= NUMBER_MAX)
    return value


def writer(value):
    need(type(value) is bytes and len(value) == 8)
    return value


def item(value, kind=bytes):
    need(type(value) is kind)
    need(len(value.encode() if kind is str else value) <= ITEM_BYTES_MAX, "E_CRDT_SIZE")
    return value


def rows(value, width):
    need(type(value) is list and all(type(row) is list and len(row) == width for row in value))
    return value


def ascending(keys):
    keys = list(keys)
    need(all(one < two for one, two in zip(keys, keys[1:])))


def by_name(pairs, order=lambda key: key):
    pairs = list(pairs)
    ascending(order(key) for key, _ in pairs)
    return dict(pairs)


def read_slots(value):
    need(type(value) is list and value)
    slots = by_name((writer(name), (number(up), number(down))) for name, up, down in rows(value, 3))
    need((0, 0) not in slots.values())
    return slots


def read_vector(value):
    return by_name((writer(name), number(seq, 1)) for name, seq in rows(value, 2))


def read_causal(value):
    need(type(value) is list and len(value) == 2)
    seen = read_vector(value[0])
    items = by_name((item(name), read_vector(dots)) for name, dots in rows(value[1], 2))
    need(seen and all(items.values()))
    live = {}
    for name, dots in items.items():
        for dot in dots.items():
            need(dot not in live and dot[1] <= seen.get(dot[0], 0))
            live[dot] = name
    return seen, live


def read_list(value):
    nodes = {}
    need(value)
    ascending(writer(name) for name, _ in rows(value, 2))
    for name, own in value:
        need(own)
        ascending(number(row[0], 1) for row in rows(own, 4))
        for seq, parent, is_right, content in own:
            need(type(is_right) is bool)
            if parent is None:
                need(is_right)
                parent = ROOT
            elif type(parent) is int:
                parent = (name, number(parent, 1))
            else:
                need(type(parent) is list and len(parent) == 2)
                parent = (writer(parent[0]), number(parent[1], 1))
                need(parent[0] != name)
            nodes[name, seq] = parent, is_right, None if content is None else item(content)
    return nodes


def change_hash(chunk):
    need(type(chunk) is bytes and chunk[:4] == b"\x85\x6f\x4a\x83" and chunk[8:9] == b"\x01")
    length, shift, at = 0, 0, 9
    while True:
        need(at < len(chunk) and shift < 63)
        byte = chunk[at]
        length, shift, at = length | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            need(byte or shift == 7)
            break
    need(len(chunk) == at + length)
    digest = hashlib.sha256(chunk[8:]).digest()
    need(digest[:4] == chunk[4:8])
    return digest


def read_body(kind, value):
    need(type(value) is list)
    if kind == "g-counter":
        need(value)
        return by_name((writer(name), number(slot, 1)) for name, slot in rows(value, 2))
    if kind == "pn-counter":
        return read_slots(value)
    if kind == "lww-register":
        need(len(value) == 3)
        return {"": (number(value[0]), writer(value[1]), item(value[2]))}
    if kind in ("mv-register", "or-set"):
        return read_causal(value)
    if kind == "2p-set":
        need(len(value) == 2 and all(type(part) is list for part in value) and (value[0] or value[1]))
        there, removed = (by_name((item(name), status) for name in part) for status, part in enumerate(value))
        need(not set(there) & set(removed))
        return there | removed
    if kind == "counted-set":
        need(value)
        return by_name((item(name), read_slots(slots)) for name, slots in rows(value, 2))
    if kind == "lww-map":
        need(value)
        return by_name(
            ((item(name, str), (number(stamp), writer(by), None if content is None else item(content)))
             for name, stamp, by, content in rows(value, 4)),
            str.encode,
        )  # fmt: skip
    if kind == "list":
        return read_list(value)
    need(value)
    return by_name((change_hash(chunk), chunk) for chunk in value)


def decode(kind, data):
    need(len(data) <= STATE_BYTES_MAX, "E_CRDT_SIZE")
    try:
        value = s.decode(data)
    except s.Fault:
        raise Fault("E_CRDT") from None
    need(type(value) is list and len(value) == 2)
    epoch, body = value
    if epoch is not None:
        need(type(epoch) is list and len(epoch) == 2)
        epoch = (number(epoch[0]), writer(epoch[1]))
    return epoch, None if body is None else read_body(kind, body)


# --- writing --------------------------------------------------------------------------------------


def write_slots(slots):
    return [[name, *slots[name]] for name in sorted(slots)]


def write_body(kind, body):
    if kind == "g-counter":
        return [[name, body[name]] for name in sorted(body)]
    if kind == "pn-counter":
        return write_slots(body)
    if kind == "lww-register":
        return list(body[""])
    if kind in ("mv-register", "or-set"):
        seen, live = body
        items = [[name, [list(dot) for dot in sorted(live) if live[dot] == name]] for name in sorted(set(live.values()))]
        return [[[name, seen[name]] for name in sorted(seen)], items]
    if kind == "2p-set":
        return [sorted(name for name in body if body[name] == status) for status in (0, 1)]
    if kind == "counted-set":
        return [[name, write_slots(body[name])] for name in sorted(body)]
    if kind == "lww-map":
        return [[name, *body[name]] for name in sorted(body, key=str.encode)]
    if kind == "list":
        written = []
        for name in sorted({dot[0] for dot in body}):
            own = []
            for dot in sorted(dot for dot in body if dot[0] == name):
                parent, is_right, content = body[dot]
                short = None if parent == ROOT else parent[1] if parent[0] == name else list(parent)
                own.append([dot[1], short, is_right, content])
            written.append([name, own])
        return written
    return [body[name] for name in sorted(body)]


def encode(kind, state):
    epoch, body = state
    data = s.encode([None if epoch is None else list(epoch), None if body is None else write_body(kind, body)])
    need(len(data) <= STATE_BYTES_MAX, "E_CRDT_SIZE")
    return data


# --- joining --------------------------------------------------------------------------------------


def later(kind, one, two):
    """Of what two states have under one name."""
    if kind == "counted-set":
        return joined_maps("pn-counter", one, two)
    if kind == "pn-counter":
        return tuple(map(max, one, two))
    if kind in ("lww-register", "lww-map"):
        return max(one, two, key=lambda write: (write[0], write[1], write[2] is not None, write[2] or b""))
    if kind == "list":
        return max(one, two, key=lambda node: (node[0], node[1], node[2] is None, node[2] or b""))
    return max(one, two)


def joined_maps(kind, one, two):
    both = dict(one)
    for name, theirs in two.items():
        both[name] = later(kind, both[name], theirs) if name in both else theirs
    return both


def status(causal, dot, name):
    """0 if a dot was not seen, 1 if it is there with this item, 2 if it was seen and is not."""
    seen, live = causal
    return 0 if dot[1] > seen.get(dot[0], 0) else 1 if live.get(dot) == name else 2


def joined_causal(one, two):
    seen = {name: max(one[0].get(name, 0), two[0].get(name, 0)) for name in one[0] | two[0]}
    pairs = one[1].items() | two[1].items()
    return seen, {dot: name for dot, name in pairs if max(status(one, dot, name), status(two, dot, name)) == 1}


def join(kind, one, two):
    if one[0] != two[0]:
        return max(one, two, key=lambda state: state[0] or ())
    if one[1] is None or two[1] is None:
        return one if two[1] is None else two
    if kind in ("mv-register", "or-set"):
        return one[0], joined_causal(one[1], two[1])
    return one[0], joined_maps(kind, one[1], two[1])


# --- values ---------------------------------------------------------------------------------------


def list_order(nodes):
    """All dots whose parents lead to the root. Python has no room for deep recursion, so it is a loop."""
    children = {}
    for dot in sorted(nodes):
        parent, is_right, _ = nodes[dot]
        children.setdefault((parent, is_right), []).append(dot)
    order, open_ = [], [("into", ROOT)]
    while open_:
        step, dot = open_.pop()
        if step == "give":
            order.append(dot)
            continue
        inside = [("into", child) for child in children.get((dot, False), [])]
        inside += [("give", dot)] * (dot != ROOT)
        inside += [("into", child) for child in children.get((dot, True), [])]
        open_ += reversed(inside)
    return order


def shown_list(nodes):
    return [dot for dot in list_order(nodes) if nodes[dot][2] is not None]


def count(slots):
    return sum(up - down for up, down in slots.values())


def plain(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def value(kind, body):
    if body is None:
        return None
    if kind == "g-counter":
        return sum(body.values())
    if kind == "pn-counter":
        return count(body)
    if kind == "lww-register":
        return plain(body[""][2])
    if kind in ("mv-register", "or-set"):
        return [plain(name) for name in sorted(set(body[1].values()))]
    if kind == "2p-set":
        return [plain(name) for name in sorted(body) if body[name] == 0]
    if kind == "counted-set":
        return [[plain(name), count(body[name])] for name in sorted(body) if count(body[name]) > 0]
    if kind == "lww-map":
        return {name: plain(body[name][2]) for name in sorted(body, key=str.encode) if body[name][2] is not None}
    if kind == "list":
        return [plain(body[dot][2]) for dot in shown_list(body)]
    return [name.hex() for name in sorted(body)]


def text(kind, body):
    return json.dumps(value(kind, body), ensure_ascii=False, separators=(",", ":"))


# --- a new epoch (CRDT-20) ------------------------------------------------------------------------


def total(by, sum_):
    return {by: (1, 1) if sum_ == 0 else (max(sum_, 0), max(-sum_, 0))}


def compact(kind, body, epoch):
    stamp, by = epoch
    if body is None:
        return None
    if kind == "g-counter":
        return {by: sum(body.values())}
    if kind == "pn-counter":
        return total(by, count(body))
    if kind == "lww-register":
        return {"": (stamp, by, body[""][2])}
    if kind in ("mv-register", "or-set"):
        items = sorted(set(body[1].values()))
        return {by: max(len(items), 1)}, {(by, seq): name for seq, name in enumerate(items, 1)}
    if kind == "2p-set":
        return {name: 0 for name in body if body[name] == 0} or {min(body): 1}
    if kind == "counted-set":
        there = {name: total(by, count(body[name])) for name in body if count(body[name]) > 0}
        return there or {min(body): total(by, 0)}
    if kind == "lww-map":
        there = {name: (stamp, by, body[name][2]) for name in body if body[name][2] is not None}
        return there or {min(body, key=str.encode): (stamp, by, None)}
    contents = [body[dot][2] for dot in shown_list(body)] or [None]
    return {(by, seq): ((by, seq - 1) if seq > 1 else ROOT, True, content) for seq, content in enumerate(contents, 1)}


# --- operations -----------------------------------------------------------------------------------


def add_slot(slots, by, amount):
    up, down = slots.get(by, (0, 0))
    return slots | {by: (up + max(amount, 0), down + max(-amount, 0))} if amount else slots


def insert(nodes, index, content, by):
    order, shown = list_order(nodes), shown_list(nodes)
    left = shown[index - 1] if index else ROOT
    parent, is_right = left, True
    if any(node[:2] == (left, True) for node in nodes.values()):
        following = order[order.index(left) + 1 :] if index else order
        if following:
            parent, is_right = following[0], False
    seq = max((dot[1] for dot in nodes if dot[0] == by), default=0) + 1
    return nodes | {(by, seq): (parent, is_right, content)}


def apply(kind, body, operation, by, stamp):
    name, *arguments = operation
    if kind in ("mv-register", "or-set"):
        seen, live = body or ({}, {})
        given = bytes.fromhex(arguments[0])
        live = {dot: it for dot, it in live.items() if name != "set" and it != given}
        if name != "remove":
            seen = seen | {by: seen.get(by, 0) + 1}
            live[by, seen[by]] = given
        return (seen, live) if seen else None
    body = dict(body or {})
    if kind == "g-counter":
        return body | {by: body.get(by, 0) + arguments[0]}
    if kind == "pn-counter":
        return add_slot(body, by, arguments[0] if name == "increment" else -arguments[0])
    if kind == "lww-register":
        return {"": (stamp, by, bytes.fromhex(arguments[0]))}
    if kind == "lww-map":
        if name == "delete" and body.get(arguments[0], (0, 0, None))[2] is None:
            return body or None
        return body | {arguments[0]: (stamp, by, bytes.fromhex(arguments[1]) if name == "put" else None)}
    if kind == "list":
        if name == "insert":
            return insert(body, arguments[0], bytes.fromhex(arguments[1]), by)
        dot = shown_list(body)[arguments[0]]
        return body | {dot: (*body[dot][:2], None)}
    given = bytes.fromhex(arguments[0])
    if kind == "2p-set":
        if name == "remove":
            return (body | {given: 1} if given in body else body) or None
        return {given: 0} | body
    amount = {"add": 1, "remove": -1}.get(name) or arguments[1]
    if name == "remove" and count(body.get(given, {})) <= 0:
        return body or None
    return body | {given: add_slot(body.get(given, {}), by, amount)}


# --- vectors --------------------------------------------------------------------------------------


def unpacked(data):
    """Bytes from hex, or from a list of parts, each with how often it comes."""
    if type(data) is str:
        return bytes.fromhex(data)
    return b"".join(bytes.fromhex(part) * times for part, times in data)


def run_state(given):
    epoch, body = decode(given["kind"], unpacked(given["bytes"]))
    again = encode(given["kind"], (epoch, body)).hex()
    return {
        "epoch": None if epoch is None else [epoch[0], epoch[1].hex()],
        "value": text(given["kind"], body),
        "reencoded": again,
    }


def run_join(given):
    kind = given["kind"]
    one, two = (decode(kind, unpacked(given[side])) for side in ("left", "right"))
    both = join(kind, one, two)
    return {"bytes": encode(kind, both).hex(), "value": text(kind, both[1]), "includes": [both == one, both == two]}


def run_compact(given):
    kind, epoch = given["kind"], (given["stamp"], bytes.fromhex(given["writer"]))
    _, body = decode(kind, unpacked(given["bytes"]))
    new = compact(kind, body, epoch)
    assert text(kind, new) == text(kind, body)
    return {"bytes": encode(kind, (epoch, new)).hex()}


def run_apply(given):
    kind = given["kind"]
    epoch, body = decode(kind, unpacked(given["bytes"]))
    for by, stamp, *operation in given["operations"]:
        body = apply(kind, body, operation, bytes.fromhex(by), stamp)
    return {"bytes": encode(kind, (epoch, body)).hex(), "value": text(kind, body)}


RUNNERS = {
    "crdt/state.json": run_state,
    "crdt/join.json": run_join,
    "crdt/compact.json": run_compact,
    "crdt/apply.json": run_apply,
}


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    import crdt_cases

    vectors.write(vectors_dir, "CRDT", RUNNERS, crdt_cases.files())


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
