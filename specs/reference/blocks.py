"""A second reading of BLOCKS: names, files, archives and stored forms, from specs/20-blocks.md alone.

Python 3.10 or later, standard library only. It shares no code with the crates. It computes sha2-256
only: blocks named by blake3 are parsed, and are left out of what must be hashed.

    python3 specs/reference/blocks.py specs/vectors            checks the vectors
    python3 specs/reference/blocks.py --write specs/vectors    writes them again, byte for byte

`check(vectors_dir)` returns how many cases passed and a list of what failed.
"""

import base64
import hashlib
import sys

import vectors
from vectors import Fault

BLOCK_BYTES_MAX = 2 * 1024 * 1024
NAME_BYTES_MAX = 256
LINKS_MAX = 8192
DEPTH_MAX = 16
RAW, DAG_PB, DAG_CBOR = 0x55, 0x70, 0x71
CODECS = {"raw": RAW, "dag-pb": DAG_PB, "dag-cbor": DAG_CBOR}
SHA2_256, BLAKE3 = 0x12, 0x1E
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


# --- varints and CIDs ---------------------------------------------------------------------------


def varint(value):
    out = b""
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def take_varint(data, at):
    """The value and what is after it; None if the bytes end or it exceeds 64 bits."""
    value = 0
    for index in range(10):
        if at + index >= len(data):
            return None
        byte = data[at + index]
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return (value, at + index + 1) if value < 1 << 64 else None
    return None


def take_short(data, at):
    """A varint in its shortest form, as CIDs have them."""
    taken = take_varint(data, at)
    if taken is None or (taken[1] - at > 1 and data[taken[1] - 1] == 0):
        return None
    return taken


def take_cid(data, at=0):
    """(codec, hash, digest, canonical CIDv1) and what is after it; None if it is no CID."""
    if data[at : at + 2] == b"\x12\x20" and len(data) - at >= 34:
        digest = data[at + 2 : at + 34]
        return (DAG_PB, SHA2_256, digest, b"\x01\x70\x12\x20" + digest), at + 34
    parts = []
    for _ in range(4):
        taken = take_short(data, at)
        if taken is None:
            return None
        value, at = taken
        parts.append(value)
    version, codec, function, size = parts
    digest = data[at : at + size]
    if version != 1 or size > 64 or len(digest) != size:
        return None
    canonical = b"".join(map(varint, parts)) + digest
    return (codec, function, digest, canonical), at + size


def cid(codec, data):
    return bytes([1, codec, SHA2_256, 32]) + hashlib.sha256(data).digest()


def cid_text(link):
    return "b" + base64.b32encode(link).decode().lower().rstrip("=")


def from_base58(text):
    number = 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def from_base32(text):
    data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    if base64.b32encode(data).decode().rstrip("=") != text.upper():
        raise ValueError("padding bits")
    return data


def from_multibase(text):
    base, body = text[:1], text[1:]
    if base in ("b", "B"):
        return from_base32(body)
    if base == "z":
        return from_base58(body)
    if base in ("f", "F"):
        return bytes.fromhex(body)
    raise ValueError(base)


# --- names (BLOCKS-1, BLOCKS-2, BLOCKS-8) -------------------------------------------------------


def from_digest(text):
    if len(text) != 64 or not set(text) <= set("0123456789abcdefABCDEF"):
        raise Fault("E_NAME_DIGEST")
    return bytes([1, RAW, SHA2_256, 32]) + bytes.fromhex(text)


def parse_name(text):
    text = text.strip()
    if not text:
        raise Fault("E_NAME_EMPTY")
    if len(text.encode()) > NAME_BYTES_MAX:
        raise Fault("E_NAME_LENGTH")
    for prefix in ("proto://", "sha256-"):
        if text.startswith(prefix):
            return from_digest(text[len(prefix) :])
    if len(text) == 64 and set(text) <= set("0123456789abcdefABCDEF"):
        return from_digest(text)
    for prefix in ("allod://", "ipfs://"):
        text = text.removeprefix(prefix)
    text = text.removesuffix("/")
    if set(text) & set("/?#"):
        raise Fault("E_NAME_TRAILING")
    try:
        is_v0 = len(text) == 46 and text.startswith("Qm")
        data = from_base58(text) if is_v0 else from_multibase(text)
    except ValueError:
        raise Fault("E_NAME_CID") from None
    taken = take_cid(data)
    if taken is None or taken[1] != len(data):
        raise Fault("E_NAME_CID")
    codec, function, digest, canonical = taken[0]
    if codec not in CODECS.values() or function not in (SHA2_256, BLAKE3) or len(digest) != 32:
        raise Fault("E_NAME_KIND")
    return canonical


