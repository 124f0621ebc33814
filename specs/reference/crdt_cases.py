"""The cases of crdt.py, made by hand: states as lists, written by the encoder of statement.py."""

import hashlib
import re

from crdt import apply, encode, run_apply
from statement import encode as cbor

A, B, C = (bytes(7) + bytes([number]) for number in (1, 2, 3))
BAD, SIZE = "E_CRDT", "E_CRDT_SIZE"
LONG = b"x" * 65_536


def packed(data):
    """Hex; of long data, what its parts are and how often each comes."""
    if len(data) < 4096:
        return data.hex()
    parts = re.findall(rb"x{1000,}|\0{1000,}|(?:(?!x{1000}|\0{1000}).)+", data, re.DOTALL)
    return [[part[:1].hex(), len(part)] if len(part) >= 1000 else [part.hex(), 1] for part in parts]


def given(kind, value):
    return {"kind": kind, "bytes": packed(value if type(value) is bytes else cbor(value))}


def chunk(content, magic=b"\x85\x6f\x4a\x83", kind=1, length=None, checksum=None):
    hashed = bytes([kind]) + (bytes([len(content)]) if length is None else length) + content
    return magic + (hashlib.sha256(hashed).digest()[:4] if checksum is None else checksum) + hashed


def by_hash(*contents):
    return sorted(map(chunk, contents), key=lambda it: hashlib.sha256(it[8:]).digest())


VALID = [
    # kind, rule, name, body, comment
    ("g-counter", "CRDT-10", "slots", [[A, 1], [B, (1 << 64) - 1]], "the sum is beyond 64 bits"),
    ("pn-counter", "CRDT-10", "slots", [[A, 0, 5], [B, 2, 0]], "below 0"),
    ("pn-counter", "CRDT-10", "zero", [[A, 1, 1]], "a sum of 0 is shown"),
    ("lww-register", "CRDT-11", "text", [7, A, "t\u00e9\n\"\x01".encode()], "escapes in the text"),
    ("lww-register", "CRDT-11", "bytes", [0, A, b"\xff\x00"], "no UTF-8"),
    ("mv-register", "CRDT-13", "two", [[[A, 1], [B, 3]], [[b"x", [[A, 1]]], [b"y", [[B, 3]]]]], "two values"),
    ("mv-register", "CRDT-13", "none", [[[A, 1]], []], "each was removed by the other"),
    ("2p-set", "CRDT-12", "both", [[b"", b"b"], [b"a"]], "elements and removed ones"),
    ("2p-set", "CRDT-12", "removed", [[], [b"a"]], "all are removed"),
    ("or-set", "CRDT-13", "two", [[[A, 5], [B, 2]], [[b"a", [[A, 5], [B, 1]]], [b"b", [[A, 4]]]]], "two elements"),
    ("or-set", "CRDT-13", "none", [[[A, 1]], []], "all are removed"),
    ("counted-set", "CRDT-14", "counts", [[b"a", [[A, 3, 1], [B, 0, 1]]], [b"b", [[A, 0, 1]]], [b"c", [[C, 1, 1]]]],
     "one is there, two are not"),
    ("lww-map", "CRDT-11", "fields", [["", 1, A, b"x"], ["a", 9, B, None], ["\u00e9", 2, A, b""]], "one is removed"),
    ("lww-map", "CRDT-11", "removed", [["a", 9, B, None]], "all are removed"),
    ("list", "CRDT-15", "tree", [[A, [[1, None, True, b"a"], [2, 1, True, None], [3, 2, True, b"c"]]],
                                 [B, [[1, [A, 2], False, b"b"], [2, None, True, b"z"], [9, [A, 1], False, b"0"]]]],
     "both sides, two writers, one removed"),
    ("list", "CRDT-15", "orphan", [[A, [[2, 1, True, b"b"], [3, [B, 1], False, b"c"]]]], "parents are not there"),
    ("list", "CRDT-15", "circle", [[A, [[1, 2, True, b"a"], [2, 1, False, b"b"]]], [B, [[1, None, True, b"c"]]]],
     "parents go round"),
    ("list", "CRDT-15", "removed", [[A, [[1, None, True, None]]]], "all are removed"),
    ("document", "CRDT-16", "two", by_hash(b"content", b""), "what the content says is not looked at"),
]

