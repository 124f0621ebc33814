"""A second reading of PATCH: a difference as text, from specs/26-patch.md alone.

Python 3.10 or later, standard library only. It shares no code with the crates. Blocks named by
blake3 are not hashed, and are left out of the vectors.

    python3 specs/reference/patch.py specs/vectors            checks the vectors
    python3 specs/reference/patch.py --write specs/vectors    writes patch.json
"""

import base64
import hashlib
import json
import sys

import repo
import vectors
from vectors import Fault

CHANGES_MAX, LINE_BYTES_MAX, BYTES_MAX = 1_000_000, 16 << 20, 256 << 20


def unique(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a repeated name")
    return found


def integer(text):
    if text.startswith("-"):
        raise ValueError("negative")
    return int(text)


def constant(text):
    raise ValueError(text)


def read_object(line):
    """An object of JSON, or ValueError."""
    try:
        value = json.loads(line.decode(), object_pairs_hook=unique, parse_int=integer, parse_constant=constant)
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def read_bytes(fields, text, coded):
    """The bytes that stand under one of two names, or None."""
    if text in fields and coded in fields:
        raise ValueError("twice")
    if text in fields:
        if not isinstance(fields[text], str):
            raise ValueError("no text")
        return fields.pop(text).encode()
    if coded in fields:
        value = fields.pop(coded)
        if not isinstance(value, str):
            raise ValueError("no text")
        data = base64.b64decode(value, validate=True)
        if base64.b64encode(data).decode() != value:
            raise ValueError("no canonical base64")
        return data
    return None


def read_link(text):
    if not isinstance(text, str) or not text.startswith("b"):
        raise ValueError("no link")
    body = text[1:]
    cid = base64.b32decode(body.upper() + "=" * (-len(body) % 8))
    if "b" + base64.b32encode(cid).decode().lower().rstrip("=") != text or not repo.is_value_link(cid):
        raise ValueError("no link")
    return cid


def read_value(value):
    """None, ("value", bytes) or ("link", cid, bytes or None)."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError("no object")
    fields = dict(value)
    has_link = "link" in fields
    link = read_link(fields.pop("link")) if has_link else None
    data = read_bytes(fields, "text", "base64")
    if fields or (data is None and not has_link):
        raise ValueError("members")
    if not has_link:
        if len(data) > repo.VALUE_INLINE_BYTES_MAX:
            raise ValueError("too long")
        return "value", data
    if data is not None:
        if link[1] != 0x55 or len(data) > 1 << 20:
            raise ValueError("no raw block")
        if link[2] == 0x12 and hashlib.sha256(data).digest() != link[4:]:
            raise ValueError("another block")
    return "link", link, data


def is_same(before, after):
    return (before and before[:2]) == (after and after[:2])


def read_change(line):
    fields = read_object(line)
    key = read_bytes(fields, "key", "key_base64")
    if key is None or not 1 <= len(key) <= repo.KEY_BYTES_MAX or set(fields) != {"before", "after"}:
        raise ValueError("members")
    before, after = read_value(fields["before"]), read_value(fields["after"])
    if is_same(before, after):
        raise ValueError("nothing")
    return key, before, after


def read_header(line):
    header = read_object(line)
    if set(header) != {"format", "version", "changes"} or header["format"] != "allod-patch":
        raise ValueError("header")
    version, changes = header["version"], header["changes"]
    if type(version) is not int or version != 1 or type(changes) is not int or changes >= 1 << 64:
        raise ValueError("header")
    return changes


def read(data):
    if len(data) > BYTES_MAX:
        raise Fault("E_PATCH_LIMIT")
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if any(len(line) > LINE_BYTES_MAX for line in lines):
        raise Fault("E_PATCH_LIMIT")
    try:
        stated = read_header(lines[0]) if lines else None
    except ValueError:
        stated = None
    if stated is None:
        raise Fault("E_PATCH_HEADER")
    if stated > CHANGES_MAX:
        raise Fault("E_PATCH_LIMIT")
    changes = []
    for line in lines[1:]:
        if len(changes) == stated:
            raise Fault("E_PATCH_COUNT")
        try:
            change = read_change(line)
        except ValueError:
            raise Fault("E_PATCH_CHANGE") from None
        if changes and changes[-1][0] >= change[0]:
            raise Fault("E_PATCH_ORDER")
        changes.append(change)
    if len(changes) != stated:
        raise Fault("E_PATCH_COUNT")
    return changes


def words(value):
    if value is None:
        return "none"
    if value[0] == "value":
        return f"value {value[1].hex()}"
    return f"link {value[1].hex()}"


def run_patch(given):
    data = given["text"].encode() if "text" in given else bytes.fromhex(given["bytes"])
    changes = read(data)
    blocks = {value[1].hex(): value[2] for _, *values in changes for value in values
              if value and value[0] == "link" and value[2] is not None}
    return {
        "changes": [[key.hex(), words(before), words(after)] for key, before, after in changes],
        "blocks": {link: hashlib.sha256(data).hexdigest() for link, data in sorted(blocks.items())},
    }


RUNNERS = {"patch/patch.json": run_patch}


# --- cases --------------------------------------------------------------------------------------


def link_text(data, codec=0x55, digest=None):
    cid = bytes([1, codec, 0x12, 32]) + (digest or hashlib.sha256(data).digest())
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def patch(*lines, changes=None):
    count = len(lines) if changes is None else changes
    header = f'{{"format":"allod-patch","version":1,"changes":{count}}}\n'
    return {"text": header + "".join(line + "\n" for line in lines)}


LONG = "v" * 1025
LINK, FILE = link_text(LONG.encode()), link_text(b"", 0x70, bytes(range(32)))
ADD = '{"key":"a","before":null,"after":{"text":"x"}}'
SET = '{"key":"b","before":{"text":"x"},"after":{"text":"y"}}'


def one(before, after, key='"key":"k"'):
    return patch(f'{{{key},"before":{before},"after":{after}}}')


def cases():
    head, change = "E_PATCH_HEADER", "E_PATCH_CHANGE"
    yield "PATCH-1/valid/empty", "no change", patch(), None
    yield "PATCH-1/valid/no-end", "the last line has no end", {"text": patch(ADD)["text"][:-1]}, None
    yield "PATCH-1/valid/spaces", "spaces, other order of members", {
        "text": ' { "changes" : 1, "version":1 ,\t"format":"allod-patch"}\r\n'
        '{"after":null,"before":{"text":"\\u0078"},"key":"\\u00e9"}\n'}, None
    for name, text in [
        ("nothing", ""), ("empty-line", "\n"), ("version-2", '{"format":"allod-patch","version":2,"changes":0}\n'),
        ("format", '{"format":"patch","version":1,"changes":0}\n'), ("no-count", '{"format":"allod-patch","version":1}\n'),
        ("more", '{"format":"allod-patch","version":1,"changes":0,"x":0}\n'), ("array", '["allod-patch",1,0]\n'),
        ("negative", '{"format":"allod-patch","version":1,"changes":-0}\n'),
        ("fraction", '{"format":"allod-patch","version":1.0,"changes":0}\n'),
        ("true", '{"format":"allod-patch","version":true,"changes":0}\n'),
        ("repeated", '{"format":"allod-patch","version":1,"changes":0,"changes":0}\n'),
    ]:
        yield f"PATCH-1/invalid/{name}", "no header", {"text": text}, head
    yield "PATCH-1/invalid/utf-8", "no UTF-8", {"bytes": "7b22ff227d"}, head
    yield "PATCH-1/invalid/many", "a million and one", patch(changes=1_000_001), "E_PATCH_LIMIT"
    yield "PATCH-2/valid/key-bytes", "a key that is no text", one("null", '{"text":""}', '"key_base64":"/w=="'), None
    yield "PATCH-2/valid/key-longest", "4,096 bytes", one("null", '{"text":""}', f'"key":"{"k" * 4096}"'), None
    for name, text in [
        ("key-empty", '"key":""'), ("key-long", f'"key":"{"k" * 4097}"'), ("key-number", '"key":1'),
        ("key-null", '"key":null'), ("key-twice", '"key":"k","key_base64":"aw=="'), ("key-repeated", '"key":"k","key":"k"'),
        ("unknown", '"key":"k","x":1'), ("surrogate", '"key":"\\ud800"'), ("control", '"key":"\x01"'),
    ]:
        yield f"PATCH-2/invalid/{name}", "a wrong key", one("null", '{"text":""}', text), change
    for name, line in [("no-after", '{"key":"k","before":null}'), ("array", '["k",null,{"text":""}]'),
                       ("no-key", '{"before":null,"after":{"text":""}}'), ("empty-line", ""), ("trailing", ADD + "x")]:
        yield f"PATCH-2/invalid/{name}", "no change", patch(line), change
    yield "PATCH-3/valid/values", "text, then bytes", one('{"text":"\\u0000\\ud83d\\ude00"}', '{"base64":"AP8="}'), None
    yield "PATCH-3/valid/longest", "1,024 bytes inline", one("null", f'{{"text":"{"v" * 1024}"}}'), None
    for name, value in [
        ("empty", "{}"), ("both", '{"text":"","base64":""}'), ("number", "1"), ("array", '["x"]'), ("null", '{"text":null}'),
        ("long", f'{{"text":"{LONG}"}}'), ("unknown", '{"text":"","x":""}'), ("unpadded", '{"base64":"/w"}'),
        ("bits", '{"base64":"/x=="}'), ("space", '{"base64":"/w== "}'), ("url", '{"base64":"_w=="}'),
        ("text-number", '{"text":1}'),
    ]:
        yield f"PATCH-3/invalid/{name}", "a wrong value", one("null", value), change
    yield "PATCH-4/valid/bytes", "a block in the patch", one("null", f'{{"link":"{LINK}","text":"{LONG}"}}'), None
    yield "PATCH-4/valid/name", "its name alone", one(f'{{"link":"{LINK}"}}', "null"), None
    yield "PATCH-4/valid/file", "a file", one(f'{{"link":"{LINK}"}}', f'{{"link":"{FILE}"}}'), None
    for name, value in [
        ("other", f'{{"link":"{LINK}","text":"x"}}'), ("file-bytes", f'{{"link":"{FILE}","text":""}}'),
        ("upper", f'{{"link":"B{LINK[1:].upper()}"}}'), ("codec", f'{{"link":"{link_text(b"", 0x71)}"}}'),
        ("cut", f'{{"link":"{LINK[:-1]}"}}'), ("null", '{"link":null}'), ("empty", '{"link":""}'),
    ]:
        yield f"PATCH-4/invalid/{name}", "a wrong link", one("null", value), change
    yield "PATCH-5/invalid/none", "none twice", one("null", "null"), change
    yield "PATCH-5/invalid/value", "one value in two spellings", one('{"text":"x"}', '{"base64":"eA=="}'), change
    yield "PATCH-5/invalid/link", "one link", one(f'{{"link":"{FILE}"}}', f'{{"link":"{FILE}"}}'), change
    yield "PATCH-6/valid/two", "two keys", patch(ADD, SET), None
    yield "PATCH-6/invalid/order", "descending", patch(SET, ADD), "E_PATCH_ORDER"
    yield "PATCH-6/invalid/twice", "one key twice", patch(ADD, ADD), "E_PATCH_ORDER"
    yield "PATCH-6/invalid/bytes", "descending by bytes, ascending in UTF-16", patch(
        '{"key":"\\ud83d\\ude00","before":null,"after":{"text":""}}',
        '{"key":"\\uffee","before":null,"after":{"text":""}}'), "E_PATCH_ORDER"
    yield "PATCH-7/invalid/cut", "a line is missing", patch(ADD, changes=2), "E_PATCH_COUNT"
    yield "PATCH-7/invalid/more", "a line too many", patch(ADD, SET, changes=1), "E_PATCH_COUNT"
    yield "PATCH-7/invalid/empty-line", "an empty line at the end", {"text": patch(ADD)["text"] + "\n"}, "E_PATCH_COUNT"


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    vectors.write(vectors_dir, "PATCH", RUNNERS, [("patch/patch.json", list(cases()))])


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