# --- files (BLOCKS-30 to BLOCKS-33) -------------------------------------------------------------


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def number(field_number, value):
    return varint(field_number << 3) + varint(value)


def index(parts):
    """The block of an index node over (cid, content bytes, total bytes)."""
    links = b"".join(
        field(2, field(1, link) + field(2, b"") + number(3, total)) for link, _, total in parts
    )
    sizes = b"".join(number(4, content) for _, content, _ in parts)
    return links + field(1, number(1, 2) + number(3, sum(part[1] for part in parts)) + sizes)


def content(size):
    """The content of generated cases: byte i is i xor i/2^8 xor i/2^16, modulo 256."""
    return bytes((i ^ i >> 8 ^ i >> 16) & 255 for i in range(size))


def add_file(data, chunk_bytes, links):
    """The root's name and all blocks by name."""
    blocks = {}

    def keep(codec, block):
        name = cid(codec, block)
        blocks[name] = block
        return name

    level = []
    for at in range(0, max(len(data), 1), chunk_bytes):
        chunk = data[at : at + chunk_bytes]
        level.append((keep(RAW, chunk), len(chunk), len(chunk)))
    while len(level) > 1:
        above = []
        for at in range(0, len(level), links):
            parts = level[at : at + links]
            block = index(parts)
            total = sum(part[2] for part in parts) + len(block)
            above.append((keep(DAG_PB, block), sum(part[1] for part in parts), total))
        level = above
    return level[0][0], blocks


def fields(data, bad):
    at = 0
    while at < len(data):
        tag = take_varint(data, at)
        value = take_varint(data, tag[1]) if tag else None
        if value is None or tag[0] & 7 not in (0, 2):
            raise Fault(bad)
        at = value[1]
        if tag[0] & 7 == 0:
            yield tag[0] >> 3, value[0]
            continue
        if at + value[0] > len(data):
            raise Fault(bad)
        yield tag[0] >> 3, data[at : at + value[0]]
        at += value[0]


def read_link(data):
    link = None
    for key, value in fields(data, "E_FILE_MALFORMED"):
        if key == 1 and isinstance(value, bytes):
            taken = take_cid(value)
            if taken is None or taken[1] != len(value) or taken[0][0] not in (RAW, DAG_PB):
                raise Fault("E_FILE_LINK")
            link = taken[0][3]
        elif not (key == 2 and isinstance(value, bytes) or key == 3 and isinstance(value, int)):
            raise Fault("E_FILE_MALFORMED")
    if link is None:
        raise Fault("E_FILE_LINK")
    return link


def read_index(block):
    """(inline content, [(link, content bytes)]) of an index node."""
    links, data = [], None
    for key, value in fields(block, "E_FILE_MALFORMED"):
        if data is not None or not isinstance(value, bytes) or key not in (1, 2):
            raise Fault("E_FILE_MALFORMED")
        if key == 1:
            data = value
            continue
        if len(links) >= LINKS_MAX:
            raise Fault("E_FILE_LINKS")
        links.append(read_link(value))
    if data is None:
        raise Fault("E_FILE_KIND")
    kind, inline, stated, sizes = None, b"", None, []
    for key, value in fields(data, "E_FILE_MALFORMED"):
        is_number = isinstance(value, int)
        if key == 1 and is_number:
            kind = value
        elif key == 2 and not is_number:
            inline = value
        elif key == 3 and is_number:
            stated = value
        elif key == 4 and is_number and len(sizes) < LINKS_MAX:
            sizes.append(value)
        elif key not in (7, 8):
            raise Fault("E_FILE_MALFORMED")
    if kind not in (0, 2):
        raise Fault("E_FILE_KIND")
    total = len(inline) + sum(sizes)
    if total >= 1 << 64 or stated not in (None, total) or 0 in sizes or len(sizes) != len(links):
        raise Fault("E_FILE_SIZES")
    return inline, list(zip(links, sizes))


