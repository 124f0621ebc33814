"""A second reading of FEED and EVENT, from specs/32-feed.md and specs/33-events.md alone.

Python 3.10 or later, standard library only. It shares no code with the crates.

    python3 specs/reference/feed.py specs/vectors            checks the vectors
    python3 specs/reference/feed.py --write specs/vectors    writes them again, byte for byte

`check(vectors_dir)` returns how many cases passed and a list of what failed.
"""

import base64
import hashlib
import json
import re
import sys

import statement
import vectors
from statement import Link, encode
from vectors import Fault

CURSOR_MAX = 8 * 1024
FILTER_MAX = 16 * 1024
VALUES_MAX = 256


def require(condition, code):
    if not condition:
        raise Fault(code)


# --- cursors ------------------------------------------------------------------------------------


def is_bytes(value, size=None):
    return isinstance(value, bytes) and not isinstance(value, Link) and size in (None, len(value))


def to_text(layout):
    return base64.urlsafe_b64encode(encode(layout)).decode().rstrip("=")


def read_cursor(text):
    def need(condition):
        require(condition, "E_CURSOR")

    need(len(text.encode()) <= CURSOR_MAX and re.fullmatch(r"[A-Za-z0-9_-]*", text))
    need(len(text) % 4 != 1)
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    need(base64.urlsafe_b64encode(data).decode().rstrip("=") == text)
    try:
        layout = statement.decode(data)
    except Exception:
        raise Fault("E_CURSOR") from None
    need(isinstance(layout, list) and len(layout) == 5 and layout[0] == 1 and layout[0] is not True)
    _, epoch, position, check, place = layout
    need(is_bytes(epoch, 16))
    need(isinstance(position, int) and not isinstance(position, bool) and 0 <= position < 1 << 64)
    need(check is None if position == 0 else is_bytes(check, 8))
    kind = "before"
    if place is not None:
        need(isinstance(place, list) and len(place) in (3, 4))
        kind = place[0]
        link = place[1]
        need(link is None or isinstance(link, Link))
        if len(place) == 3:
            need(kind in ("in", "at"))
            need(place[2] is None or is_bytes(place[2]))
            need(kind == "in" or (link is None and place[2] is None))
        else:
            need(kind == "at" and link is not None and isinstance(place[2], str))
            need(is_branch(place[2]) and (place[3] is None or is_bytes(place[3])))
    return {"epoch": epoch.hex(), "position": position, "snapshot": kind == "at"}


def is_branch(name):
    if not re.fullmatch(r"[A-Za-z0-9._/-]{1,128}", name) or name == "HEAD":
        return False
    parts = name.split("/")
    return all(part and part[0] not in "-." and ".." not in part and not part.endswith(".lock") for part in parts)


# --- filters ------------------------------------------------------------------------------------


def pairs(members):
    names = [name for name, _ in members]
    require(len(set(names)) == len(names), "E_FILTER")
    return dict(members)


REACH = ("private", "invited", "circle", "public")


