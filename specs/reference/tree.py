"""The tree of specs/21-tree.md, written from that page alone. Python 3, standard library only.

`check(vectors_dir)` runs specs/vectors/tree/*.json; as a program this file does so and reports.
"""

import base64
import hashlib
import json
import os
import sys

# --- XXH64 ---------------------------------------------------------------------------------------

MASK = (1 << 64) - 1
P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def rotate(x, n):
    return ((x << n) | (x >> (64 - n))) & MASK


def mix(acc, lane):
    return rotate((acc + lane * P2) & MASK, 31) * P1 & MASK


def xxh64(data, seed):
    at, size = 0, len(data)
    if size >= 32:
        acc = [(seed + P1 + P2) & MASK, (seed + P2) & MASK, seed, (seed - P1) & MASK]
        while at + 32 <= size:
            for i in range(4):
                lane = int.from_bytes(data[at + 8 * i : at + 8 * i + 8], "little")
                acc[i] = mix(acc[i], lane)
            at += 32
        h = (rotate(acc[0], 1) + rotate(acc[1], 7) + rotate(acc[2], 12) + rotate(acc[3], 18)) & MASK
        for lane in acc:
            h = ((h ^ mix(0, lane)) * P1 + P4) & MASK
    else:
        h = (seed + P5) & MASK
    h = (h + size) & MASK
    while at + 8 <= size:
        h ^= mix(0, int.from_bytes(data[at : at + 8], "little"))
        h = (rotate(h, 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= size:
        h ^= int.from_bytes(data[at : at + 4], "little") * P1 & MASK
        h = (rotate(h, 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        h = rotate(h ^ (byte * P5 & MASK), 11) * P1 & MASK
    h = (h ^ (h >> 33)) * P2 & MASK
    h = (h ^ (h >> 29)) * P3 & MASK
    return h ^ (h >> 32)


# --- limits and boundaries (TREE-2, TREE-4 to TREE-6) --------------------------------------------

KEY_MAX, VALUE_MAX, NODE_MAX, LEVEL_MAX = 4096, 2048, 40960, 31
WEIGHT_MIN, WEIGHT_MAX = 1024, 32768


class Fault(Exception):
    """A refusal; its text is the error code."""


def boundary_hash(level, key):
    return xxh64(key, level) >> 32


def threshold(before, after):
    return (after**3 - before**3) // 16


def closes(level, key, before, after):
    if (level > 0 and before == 0) or after < WEIGHT_MIN:
        return False
    return after >= WEIGHT_MAX or boundary_hash(level, key) < threshold(before, after)


# --- encoding (TREE-11 to TREE-15) ---------------------------------------------------------------

UINT, BYTES, ARRAY = 0, 2, 4
LINK_HEAD = bytes.fromhex("d82a582500017112" + "20")


def head(major, value):
    for extra, size, bound in ((24, 1, 0x100), (25, 2, 0x10000), (26, 4, 1 << 32), (27, 8, 1 << 64)):
        if value < 24:
            return bytes([major << 5 | value])
        if value < bound:
            return bytes([major << 5 | extra]) + value.to_bytes(size, "big")
    raise ValueError(value)


def string(data):
    return head(BYTES, len(data)) + data


def column(items):
    sizes = {len(item) for item in items}
    if len(sizes) <= 1:
        lengths = head(UINT, sizes.pop() if sizes else 0)
    else:
        end, ends = 0, b""
        for item in items:
            end += len(item)
            ends += end.to_bytes(2, "little")
        lengths = string(ends)
    return lengths + string(b"".join(items))


def count_width(total):
    return next(width for width in (1, 2, 4, 8) if total < 1 << (8 * width))


def encode(level, keys, payload):
    """`payload`: values of a leaf, or (digest, count) of each child."""
    prefix = os.path.commonprefix([keys[0], keys[-1]]) if keys else b""
    out = head(ARRAY, 8) + head(UINT, 1) + head(UINT, level) + head(UINT, len(keys)) + string(prefix)
    out += column([key[len(prefix) :] for key in keys])
    if level == 0:
        return out + column(payload)
    out += head(ARRAY, len(payload)) + b"".join(LINK_HEAD + digest for digest, _ in payload)
    ends, end = [], 0
    for _, count in payload:
        end += count
        ends.append(end)
    width = count_width(end)
    return out + string(b"".join(end.to_bytes(width, "little") for end in ends))


def name(digest):
    cid = bytes([1, 0x71, 0x12, 0x20]) + digest
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


# --- building (TREE-3, TREE-7, TREE-8) -----------------------------------------------------------


def weight(level, key, item):
    return len(key) + (len(item) + 4 if level == 0 else 48)


def cut(level, entries):
    """Splits a level into nodes."""
    nodes, node, before = [], [], 0
    for key, item in entries:
        after = before + weight(level, key, item)
        node.append((key, item))
        if closes(level, key, before, after):
            nodes.append(node)
            node, after = [], 0
        before = after
    return nodes + [node] if node or not nodes else nodes


def build(entries):
    """`entries`: pairs with strictly ascending keys. Returns the facts that vectors state."""
    for key, value in entries:
        if len(key) > KEY_MAX:
            raise Fault("E_TREE_KEY_SIZE")
        if len(value) > VALUE_MAX:
            raise Fault("E_TREE_VALUE_SIZE")
    if any(a[0] >= b[0] for a, b in zip(entries, entries[1:])):
        raise Fault("E_TREE_UNSORTED")
    level, items, total_nodes, total_bytes = 0, entries, 0, 0
    while True:
        links = []
        for node in cut(level, items):
            keys = [key for key, _ in node]
            block = encode(level, keys, [item for _, item in node])
            assert decode(block)["keys"] == keys
            count = len(node) if level == 0 else sum(count for _, (_, count) in node)
            links.append((keys[-1] if keys else b"", (hashlib.sha256(block).digest(), count)))
            total_nodes += 1
            total_bytes += len(block)
        if len(links) == 1:
            return {
                "root": name(links[0][1][0]),
                "depth": level + 1,
                "nodes": total_nodes,
                "entries": len(entries),
                "bytes": total_bytes,
            }
        level, items = level + 1, links


# --- decoding (TREE-1, TREE-2, TREE-8 to TREE-15) ------------------------------------------------


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Fault("E_NODE_CBOR")
        self.at += count
        return self.data[self.at - count : self.at]

    def head(self):
        first = self.take(1)[0]
        major, extra = first >> 5, first & 31
        if extra < 24:
            return major, extra
        if extra > 27:
            raise Fault("E_NODE_CBOR")
        size = 1 << (extra - 24)
        value = int.from_bytes(self.take(size), "big")
        if value < (24 if size == 1 else 1 << (4 * size)):
            raise Fault("E_NODE_CBOR")
        return major, value

    def expect(self, major):
        found, value = self.head()
        if found != major:
            raise Fault("E_NODE_CBOR")
        return value

    def string(self):
        return self.take(self.expect(BYTES))

    def column(self, count):
        major, value = self.head()
        if major == UINT:
            data = self.string()
            if value * count != len(data) or (count == 0 and value):
                raise Fault("E_NODE_COLUMN")
            return [data[i * value : (i + 1) * value] for i in range(count)]
        if major != BYTES:
            raise Fault("E_NODE_CBOR")
        if count < 2 or value != 2 * count:
            raise Fault("E_NODE_COLUMN")
        table = self.take(value)
        data = self.string()
        ends = [0] + [int.from_bytes(table[i : i + 2], "little") for i in range(0, value, 2)]
        sizes = [b - a for a, b in zip(ends, ends[1:])]
        if min(sizes) < 0 or ends[-1] != len(data) or len(set(sizes)) == 1:
            raise Fault("E_NODE_COLUMN")
        return [data[a:b] for a, b in zip(ends, ends[1:])]

    def links(self, count):
        if self.expect(ARRAY) != count:
            raise Fault("E_NODE_CBOR")
        digests = []
        for _ in range(count):
            link = self.take(len(LINK_HEAD) + 32)
            if not link.startswith(LINK_HEAD):
                raise Fault("E_NODE_LINK")
            digests.append(link[len(LINK_HEAD) :])
        data = self.string()
        width = len(data) // count
        if width not in (1, 2, 4, 8) or width * count != len(data):
            raise Fault("E_NODE_COUNTS")
        ends = [int.from_bytes(data[i : i + width], "little") for i in range(0, len(data), width)]
        counts = [b - a for a, b in zip([0] + ends, ends)]
        if min(counts) < 1 or count_width(ends[-1]) != width:
            raise Fault("E_NODE_COUNTS")
        return list(zip(digests, counts))


def decode(block):
    if len(block) > NODE_MAX:
        raise Fault("E_NODE_SIZE")
    reader = Reader(block)
    if reader.expect(ARRAY) != 8:
        raise Fault("E_NODE_ARITY")
    if reader.expect(UINT) != 1:
        raise Fault("E_NODE_VERSION")
    level = reader.expect(UINT)
    if level > LEVEL_MAX:
        raise Fault("E_NODE_LEVEL")
    count = reader.expect(UINT)
    if count > len(block):
        raise Fault("E_NODE_CBOR")
    if count == 0 and level > 0:
        raise Fault("E_NODE_EMPTY")
    prefix = reader.string()
    suffixes = reader.column(count)
    payload = reader.column(count) if level == 0 else reader.links(count)
    if reader.at != len(block):
        raise Fault("E_NODE_TRAILING")
    if any(len(prefix) + len(suffix) > KEY_MAX for suffix in suffixes):
        raise Fault("E_TREE_KEY_SIZE")
    if any(a >= b for a, b in zip(suffixes, suffixes[1:])):
        raise Fault("E_NODE_ORDER")
    common = os.path.commonprefix([suffixes[0], suffixes[-1]]) if suffixes else prefix
    if common:
        raise Fault("E_NODE_PREFIX")
    if level == 0 and any(len(value) > VALUE_MAX for value in payload):
        raise Fault("E_TREE_VALUE_SIZE")
    return {"level": level, "keys": [prefix + suffix for suffix in suffixes], "payload": payload}


def check_end(node, last_of_level):
    """TREE-5: the node ends after its last entry and no other, unless it is the last."""
    before, closed = 0, True
    for index, (key, item) in enumerate(zip(node["keys"], node["payload"])):
        after = before + weight(node["level"], key, item)
        closed = closes(node["level"], key, before, after)
        if closed and index + 1 < len(node["keys"]):
            raise Fault("E_NODE_BOUNDARY")
        before = after
    if not closed and not last_of_level:
        raise Fault("E_NODE_BOUNDARY")


# --- vectors -------------------------------------------------------------------------------------


def generate(seed, count, key, value, prefix):
    """The entries of a generated case, as the page says under Examples."""
    state = seed

    def draw(bound):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK
        return (state >> 32) % bound

    def piece(low, high):
        return bytes(draw(256) for _ in range(low + draw(high - low + 1)))

    entries = {}
    for _ in range(count):
        one = bytes.fromhex(prefix) + piece(*key)
        entries[one] = piece(*value)
    return sorted(entries.items())


def members(case, allowed):
    unknown = set(case) - set(allowed)
    if unknown:
        raise AssertionError(f"unknown members {sorted(unknown)}")


def run_node(given):
    members(given, ("bytes", "last_of_level"))
    block = bytes.fromhex(given["bytes"])
    node = decode(block)
    if "last_of_level" in given:
        check_end(node, given["last_of_level"])
    assert encode(node["level"], node["keys"], node["payload"]) == block, "encodes to other bytes"
    leaf = node["level"] == 0
    return {
        "level": node["level"],
        "keys": [key.hex() for key in node["keys"]],
        "values" if leaf else "links": [
            item.hex() if leaf else name(item[0]) for item in node["payload"]
        ],
        "counts": [1 if leaf else item[1] for item in node["payload"]],
        "cid": name(hashlib.sha256(block).digest()),
    }


def run_build(given):
    members(given, ("entries", "generator"))
    if "generator" in given:
        return build(generate(**given["generator"]))
    return build([(bytes.fromhex(key), bytes.fromhex(value)) for key, value in given["entries"]])


def run_boundary(given):
    members(given, ("level", "key", "before", "after"))
    level, key, before, after = (given[m] for m in ("level", "key", "before", "after"))
    key = bytes.fromhex(key)
    return {
        "hash": boundary_hash(level, key),
        "threshold": threshold(before, after),
        "closes": closes(level, key, before, after),
    }


RUNNERS = {"node.json": run_node, "build.json": run_build, "boundary.json": run_boundary}


def check(vectors_dir):
    """Runs every case in `vectors_dir`, or in its folder `tree`; returns how many passed, and a line per failure."""
    passed, failures = 0, []
    folder = os.path.join(vectors_dir, "tree")
    folder = folder if os.path.isdir(folder) else vectors_dir
    for file in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file), encoding="ascii") as source:
            content = json.load(source)
        members(content, ("spec", "revision", "schema", "cases"))
        for case in content["cases"]:
            members(case, ("id", "rule", "comment", "input", "expect"))
            members(case["expect"], ("ok", "error"))
            try:
                got = {"ok": RUNNERS[file](case["input"])}
            except Fault as fault:
                got = {"error": str(fault)}
            except AssertionError as fault:
                got = {"failed": str(fault)}
            if got == case["expect"]:
                passed += 1
            else:
                failures.append(f"{file}: {case['id']}: got {got}")
    return passed, failures


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    done, faults = check(sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "vectors"))
    print("\n".join(faults + [f"{done} passed, {len(faults)} failed"]))
    sys.exit(1 if faults else 0)