INVALID = [
    ("g-counter", "CRDT-10", "zero", [[A, 0]], "a slot of 0"),
    ("g-counter", "CRDT-1", "empty", [], "an empty list"),
    ("g-counter", "CRDT-1", "order", [[B, 1], [A, 1]], "descending"),
    ("g-counter", "CRDT-1", "twice", [[A, 1], [A, 1]], "a writer twice"),
    ("g-counter", "CRDT-1", "writer-short", [[A[1:], 1]], "seven bytes"),
    ("g-counter", "CRDT-1", "writer-long", [[A + A, 1]], "sixteen bytes"),
    ("g-counter", "CRDT-1", "negative", [[A, -1]], "a number below 0"),
    ("g-counter", "CRDT-1", "text", [[A, "1"]], "a text for a number"),
    ("g-counter", "CRDT-1", "more", [[A, 1, 0]], "three members"),
    ("g-counter", "CRDT-1", "map", {"a": 1}, "a map for a list"),
    ("pn-counter", "CRDT-10", "zero", [[A, 0, 0]], "both are 0"),
    ("pn-counter", "CRDT-1", "empty", [], "an empty list"),
    ("pn-counter", "CRDT-1", "order", [[B, 1, 0], [A, 1, 0]], "descending"),
    ("pn-counter", "CRDT-1", "less", [[A, 1]], "two members"),
    ("pn-counter", "CRDT-1", "null", [[A, 1, None]], "null for a number"),
    ("lww-register", "CRDT-1", "null", [7, A, None], "no value"),
    ("lww-register", "CRDT-1", "text", [7, A, "x"], "a text for bytes"),
    ("lww-register", "CRDT-1", "less", [7, A], "two members"),
    ("lww-register", "CRDT-1", "stamp", [-7, A, b""], "a stamp below 0"),
    ("lww-register", "CRDT-2", "long", [7, A, LONG + b"x"], "65,537 bytes"),
    ("mv-register", "CRDT-13", "unseen", [[[A, 1]], [[b"x", [[A, 2]]]]], "a dot that was not seen"),
    ("mv-register", "CRDT-13", "twice", [[[A, 1]], [[b"x", [[A, 1]]], [b"y", [[A, 1]]]]], "one dot, two values"),
    ("mv-register", "CRDT-13", "no-dot", [[[A, 1]], [[b"x", []]]], "a value without a dot"),
    ("mv-register", "CRDT-1", "order", [[[A, 2]], [[b"y", [[A, 1]]], [b"x", [[A, 2]]]]], "values descend"),
    ("mv-register", "CRDT-2", "long", [[[A, 1]], [[LONG + b"x", [[A, 1]]]]], "65,537 bytes"),
    ("2p-set", "CRDT-12", "common", [[b"a", b"b"], [b"b"]], "there, and removed"),
    ("2p-set", "CRDT-12", "empty", [[], []], "both are empty"),
    ("2p-set", "CRDT-1", "order", [[b"b", b"a"], []], "elements descend"),
    ("2p-set", "CRDT-1", "order-removed", [[], [b"b", b"a"]], "removed ones descend"),
    ("2p-set", "CRDT-1", "twice", [[b"a", b"a"], []], "an element twice"),
    ("2p-set", "CRDT-1", "less", [[b"a"]], "one list"),
    ("2p-set", "CRDT-2", "long", [[], [LONG + b"x"]], "65,537 bytes"),
    ("or-set", "CRDT-13", "unseen", [[[A, 1]], [[b"x", [[B, 1]]]]], "a writer that was not seen"),
    ("or-set", "CRDT-13", "zero", [[[A, 1]], [[b"x", [[A, 0]]]]], "dot 0"),
    ("or-set", "CRDT-13", "zero-seen", [[[A, 0]], []], "nothing seen of a writer"),
    ("or-set", "CRDT-13", "empty", [[], []], "nothing seen"),
    ("or-set", "CRDT-13", "two-of-one", [[[A, 2]], [[b"x", [[A, 1], [A, 2]]]]], "two dots of one writer"),
    ("or-set", "CRDT-13", "twice", [[[A, 1]], [[b"x", [[A, 1]]], [b"y", [[A, 1]]]]], "one dot, two elements"),
    ("or-set", "CRDT-13", "no-dot", [[[A, 1]], [[b"x", []]]], "an element without a dot"),
    ("or-set", "CRDT-1", "order-seen", [[[B, 1], [A, 1]], []], "writers descend"),
    ("or-set", "CRDT-1", "order-dots", [[[A, 1], [B, 1]], [[b"x", [[B, 1], [A, 1]]]]], "dots descend"),
    ("or-set", "CRDT-1", "order", [[[A, 2]], [[b"y", [[A, 1]]], [b"x", [[A, 2]]]]], "elements descend"),
    ("counted-set", "CRDT-14", "no-slot", [[b"a", []]], "an element without a slot"),
    ("counted-set", "CRDT-14", "zero", [[b"a", [[A, 0, 0]]]], "a slot of 0"),
    ("counted-set", "CRDT-1", "empty", [], "an empty list"),
    ("counted-set", "CRDT-1", "order", [[b"b", [[A, 1, 0]]], [b"a", [[A, 1, 0]]]], "elements descend"),
    ("counted-set", "CRDT-1", "order-slots", [[b"a", [[B, 1, 0], [A, 1, 0]]]], "slots descend"),
    ("counted-set", "CRDT-2", "long", [[LONG + b"x", [[A, 1, 0]]]], "65,537 bytes"),
    ("lww-map", "CRDT-1", "bytes", [[b"a", 1, A, b"x"]], "bytes for a field"),
    ("lww-map", "CRDT-1", "empty", [], "an empty list"),
    ("lww-map", "CRDT-1", "order", [["b", 1, A, b"x"], ["a", 1, A, b"x"]], "fields descend"),
    ("lww-map", "CRDT-1", "order-length", [["b", 1, A, b""], ["aa", 1, A, b""]], "ordered by their length"),
    ("lww-map", "CRDT-1", "twice", [["a", 1, A, b"x"], ["a", 2, A, b"y"]], "a field twice"),
    ("lww-map", "CRDT-2", "long", [["x" * 65_537, 1, A, b""]], "a field of 65,537 bytes"),
    ("lww-map", "CRDT-2", "long-value", [["x", 1, A, LONG + b"x"]], "a value of 65,537 bytes"),
    ("list", "CRDT-15", "left-of-root", [[A, [[1, None, False, b"a"]]]], "on the left of the root"),
    ("list", "CRDT-15", "zero", [[A, [[0, None, True, b"a"]]]], "dot 0"),
    ("list", "CRDT-15", "zero-parent", [[A, [[1, 0, True, b"a"]]]], "a parent with number 0"),
    ("list", "CRDT-15", "zero-other", [[A, [[1, [B, 0], True, b"a"]]]], "a parent with number 0, of another writer"),
    ("list", "CRDT-1", "own-parent", [[A, [[1, None, True, b"a"], [2, [A, 1], True, b"b"]]]], "the own writer is named"),
    ("list", "CRDT-1", "order", [[A, [[2, None, True, b"a"], [1, None, True, b"b"]]]], "numbers descend"),
    ("list", "CRDT-1", "order-writers", [[B, [[1, None, True, b"a"]]], [A, [[1, None, True, b"b"]]]], "writers descend"),
    ("list", "CRDT-1", "no-node", [[A, []]], "a writer without a node"),
    ("list", "CRDT-1", "empty", [], "an empty list"),
    ("list", "CRDT-1", "side", [[A, [[1, None, 1, b"a"]]]], "a number for a side"),
    ("list", "CRDT-2", "long", [[A, [[1, None, True, LONG + b"x"]]]], "65,537 bytes"),
    ("document", "CRDT-1", "order", by_hash(b"content", b"")[::-1], "descending"),
    ("document", "CRDT-1", "twice", [chunk(b"x"), chunk(b"x")], "one change twice"),
    ("document", "CRDT-1", "empty", [], "no change"),
    ("document", "CRDT-16", "magic", [chunk(b"x", magic=b"\x85\x6f\x4a\x84")], "another magic number"),
    ("document", "CRDT-16", "hash", [chunk(b"x", checksum=bytes(4))], "another hash"),
    ("document", "CRDT-16", "compressed", [chunk(b"x", kind=2)], "a compressed change"),
    ("document", "CRDT-16", "whole", [chunk(b"x", kind=0)], "a whole document"),
    ("document", "CRDT-16", "length-long", [chunk(b"x", length=b"\x02")], "cut short"),
    ("document", "CRDT-16", "length-short", [chunk(b"xy", length=b"\x01")], "bytes follow"),
    ("document", "CRDT-16", "length-padded", [chunk(b"x", length=b"\x81\x00")], "a length with a byte too many"),
    ("document", "CRDT-16", "length-huge", [chunk(b"", length=b"\xff" * 9 + b"\x01")], "the largest length"),
    ("document", "CRDT-16", "header", [b"\x85\x6f\x4a\x83"], "the magic number alone"),
]