def read_filter(text):
    require(len(text.encode()) <= FILTER_MAX, "E_FILTER")
    try:
        read = json.loads(text, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        raise Fault("E_FILTER") from None
    fields = ("spaces", "reach", "branches", "kinds", "prefixes", "types", "authors", "devices")
    require(isinstance(read, dict) and set(read) <= set(fields), "E_FILTER")
    for name, values in read.items():
        if values is None:
            continue
        require(isinstance(values, list) and len(values) <= VALUES_MAX, "E_FILTER")
        for value in values:
            require(isinstance(value, str), "E_FILTER")
            if name == "kinds":
                require(value in ("commit", "change", "move"), "E_FILTER")
            if name == "reach":
                require(value in REACH, "E_FILTER")
            if name in ("authors", "devices"):
                try:
                    statement.from_did(value)
                except Exception:
                    raise Fault("E_FILTER") from None
    return read


def any_of(values, is_it):
    return values is None or any(is_it(value) for value in values)


def run_filter(given):
    read = read_filter(given["filter"])

    def of_branch(wanted):
        name = given["branch"]
        return name.startswith(wanted[:-1]) if wanted.endswith("*") else name == wanted

    key = bytes.fromhex(given["key"])
    prefixes = any_of(read.get("prefixes"), lambda prefix: key.startswith(prefix.encode()))
    types = any_of(read.get("types"), lambda name: key.startswith(name.encode() + b":"))
    return {
        "branch": any_of(read.get("branches"), of_branch),
        "kind": any_of(read.get("kinds"), lambda kind: kind == given["kind"]),
        "reach": [reach for reach in REACH if any_of(read.get("reach"), lambda wanted: wanted == reach)],
        "key": prefixes and types,
    }


# --- CloudEvents --------------------------------------------------------------------------------

ATTRIBUTES = ("subject", "time", "datacontenttype", "dataschema")


def members(pairs_of):
    names = [name for name, _ in pairs_of]
    require(len(set(names)) == len(names), "E_EVENT")
    return dict(pairs_of)


def run_event(given):
    text = given["text"]
    require(len(text.encode()) <= 1 << 20, "E_EVENT")
    # Members of data are read as they are: only those of the event are looked at.
    try:
        top = json.JSONDecoder(object_pairs_hook=list).decode(text)
    except ValueError:
        raise Fault("E_EVENT") from None
    is_object = isinstance(top, list) and all(isinstance(item, tuple) for item in top)
    require(is_object and text.lstrip().startswith("{"), "E_EVENT")
    read = members(top)
    require(read.pop("specversion", None) == "1.0", "E_EVENT")
    has_data, data = "data" in read, read.pop("data", None)
    encoded = read.pop("data_base64", None)
    require(not (has_data and encoded is not None), "E_EVENT")
    if encoded is not None:
        require(isinstance(encoded, str), "E_EVENT")
        try:
            data = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise Fault("E_EVENT") from None
        require(base64.b64encode(data).decode() == encoded, "E_EVENT")
    out = {}
    for name, value in read.items():
        if value is None:
            continue
        if name in ("id", "source", "type") + ATTRIBUTES:
            require(isinstance(value, str) and value, "E_EVENT")
            out[name] = value
            continue
        require(re.fullmatch(r"[a-z0-9]{1,20}", name), "E_EVENT")
        if isinstance(value, bool):
            out[name] = "true" if value else "false"
        elif isinstance(value, int):
            require(-(1 << 31) <= value < 1 << 31, "E_EVENT")
            out[name] = str(value)
        else:
            require(isinstance(value, str), "E_EVENT")
            out[name] = value
    for name in ("id", "source", "type"):
        require(name in out, "E_EVENT")
    return {"attributes": out, "bytes": data.hex() if encoded is not None else None}


def spelled(key):
    if len(key) > 128:
        return "~sha256-" + hashlib.sha256(key).hexdigest()
    plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/:"
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in key)


RUNNERS = {
    "feed/cursor.json": lambda given: read_cursor(given["text"]),
    "feed/filter.json": run_filter,
    "events/event.json": run_event,
    "events/key.json": lambda given: {"spelled": spelled(bytes.fromhex(given["key"]))},
}

# --- cases --------------------------------------------------------------------------------------


def some_link(text):
    return Link(b"\x01\x71\x12\x20" + hashlib.sha256(text.encode()).digest())