def read_file(blocks, root, depth=0, stated=None):
    block = blocks.get(root)
    if block is None:
        raise Fault("E_BLOCK_MISSING")
    codec = root[1]
    if codec == RAW:
        if stated not in (None, len(block)):
            raise Fault("E_FILE_SIZES")
        return block
    if codec != DAG_PB:
        raise Fault("E_FILE_KIND")
    if depth >= DEPTH_MAX:
        raise Fault("E_FILE_DEPTH")
    inline, parts = read_index(block)
    if stated not in (None, len(inline) + sum(size for _, size in parts)):
        raise Fault("E_FILE_SIZES")
    return inline + b"".join(read_file(blocks, link, depth + 1, size) for link, size in parts)


# --- archives (BLOCKS-40 to BLOCKS-43) ----------------------------------------------------------


def car_header(roots):
    links = b"".join(b"\xd8\x2a\x58" + bytes([len(root) + 1, 0]) + root for root in roots)
    assert len(roots) < 24
    return b"\xa2\x65roots" + bytes([0x80 | len(roots)]) + links + b"\x67version\x01"


def section(*parts):
    data = b"".join(parts)
    return varint(len(data)) + data


def car(roots, blocks):
    return section(car_header(roots)) + b"".join(section(name, block) for name, block in blocks)


def read_header(data):
    start, end = b"\xa2\x65roots", b"\x67version\x01"
    if not data.startswith(start) or not data.endswith(end) or len(data) < len(start + end):
        raise Fault("E_CAR_HEADER")
    body = data[len(start) : -len(end)]
    if not body or body[0] >> 5 != 4 or body[0] & 31 > 24:
        raise Fault("E_CAR_HEADER")
    wide = body[0] & 31 == 24
    if wide and len(body) < 2:
        raise Fault("E_CAR_HEADER")
    count, at, roots = (body[1], 2, []) if wide else (body[0] & 31, 1, [])
    for _ in range(count):
        taken = None
        if body[at : at + 3] == b"\xd8\x2a\x58" and at + 3 < len(body):
            size = body[at + 3]
            link = body[at + 4 : at + 4 + size]
            taken = take_cid(link[1:]) if link[:1] == b"\0" and len(link) == size else None
        if taken is None or taken[1] != size - 1:
            raise Fault("E_CAR_HEADER")
        roots.append(taken[0][3])
        at += 4 + size
    if at != len(body) or len(roots) > 64:
        raise Fault("E_CAR_HEADER")
    return roots


def verify_block(link, data):
    codec, function, digest, canonical = link
    if len(data) > BLOCK_BYTES_MAX:
        raise Fault("E_BLOCK_SIZE")
    if codec not in CODECS.values():
        raise Fault("E_BLOCK_CODEC")
    if function != SHA2_256:
        raise Fault("E_BLOCK_HASH")
    if hashlib.sha256(data).digest() != digest:
        raise Fault("E_BLOCK_MISMATCH")
    return canonical


def read_car(data):
    length = take_varint(data, 0)
    if length is None or length[0] > 4096 or length[1] + length[0] > len(data):
        raise Fault("E_CAR_HEADER")
    at = length[1] + length[0]
    roots, names = read_header(data[length[1] : at]), []
    while at < len(data):
        length = take_varint(data, at)
        if length is None or length[0] > BLOCK_BYTES_MAX + 64:
            raise Fault("E_CAR_SECTION")
        at, body = length[1] + length[0], data[length[1] : length[1] + length[0]]
        taken = take_cid(body)
        if len(body) != length[0] or taken is None:
            raise Fault("E_CAR_SECTION")
        names.append(verify_block(taken[0], body[taken[1] :]))
    return {"roots": list(map(cid_text, roots)), "blocks": list(map(cid_text, names))}


# --- stored forms -------------------------------------------------------------------------------


def unpack(stored):
    """The content of a stored block (BLOCKS-60, BLOCKS-63)."""
    if stored[:1] == b"\0":
        return stored[1:]
    if len(stored) < 5 or stored[0] not in (1, 2):
        raise Fault("E_STORED_HEADER")
    length, packed = int.from_bytes(stored[1:5], "little"), stored[5:]
    if length > BLOCK_BYTES_MAX:
        raise Fault("E_BLOCK_SIZE")
    try:
        content = unzstd(packed) if stored[0] == 1 else unsnappy(packed)
    except (IndexError, ValueError):
        raise Fault("E_STORED_CONTENT") from None
    if len(content) != length:
        raise Fault("E_STORED_CONTENT")
    return content


def take(data, at, count):
    if at + count > len(data):
        raise ValueError("cut off")
    return data[at : at + count], at + count