def states():
    for kind, rule, name, body, comment in VALID:
        yield f"{rule}/valid/{kind}-{name}", comment, given(kind, [None, body]), None
    for kind, rule, name, body, comment in INVALID:
        yield f"{rule}/invalid/{kind}-{name}", comment, given(kind, [None, body]), SIZE if rule == "CRDT-2" else BAD
    for kind in ("g-counter", "list", "document"):
        yield f"CRDT-5/valid/{kind}-none", "no value", given(kind, [None, None]), None
        yield f"CRDT-5/valid/{kind}-cleared", "no value, in a new epoch", given(kind, [[9, A], None]), None
    yield "CRDT-4/valid/epoch", "a value in an epoch", given("g-counter", [[(1 << 64) - 1, A], [[A, 1]]]), None
    for name, value, comment in [
        ("epoch-stamp", [[-1, A], None], "a stamp below 0"),
        ("epoch-writer", [[1, A[1:]], None], "a writer of seven bytes"),
        ("epoch-more", [[1, A, 1], None], "three members"),
        ("epoch-number", [1, None], "a number for an epoch"),
        ("no-body", [None], "one member"),
        ("more", [None, None, None], "three members"),
        ("map", {}, "a map for a state"),
        ("nothing", b"", "no bytes"),
        ("cut", cbor([None, [[A, 1]]])[:-1], "cut short"),
        ("trailing", cbor([None, None]) + b"\0", "bytes follow"),
        ("long-head", b"\x82\xf6\x98\x01" + cbor([A, 1]), "a head that is too long"),
        ("indefinite", b"\x9f\xf6\xf6\xff", "a list without a length"),
        ("float", cbor([None, [[A, 1]]])[:-1] + b"\xfb\x3f\xf0" + bytes(6), "a float for a number"),
        ("undefined", b"\x82\xf6\xf7", "another simple value"),
    ]:
        yield f"CRDT-1/invalid/{name}", comment, given("g-counter", value), BAD
    yield "CRDT-2/invalid/state", "more than 1 MiB", given("g-counter", bytes((1 << 20) + 1)), SIZE