def cursor_cases():
    epoch, check, link = bytes(range(16)), bytes(range(8)), some_link("commit")

    def good(name, comment, layout):
        return (f"FEED-10/valid/{name}", comment, {"text": to_text(layout)}, None)

    def bad(name, comment, layout):
        text = layout if isinstance(layout, str) else to_text(layout)
        return (f"FEED-10/invalid/{name}", comment, {"text": text}, "E_CURSOR")

    yield good("beginning", "before all", [1, epoch, 0, None, None])
    yield good("later", "before a move", [1, epoch, 7, check, None])
    yield good("far", "the greatest position", [1, epoch, (1 << 64) - 1, check, None])
    yield good("move", "after the move itself", [1, epoch, 7, check, ["in", None, None]])
    yield good("commit", "after a commit", [1, epoch, 7, check, ["in", link, None]])
    yield good("change", "after a change of a commit", [1, epoch, 7, check, ["in", link, b"key"]])
    yield good("own", "after a change of a move", [1, epoch, 7, check, ["in", None, b"key"]])
    yield good("first", "within the first move", [1, epoch, 0, None, ["in", link, b""]])
    yield good("snapshot", "before a snapshot", [1, epoch, 7, check, ["at", None, None]])
    yield good("shown", "within a snapshot", [1, epoch, 7, check, ["at", link, "main", b"key"]])
    yield good("branch", "after a branch of a snapshot", [1, epoch, 7, check, ["at", link, "a/b", None]])
    yield bad("version", "another version", [2, epoch, 7, check, None])
    yield bad("epoch", "an epoch of 15 bytes", [1, epoch[:15], 7, check, None])
    yield bad("negative", "a position below 0", [1, epoch, -1, check, None])
    yield bad("unchecked", "a position without a check", [1, epoch, 7, None, None])
    yield bad("checked", "a check before all", [1, epoch, 0, check, None])
    yield bad("check", "a check of 7 bytes", [1, epoch, 7, check[:7], None])
    yield bad("kind", "a place of another kind", [1, epoch, 7, check, ["on", None, None]])
    yield bad("at-link", "a space without a branch", [1, epoch, 7, check, ["at", link, None]])
    yield bad("at-key", "a key without a space", [1, epoch, 7, check, ["at", None, b"key"]])
    yield bad("in-branch", "a branch within a move", [1, epoch, 7, check, ["in", link, "main", b"key"]])
    yield bad("branch", "no name of a branch", [1, epoch, 7, check, ["at", link, "a//b", None]])
    yield bad("short", "four items", [1, epoch, 7, check])
    yield bad("long", "six items", [1, epoch, 7, check, None, None])
    yield bad("object", "no array", {"a": 1})
    yield bad("empty", "no text", "")
    yield bad("padded", "padding", to_text([1, epoch, 0, None, None]) + "=")
    yield bad("bits", "bits that say nothing", "hQFQAAECAwQFBgcICQoLDA0ODwD29h")
    yield bad("trailing", "bytes that follow", base64.urlsafe_b64encode(encode([1, epoch, 0, None, None]) + b"\0").decode().rstrip("="))
    yield bad("large", "longer than any cursor", to_text([1, epoch, 7, check, ["in", link, b"k" * 6200]]))


def filter_cases():
    def case(name, comment, text, error=None, branch="main", kind="change", key=b"notes/a"):
        given = {"filter": text, "branch": branch, "kind": kind, "key": key.hex()}
        word = "invalid" if error else "valid"
        return (f"FEED-30/{word}/{name}", comment, given, error)

    yield case("all", "no field", "{}")
    yield case("null", "a field that is null", '{"kinds":null,"branches":null}')
    yield case("nothing", "an empty list", '{"kinds":[]}')
    yield case("kind", "a kind", '{"kinds":["change","move"]}')
    yield case("other-kind", "another kind", '{"kinds":["commit"]}')
    yield case("reach", "two reaches", '{"reach":["public","circle"]}')
    yield case("no-reach", "none", '{"reach":[]}')
    yield case("far", "a reach that is none", '{"reach":["commons"]}', "E_FILTER")
    yield case("branch", "a branch", '{"branches":["side","main"]}')
    yield case("beginning", "the beginning of branches", '{"branches":["ma*"]}')
    yield case("star", "all branches", '{"branches":["*"]}', branch="a/b")
    yield case("not-inside", "a beginning that is elsewhere", '{"branches":["b*"]}', branch="a/b")
    yield case("prefix", "a prefix", '{"prefixes":["notes/"]}')
    yield case("prefix-all", "an empty prefix", '{"prefixes":[""]}')
    yield case("type", "a type", '{"types":["person"]}', key=b"person:1")
    yield case("type-other", "a type whose name goes on", '{"types":["person"]}', key=b"personal:1")
    yield case("both", "a prefix and a type", '{"types":["person"],"prefixes":["person:1"]}', key=b"person:2")
    yield case("bytes", "a key that is no text", '{"prefixes":["\\u00ff"]}', key=b"\xff")
    yield case("unknown", "a field that is none", '{"prefix":["a"]}', "E_FILTER")
    yield case("array", "an array", "[]", "E_FILTER")
    yield case("text", "a text", '"x"', "E_FILTER")
    yield case("no-json", "no JSON", "{", "E_FILTER")
    yield case("no-list", "a value that is no list", '{"prefixes":"a"}', "E_FILTER")
    yield case("no-text", "a value that is no text", '{"prefixes":[1]}', "E_FILTER")
    yield case("no-kind", "a kind that is none", '{"kinds":["commits"]}', "E_FILTER")
    yield case("twice", "a field twice", '{"kinds":["move"],"kinds":["commit"]}', "E_FILTER")
    yield case("no-agent", "an author that is none", '{"authors":["ada"]}', "E_FILTER")
    many = json.dumps({"prefixes": ["x"] * 257})
    yield case("many", "257 values", many, "E_FILTER")
    yield case("most", "256 values", json.dumps({"prefixes": ["notes"] * 256}))
    yield case("large", "longer than any filter", json.dumps({"prefixes": ["x" * FILTER_MAX]}), "E_FILTER")