def unzstd(data):
    """One frame of RFC 8878 with a single segment and blocks that are raw or of one byte repeated:
    what can be written down without entropy coding."""
    magic, at = take(data, 0, 4)
    if magic != bytes.fromhex("28b52ffd") or data[4] & 0x3F != 0x20:
        raise ValueError("not such a frame")
    wide = (1, 2, 4, 8)[data[4] >> 6]
    size, at = take(data, at + 1, wide)
    size, content, last = int.from_bytes(size, "little") + (256 if wide == 2 else 0), b"", False
    while not last:
        header, at = take(data, at, 3)
        header = int.from_bytes(header, "little")
        last, kind, count = header & 1, header >> 1 & 3, header >> 3
        if kind > 1:
            raise ValueError("an entropy-coded block")
        body, at = take(data, at, count if kind == 0 else 1)
        content += body if kind == 0 else body * count
    if at != len(data) or len(content) != size:
        raise ValueError("another length")
    return content


def unsnappy(data):
    """The raw format of snappy: a length, then literals and copies."""
    length = take_varint(data, 0)
    if length is None:
        raise ValueError("no length")
    (size, at), content = length, b""
    while at < len(data):
        tag, at = data[at], at + 1
        if tag & 3 == 0:
            count = tag >> 2
            if count >= 60:
                wide, at = take(data, at, count - 59)
                count = int.from_bytes(wide, "little")
            body, at = take(data, at, count + 1)
            content += body
            continue
        if tag & 3 == 1:
            low, at = take(data, at, 1)
            count, offset = 4 + (tag >> 2 & 7), (tag >> 5) << 8 | low[0]
        else:
            wide, at = take(data, at, 2 if tag & 3 == 2 else 4)
            count, offset = 1 + (tag >> 2), int.from_bytes(wide, "little")
        if not 0 < offset <= len(content):
            raise ValueError("a copy from before the beginning")
        for _ in range(count):
            content += content[-offset : len(content) - offset + 1]
    if len(content) != size:
        raise ValueError("another length")
    return content


# --- vectors ------------------------------------------------------------------------------------


def run_name(given):
    link = parse_name(given["text"])
    is_sha = link[2] == SHA2_256
    return {"cid": cid_text(link), "proto": f"proto://{link[4:].hex()}" if is_sha else None}


def run_file(given):
    if "size" in given:
        data = content(given["size"])
        root, blocks = add_file(data, given["chunk"], given["links"])
        assert read_file(blocks, root) == data
        return {"cid": cid_text(root), "blocks": len(blocks)}
    if "bytes" in given:
        inline, parts = read_index(bytes.fromhex(given["bytes"]))
        size = len(inline) + sum(size for _, size in parts)
        return {"size": size, "links": [cid_text(link) for link, _ in parts]}
    blocks = {}
    for codec, data in given["blocks"]:
        blocks[cid(CODECS[codec], bytes.fromhex(data))] = bytes.fromhex(data)
    return {"content": read_file(blocks, parse_name(given["root"])).hex()}


def run_car(given):
    return read_car(bytes.fromhex(given["bytes"]))


def run_stored(given):
    return {"content": unpack(bytes.fromhex(given["bytes"])).hex()}


def need(condition, code):
    if not condition:
        raise Fault(code)