def joins():
    def pair(kind, left, right):
        return {"kind": kind, "left": packed(cbor(left)), "right": packed(cbor(right))}

    def both(rule, name, comment, kind, left, right):
        for order, one, two in (("forth", left, right), ("back", right, left)):
            yield f"{rule}/valid/{kind}-{name}-{order}", comment, pair(kind, one, two), None

    def bodies(rule, name, comment, kind, left, right):
        return both(rule, name, comment, kind, [None, left], [None, right])

    for kind, _, name, body, _ in VALID:
        yield f"CRDT-3/valid/{kind}-{name}-self", "idempotent", pair(kind, [None, body], [None, body]), None
        yield from both("CRDT-4", f"{name}-none", "with no value", kind, [None, body], [None, None])
        yield from both("CRDT-4", f"{name}-epoch", "of a lesser epoch", kind, [None, body], [[0, A], None])
    one, two = [[A, 1]], [[B, 2]]
    yield from both("CRDT-4", "stamps", "the greater stamp", "g-counter", [[2, A], one], [[3, A], two])
    yield from both("CRDT-4", "writers", "the greater writer", "g-counter", [[2, A], one], [[2, B], two])
    yield from both("CRDT-4", "same", "one epoch", "g-counter", [[2, A], one], [[2, A], two])
    yield from bodies("CRDT-10", "slots", "slot by slot", "g-counter", [[A, 5], [B, 1]], [[A, 2], [C, 1]])
    yield from bodies("CRDT-10", "slots", "up and down apart", "pn-counter", [[A, 5, 1]], [[A, 2, 4], [B, 0, 1]])
    yield from bodies("CRDT-11", "stamp", "the greater stamp", "lww-register", [2, A, b"z"], [3, A, b"a"])
    yield from bodies("CRDT-11", "writer", "the greater writer", "lww-register", [2, A, b"z"], [2, B, b"a"])
    yield from bodies("CRDT-11", "value", "the greater value", "lww-register", [2, A, b"z"], [2, A, b"a"])
    yield from bodies("CRDT-11", "fields", "field by field", "lww-map",
                      [["a", 1, A, b"x"], ["b", 5, A, None], ["c", 3, A, None]],
                      [["b", 4, B, b"y"], ["c", 3, A, b""]])
    yield from bodies("CRDT-12", "removed", "removed for ever", "2p-set", [[b"a", b"c"], [b"b"]], [[b"b", b"c"], [b"a"]])
    for kind in ("or-set", "mv-register"):
        yield from bodies("CRDT-13", "concurrent", "added apart", kind,
                          [[[A, 1]], [[b"a", [[A, 1]]]]], [[[B, 1]], [[b"a", [[B, 1]]]]])
        yield from bodies("CRDT-13", "removed", "one has removed it", kind,
                          [[[A, 1]], [[b"a", [[A, 1]]]]], [[[A, 1]], []])
        yield from bodies("CRDT-13", "add-wins", "removed, and added anew", kind,
                          [[[A, 1]], []], [[[A, 1], [B, 1]], [[b"a", [[B, 1]]]]])
        yield from bodies("CRDT-13", "each-other", "each has removed what the other has", kind,
                          [[[A, 1], [B, 1]], [[b"a", [[A, 1]]]]], [[[A, 1], [B, 1]], [[b"a", [[B, 1]]]]])
        yield from bodies("CRDT-13", "one-dot", "a dot with two items", kind,
                          [[[A, 1]], [[b"a", [[A, 1]]]]], [[[A, 1]], [[b"b", [[A, 1]]]]])
    yield from bodies("CRDT-14", "below", "removed twice, added once", "counted-set",
                      [[b"a", [[A, 1, 1]]], [b"b", [[A, 2, 0]]]], [[b"a", [[A, 1, 0], [B, 0, 1]]], [b"b", [[B, 1, 0]]]])
    yield from bodies("CRDT-15", "words", "two words at one place", "list",
                      [[A, [[1, None, True, b"a"], [2, 1, True, b"b"]]]], [[B, [[1, None, True, b"c"], [2, 1, True, b"d"]]]])
    yield from bodies("CRDT-15", "removed", "one has removed it", "list",
                      [[A, [[1, None, True, b"a"]]]], [[A, [[1, None, True, None]]]])
    yield from bodies("CRDT-15", "orphan", "a parent comes", "list",
                      [[A, [[1, None, True, b"a"]]]], [[A, [[2, 1, False, b"b"]]]])
    root = [[A, [[1, None, True, b"z"]]]]
    yield from bodies("CRDT-15", "one-dot-parent", "a dot with two parents", "list", root, [[A, [[1, [B, 1], False, b"a"]]]])
    yield from bodies("CRDT-15", "one-dot-side", "a dot on two sides", "list",
                      [[A, [[1, [B, 1], False, b"z"]]]], [[A, [[1, [B, 1], True, b"a"]]]])
    yield from bodies("CRDT-15", "one-dot-value", "a dot with two values", "list", root, [[A, [[1, None, True, b"a"]]]])
    yield from bodies("CRDT-16", "union", "changes of both", "document", by_hash(b"a", b"b"), by_hash(b"b", b"c"))
    most = [[None, [[[by, 15]], [[bytes([by[-1], place]) + LONG[2:], [[by, place]]] for place in range(1, 16)]]] for by in (A, B)]
    yield "CRDT-2/invalid/join", "each fits, both do not", pair("or-set", *most), SIZE
    fault = pair("or-set", [None, None], [None, [[], []]])
    yield "CRDT-1/invalid/join-right", "the right one is no state", fault, BAD
    yield "CRDT-1/invalid/join-left", "the left one is no state", fault | {"left": fault["right"], "right": fault["left"]}, BAD