def event_cases():
    def case(name, comment, more, error=None, whole=None):
        text = whole or '{"specversion":"1.0","id":"1","source":"s","type":"t"' + more + "}"
        word = "invalid" if error else "valid"
        return (f"EVENT-40/{word}/{name}", comment, {"text": text}, error)

    bad = "E_EVENT"
    yield case("least", "nothing that need not be", "")
    yield case("spaces", "white space", "", whole=' { "type" : "t", "id":"1",\n"source":"s","specversion":"1.0" } ')
    yield case("extensions", "extensions of three kinds", ',"a":"x","b":true,"c":-7')
    yield case("null", "an attribute that is null", ',"subject":null,"x":null')
    yield case("data", "data of JSON", ',"data":{"a":[1.50]}')
    yield case("data-null", "data that is null", ',"data":null')
    yield case("base64", "data of bytes", ',"datacontenttype":"application/avro","data_base64":"AAH/"')
    yield case("escaped", "a name that is escaped", ',"su\\u0062ject":"x"')
    yield case("largest", "the greatest integer", ',"n":2147483647')
    yield case("no-version", "no specversion", "", bad, '{"id":"1","source":"s","type":"t"}')
    yield case("version", "another specversion", "", bad, '{"specversion":"0.3","id":"1","source":"s","type":"t"}')
    yield case("no-id", "no id", "", bad, '{"specversion":"1.0","source":"s","type":"t"}')
    yield case("no-source", "no source", "", bad, '{"specversion":"1.0","id":"1","type":"t"}')
    yield case("no-type", "no type", "", bad, '{"specversion":"1.0","id":"1","source":"s"}')
    yield case("empty", "an empty id", "", bad, '{"specversion":"1.0","id":"","source":"s","type":"t"}')
    yield case("number", "an id that is a number", "", bad, '{"specversion":"1.0","id":1,"source":"s","type":"t"}')
    yield case("twice", "a member twice", ',"id":"2"', bad)
    yield case("data-twice", "data in both forms", ',"data":1,"data_base64":"AA=="', bad)
    yield case("no-base64", "no base64", ',"data_base64":"AA="', bad)
    yield case("upper", "a name in upper case", ',"Upper":"x"', bad)
    yield case("dash", "a name with a dash", ',"a-b":"x"', bad)
    yield case("long", "a name of 21", ',"abcdefghijklmnopqrstu":"x"', bad)
    yield case("list", "an attribute that is a list", ',"x":["a"]', bad)
    yield case("float", "an attribute that is a float", ',"x":1.5', bad)
    yield case("large", "an integer of 33 bits", ',"x":2147483648', bad)
    yield case("blank", "an empty subject", ',"subject":""', bad)
    yield case("array", "an array", "", bad, "[]")
    yield case("no-json", "no JSON", "", bad, "{")


def key_cases():
    for name, comment, key in [
        ("plain", "letters, digits and some signs", b"notes/a-b_c.d:1"),
        ("space", "a space and a percent sign", b"100 % of it"),
        ("tilde", "a tilde", b"~sha256-"),
        ("utf8", "beyond ASCII", "caf\u00e9".encode()),
        ("bytes", "no text", b"\x00\xff"),
        ("longest", "128 bytes", b"k" * 128),
        ("hashed", "129 bytes", b"k" * 129),
    ]:
        yield (f"EVENT-1/valid/{name}", comment, {"key": key.hex()}, None)


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    vectors.write(vectors_dir, "FEED", RUNNERS, [("feed/cursor.json", cursor_cases()), ("feed/filter.json", filter_cases())])
    vectors.write(vectors_dir, "EVENT", RUNNERS, [("events/event.json", event_cases()), ("events/key.json", key_cases())])


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