def xxh64(data, seed):
    """XXH64, as its specification has it."""
    p1, p2, p3, p4, p5 = (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
    mask = 2**64 - 1

    def turn(value, by):
        return (value << by | value >> (64 - by)) & mask

    def lane(state, word):
        return turn((state + word * p2) & mask, 31) * p1 & mask

    def word(at, size):
        return int.from_bytes(data[at : at + size], "little")

    at = 0
    if len(data) >= 32:
        states = [(seed + p1 + p2) & mask, (seed + p2) & mask, seed, (seed - p1) & mask]
        while at + 32 <= len(data):
            states = [lane(state, word(at + 8 * i, 8)) for i, state in enumerate(states)]
            at += 32
        total = sum(turn(state, by) for state, by in zip(states, (1, 7, 12, 18))) & mask
        for state in states:
            total = ((total ^ lane(0, state)) * p1 + p4) & mask
    else:
        total = (seed + p5) & mask
    total = (total + len(data)) & mask
    while at + 8 <= len(data):
        total = (turn(total ^ lane(0, word(at, 8)), 27) * p1 + p4) & mask
        at += 8
    if at + 4 <= len(data):
        total = (turn(total ^ (word(at, 4) * p1 & mask), 23) * p2 + p3) & mask
        at += 4
    while at < len(data):
        total = turn(total ^ (data[at] * p5 & mask), 11) * p1 & mask
        at += 1
    for by, prime in ((33, p2), (29, p3), (32, 1)):
        total = (total ^ total >> by) * prime & mask
    return total


def redo_record(seed, number, writes, synced=0):
    """A record of the redo log (BLOCKS-80)."""
    body = synced.to_bytes(8, "little")
    for table, key, value in writes:
        body += bytes([table | (0x80 if value is None else 0)])
        body += len(key).to_bytes(4, "little") + len(value or b"").to_bytes(4, "little")
        body += key + (value or b"")
    head = number.to_bytes(8, "little") + len(body).to_bytes(4, "little")
    return head + xxh64(body, seed ^ number).to_bytes(8, "little") + body


def redo_writes(body):
    writes = []
    while body:
        kind, body = body[0], body[1:]
        lengths = [int.from_bytes(body[i : i + 4], "little") for i in (0, 4)]
        need(len(body) >= 8 + sum(lengths) and kind & 0x7F < 4, "E_STORE")
        key, value = body[8 : 8 + lengths[0]], body[8 + lengths[0] : 8 + sum(lengths)]
        writes.append([kind & 0x7F, key.hex(), None if kind & 0x80 else value.hex()])
        body = body[8 + sum(lengths) :]
    return writes


def redo_file(data):
    """The records of a file (BLOCKS-82)."""
    if len(data) < 16 or not any(data):
        need(len(data) <= 16, "E_STORE")
        return []
    need(data[:8] == b"allodrdo", "E_STORE")
    seed, at, found, damaged = int.from_bytes(data[8:16], "little"), 16, [], None
    while at + 20 <= len(data):
        number, length, checksum = (
            int.from_bytes(data[at + i : at + j], "little") for i, j in ((0, 8), (8, 12), (12, 20))
        )
        body = data[at + 20 : at + 20 + length]
        last = found[-1][0] if found else 0
        if number <= last or len(body) < max(length, 8) or damaged not in (None, number - 1):
            break
        at += 20 + length
        if xxh64(body, seed ^ number) == checksum:
            found.append((number, body))
            damaged = None
        elif damaged is None:
            damaged = number
        else:
            break
    return found


def run_redo(given):
    records = []
    for data in given["files"]:
        records += redo_file(bytes.fromhex(data))
    logged = max((int.from_bytes(body[:8], "little") for _, body in records), default=0)
    need(given["synced"] >= logged, "E_STORE")
    last = max((number for number, _ in records), default=0)
    need(given["synced"] <= max(last, given["unlogged"]), "E_STORE")
    has = max(logged, given["unlogged"])
    records = sorted(record for record in records if record[0] > has)
    for index, (number, _) in enumerate(records):
        need(number == has + 1 + index, "E_STORE")
    return {"batches": [redo_writes(body[8:]) for _, body in records if body[8:]]}


def pack_record(name, stored):
    """A record of a pack (BLOCKS-90)."""
    return bytes([len(name)]) + len(stored).to_bytes(4, "little") + name + stored


def run_pack(given):
    """The records of a pack that follow one another (BLOCKS-93)."""
    data, at, found = bytes.fromhex(given["pack"]), 8, []
    need(data[:8] == b"allodpck", "E_STORE")
    while at + 5 <= len(data):
        name, length = data[at], int.from_bytes(data[at + 1 : at + 5], "little")
        end = at + 5 + name + length
        if name == 0 or length > BLOCK_BYTES_MAX + 1 or end > len(data):
            break
        numbers = b"".join(number.to_bytes(4, "little") for number in (given["number"], at, length))
        place = bytes([3, name]) + numbers
        record = data[at + 5 : end]
        found.append({"name": record[:name].hex(), "place": place.hex(), "stored": record[name:].hex()})
        at = end
    return {"records": found}


RUNNERS = {
    "blocks/pack.json": run_pack,
    "blocks/redo.json": run_redo,
    "blocks/name.json": run_name,
    "blocks/unixfs.json": run_file,
    "blocks/car.json": run_car,
    "blocks/stored.json": run_stored,
}


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    import blocks_cases

    vectors.write(vectors_dir, "BLOCKS", RUNNERS, blocks_cases.files())


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