def compactions():
    for kind, _, name, body, comment in VALID:
        # The sum of one does not fit a slot, and documents need Automerge.
        if kind not in ("g-counter", "document"):
            yield f"CRDT-20/valid/{kind}-{name}", comment, given(kind, [[3, B], body]) | {"stamp": 4, "writer": C.hex()}, None
    yield "CRDT-20/valid/g-counter", "one slot", given("g-counter", [None, [[A, 1], [B, 2]]]) | {"stamp": 0, "writer": C.hex()}, None
    yield "CRDT-20/valid/none", "no value", given("list", [None, None]) | {"stamp": 0, "writer": C.hex()}, None


def applications():
    def done(kind, *operations, start=(None, None)):
        return given(kind, list(start)) | {"operations": [[by.hex(), stamp, *rest] for by, stamp, *rest in operations]}

    hex_ = [letter.encode().hex() for letter in "abcdef"]
    a, b, c, d, e, f = hex_
    yield "CRDT-10/valid/g-counter", "two writers", done("g-counter", (A, 0, "increment", 2), (B, 0, "increment", 3), (A, 0, "increment", 0)), None
    yield "CRDT-10/valid/pn-counter", "up and down", done("pn-counter", (A, 0, "increment", 2), (A, 0, "decrement", 7)), None
    yield "CRDT-11/valid/lww-register", "twice", done("lww-register", (A, 1, "set", a), (B, 2, "set", b)), None
    yield "CRDT-11/valid/lww-map", "put and delete", done(
        "lww-map", (A, 1, "put", "x", a), (A, 2, "delete", "x"), (A, 3, "delete", "y"), (B, 4, "put", "z", b)), None
    yield "CRDT-11/valid/lww-map-nothing", "nothing to delete", done("lww-map", (A, 1, "delete", "x")), None
    yield "CRDT-12/valid/2p-set", "add and remove", done(
        "2p-set", (A, 0, "add", a), (A, 0, "add", b), (B, 0, "remove", a), (B, 0, "remove", c), (B, 0, "remove", a)), None
    yield "CRDT-13/valid/mv-register", "over both", done("mv-register", (A, 0, "set", a), (B, 0, "set", b), (A, 0, "set", a)), None
    concurrent = run_apply(done("or-set", (A, 0, "add", a), (B, 0, "add", b)))["bytes"]
    yield "CRDT-13/valid/or-set", "add again, remove", done(
        "or-set", (A, 0, "add", a), (B, 0, "add", a), (A, 0, "add", b), (B, 0, "remove", b), (B, 0, "remove", c)), None
    yield "CRDT-13/valid/or-set-more", "from a state", {
        "kind": "or-set", "bytes": concurrent, "operations": [[C.hex(), 0, "add", b], [A.hex(), 0, "remove", a]]}, None
    yield "CRDT-13/valid/or-set-nothing", "nothing to remove", done("or-set", (A, 0, "remove", a)), None
    yield "CRDT-14/valid/counted-set", "counts", done(
        "counted-set", (A, 0, "add", a), (B, 0, "add-count", a, 4), (A, 0, "remove", a), (A, 0, "remove", b),
        (B, 0, "add-count", c, -3), (B, 0, "add", c), (B, 0, "remove", c)), None
    yield "CRDT-15/valid/list-forth", "from left to right", done(
        "list", (A, 0, "insert", 0, a), (A, 0, "insert", 1, b), (B, 0, "insert", 2, c)), None
    yield "CRDT-15/valid/list-back", "from right to left", done(
        "list", (A, 0, "insert", 0, c), (A, 0, "insert", 0, b), (B, 0, "insert", 0, a)), None
    yield "CRDT-15/valid/list-middle", "between, where some are removed", done(
        "list", (A, 0, "insert", 0, a), (A, 0, "insert", 1, b), (A, 0, "insert", 2, c), (B, 0, "remove-at", 1),
        (B, 0, "insert", 1, d), (C, 0, "insert", 1, e), (C, 0, "insert", 2, f), (A, 0, "remove-at", 0), (B, 0, "insert", 0, a)), None
    words, letters = {}, {A: b"ab", B: b"cd", C: b"ef"}
    for by, word in letters.items():
        for place, letter in enumerate(word):
            words = apply("list", words, ["insert", place if by != C else 0, bytes([letter]).hex()], by, 0)
    yield "CRDT-15/valid/list-end", "behind all", {
        "kind": "list", "bytes": encode("list", (None, words)).hex(), "operations": [[B.hex(), 0, "insert", 6, a]]}, None


def files():
    return [
        ("crdt/state.json", list(states())),
        ("crdt/join.json", list(joins())),
        ("crdt/compact.json", list(compactions())),
        ("crdt/apply.json", list(applications())),
    ]
