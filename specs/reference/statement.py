"""A second reading of STMT and IDENT: statements, keys, key logs and keystores, from the pages alone.

Python 3.10 or later, standard library only. It shares no code with the crates.

    python3 specs/reference/statement.py specs/vectors            checks the vectors
    python3 specs/reference/statement.py --write specs/vectors    writes them again, byte for byte

`check(vectors_dir)` returns how many cases passed and a list of what failed.
"""

import base64
import hashlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import keystore  # noqa: E402

STATEMENT_BYTES_MAX = 64 * 1024
DEPTH_MAX = 64
KEYLOG_EVENTS_MAX = 512
KEYLOG_BYTES_MAX = 262144
TIME_MS_MAX = (1 << 48) - 1
DOMAIN_LETTERS = set("abcdefghijklmnopqrstuvwxyz0123456789-")


class Fault(Exception):
    """A refusal with its registered code."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


# --- Ed25519, strict (STMT-7) -----------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1, 1, 0)


def add(a, b):
    """Adds two points in extended coordinates."""
    m = (a[1] - a[0]) * (b[1] - b[0]) % P
    n = (a[1] + a[0]) * (b[1] + b[0]) % P
    c = 2 * a[3] * b[3] * D % P
    d = 2 * a[2] * b[2] % P
    e, f, g, h = n - m, d - c, d + c, n + m
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar, point):
    total = IDENTITY
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def same(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def to_point(data):
    """The point of an encoding, canonical or not; None if there is none."""
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    if x & 1 != sign:
        x = -x % P
    return (x, y % P, 1, x * (y % P) % P)


def from_point(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def is_small(point):
    return same(times(8, point), IDENTITY)


BASE = to_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def hash_scalar(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


def check_key(data):
    """IDENT-1: a point, canonically encoded, not of small order."""
    point = to_point(data) if len(data) == 32 else None
    if point is None or from_point(point) != data or is_small(point):
        raise Fault("E_KEY")
    return point


def verifies(key, message, signature):
    """STMT-7: canonical S, R not of small order, and the equation without the cofactor."""
    a = check_key(key)
    r_bytes, s = signature[:32], int.from_bytes(signature[32:], "little")
    r = to_point(r_bytes)
    if s >= L or r is None or is_small(r):
        return False
    k = hash_scalar(r_bytes, key, message)
    minus_a = (-a[0] % P, a[1], a[2], -a[3] % P)
    return from_point(add(times(s, BASE), times(k, minus_a))) == r_bytes


def expand(seed):
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    return (scalar & ((1 << 254) - 8)) | (1 << 254), digest[32:]


def public(seed):
    return from_point(times(expand(seed)[0], BASE))


def sign(seed, message):
    a, prefix = expand(seed)
    r = hash_scalar(prefix, message)
    r_bytes = from_point(times(r, BASE))
    s = (r + hash_scalar(r_bytes, public(seed), message) * a) % L
    return r_bytes + s.to_bytes(32, "little")


# --- DAG-CBOR (CONV-1, CONV-2) ----------------------------------------------------------------


class Link(bytes):
    """The bytes of a CID."""


def head(major, value):
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 24:
            return bytes([major << 5 | value])
        if value < 1 << (8 * size):
            return bytes([major << 5 | info]) + value.to_bytes(size, "big")
    raise ValueError(value)


def encode(value):
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, Link):
        return b"\xd8\x2a" + encode(b"\x00" + bytes(value))
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    keys = sorted((key.encode() for key in value), key=lambda key: (len(key), key))
    members = (head(3, len(key)) + key + encode(value[key.decode()]) for key in keys)
    return head(5, len(value)) + b"".join(members)


class Decoder:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if self.at + size > len(self.data):
            raise Fault("E_CBOR")
        self.at += size
        return self.data[self.at - size : self.at]

    def head(self):
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if info < 24:
            return major, info, first
        if info == 31 and 2 <= major <= 5:
            raise Fault("E_CANONICAL")
        if info > 27:
            raise Fault("E_CBOR")
        value = int.from_bytes(self.take(1 << (info - 24)), "big")
        least = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}[info]
        if major != 7 and value < least:
            raise Fault("E_CANONICAL")
        return major, value, first

    def text(self, size):
        try:
            return self.take(size).decode("utf-8", "strict")
        except UnicodeDecodeError:
            raise Fault("E_CBOR") from None

    def item(self, depth=0):
        if depth > DEPTH_MAX:
            raise Fault("E_DEPTH")
        major, value, first = self.head()
        if major == 0:
            return value
        if major == 1:
            return -1 - value
        if major == 2:
            return self.take(value)
        if major == 3:
            return self.text(value)
        if major == 4:
            return [self.item(depth + 1) for _ in range(value)]
        if major == 5:
            return self.map(value, depth)
        if major == 6:
            return self.link(value)
        return self.simple(first)

    def map(self, size, depth):
        members, last = {}, None
        for _ in range(size):
            major, length, _ = self.head()
            if major != 3:
                raise Fault("E_CBOR")
            key = self.text(length)
            order = (len(key.encode()), key.encode())
            if last is not None and last >= order:
                raise Fault("E_CANONICAL")
            last = order
            members[key] = self.item(depth + 1)
        return members

    def link(self, tag):
        if tag != 42:
            raise Fault("E_CBOR")
        major, size, _ = self.head()
        if major != 2:
            raise Fault("E_CBOR")
        data = self.take(size)
        if data[:2] != b"\x00\x01" or not is_cid(data[1:]):
            raise Fault("E_CBOR")
        return Link(data[1:])

    def simple(self, first):
        if first in (0xF4, 0xF5, 0xF6):
            return {0xF4: False, 0xF5: True, 0xF6: None}[first]
        if first in (0xF9, 0xFA):
            raise Fault("E_CANONICAL")
        if first != 0xFB:
            raise Fault("E_CBOR")
        bits = int.from_bytes(self.data[self.at - 8 : self.at], "big")
        if bits >> 52 & 0x7FF == 0x7FF:
            raise Fault("E_CBOR")
        if bits == 1 << 63:
            raise Fault("E_CANONICAL")
        return float.fromhex("0x0p0") if bits == 0 else ("float", bits)


def decode(data):
    decoder = Decoder(data)
    value = decoder.item()
    if decoder.at != len(data):
        raise Fault("E_TRAILING")
    return value


def varint(data):
    """An unsigned varint in its shortest form, and what follows; None if there is none."""
    value = 0
    for at, byte in enumerate(data[:9]):
        value |= (byte & 127) << (7 * at)
        if byte < 128:
            return None if at and byte == 0 else (value, data[at + 1 :])
    return None


def is_cid(data):
    rest, parts = data, []
    for _ in range(4):
        part = varint(rest)
        if part is None:
            return False
        value, rest = part
        parts.append(value)
    return parts[0] == 1 and parts[3] == len(rest) <= 64


# --- Names ------------------------------------------------------------------------------------

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def to_did(key):
    number, text = int.from_bytes(b"\xed\x01" + key, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "did:key:z" + text


def from_did(text):
    """IDENT-2: the text is exactly what the key's name is."""
    if len(text.encode()) > 64 or not text.startswith("did:key:z"):
        raise Fault("E_DID")
    number = 0
    for letter in text[9:]:
        if letter not in BASE58:
            raise Fault("E_DID")
        number = number * 58 + BASE58.index(letter)
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if data[:2] != b"\xed\x01" or text[9:10] == "1":
        raise Fault("E_DID")
    check_key(data[2:])
    return data[2:]


def cid(data):
    """STMT-8."""
    return Link(b"\x01\x71\x12\x20" + hashlib.sha256(data).digest())


def cid_text(link):
    return "b" + base64.b32encode(link).decode().lower().rstrip("=")


def fingerprint(key):
    """IDENT-3."""
    return hashlib.sha256(b"allod/fingerprint/1\0" + key).hexdigest()[:8]


# --- Statements -------------------------------------------------------------------------------


def signature_input(domain, signer, payload):
    """STMT-6."""
    said = b"\x83" + encode(domain) + encode(signer) + payload
    return b"allod/" + domain.encode() + b"/1\0" + said


def make(seed, domain, payload):
    body, signer = encode(payload), public(seed)
    signature = sign(seed, signature_input(domain, signer, body))
    return b"\x84" + encode(domain) + encode(signer) + body + encode(signature)


def verify(data, domain):
    """The statement's parts, or a Fault. The order of the checks is that of the page."""
    if len(data) > SIZES.get(domain, STATEMENT_BYTES_MAX):
        raise Fault("E_SIZE")
    value = decode(data)
    if not isinstance(value, list) or len(value) != 4:
        raise Fault("E_SHAPE")
    said, signer, payload, signature = value
    is_shaped = (
        isinstance(said, str)
        and 1 <= len(said) <= 23
        and set(said) <= DOMAIN_LETTERS
        and type(signer) is bytes
        and len(signer) == 32
        and isinstance(payload, dict)
        and type(signature) is bytes
        and len(signature) == 64
    )
    if not is_shaped:
        raise Fault("E_SHAPE")
    if said != domain:
        raise Fault("E_DOMAIN")
    check_key(signer)
    PAYLOADS[domain][0](payload)
    body = encode(payload)
    signing = signature_input(domain, signer, body)
    if not verifies(signer, signing, signature):
        raise Fault("E_SIGNATURE")
    PAYLOADS[domain][1](payload)
    return {"signer": signer, "payload": payload, "body": body, "signing": signing}


def members(payload, shapes):
    """CONV-3: exactly these members, of these types."""
    if set(payload) != set(shapes):
        raise Fault("E_SHAPE")
    for name, kind in shapes.items():
        value = payload[name]
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if type(value) not in kinds:
            raise Fault("E_SHAPE")
        if type(value) is int and not 0 <= value < 1 << 64:
            raise Fault("E_SHAPE")


def is_key(data):
    try:
        check_key(data)
    except Fault:
        return False
    return True


def example_shape(payload):
    members(payload, {"say": str})


def example_check(payload):
    if not payload["say"]:
        raise Fault("E_EXAMPLE")


EVENTS = {
    "inception": {"next": bytes},
    "add-device": {"device": bytes, "name": str, "at": int},
    "remove-device": {"device": bytes, "at": int},
    "rotate": {"next": bytes, "at": int},
    "recover": {"next": bytes, "at": int, "confirmed": list},
}
MORE = {"inception": {"guardians": dict}, "rotate": {"guardians": dict, "released": list}}
GUARDIANS = {"keys": list, "needed": int, "wait": int}
SAYS = {
    "approve": {"key": bytes, "next": bytes, "prev": Link},
    "confirm": {"key": bytes, "next": bytes, "prev": Link, "since": int},
    "release": {"named": Link, "guardians": dict},
}


def guardians_shape(guardians):
    members(guardians, GUARDIANS)
    if not all(isinstance(key, bytes) and is_key(key) for key in guardians["keys"]):
        raise Fault("E_SHAPE")


def guardians_check(guardians):
    """IDENT-40."""
    keys, needed = guardians["keys"], guardians["needed"]
    is_none = not keys and needed == 0 and guardians["wait"] == 0
    is_some = 1 <= len(keys) <= 16 and 1 <= needed <= len(keys) and guardians["wait"] <= TIME_MS_MAX
    if sorted(set(keys)) != keys or not (is_none or is_some):
        raise Fault("E_GUARDIANS")


def guardian_shape(payload):
    said = payload.get("says")
    if not isinstance(said, dict) or len(said) != 1 or next(iter(said)) not in SAYS:
        raise Fault("E_SHAPE")
    members(payload, {"agent": bytes, "at": int, "says": dict})
    [(kind, body)] = said.items()
    if not isinstance(body, dict):
        raise Fault("E_SHAPE")
    members(body, SAYS[kind])
    keys = [payload["agent"]] + ([body["key"]] if "key" in body else [])
    if not all(map(is_key, keys)) or len(body.get("next", bytes(32))) != 32:
        raise Fault("E_SHAPE")
    if kind == "release":
        guardians_shape(body["guardians"])


def guardian_check(payload):
    if payload["at"] > TIME_MS_MAX:
        raise Fault("E_TIME")
    [(kind, body)] = payload["says"].items()
    if kind == "confirm" and body["since"] > payload["at"]:
        raise Fault("E_TIME")
    if kind == "release":
        guardians_check(body["guardians"])


def objection_shape(payload):
    members(payload, {"agent": bytes, "at": int, "key": bytes})
    if not is_key(payload["agent"]) or not is_key(payload["key"]):
        raise Fault("E_SHAPE")


def objection_check(payload):
    if payload["at"] > TIME_MS_MAX:
        raise Fault("E_TIME")


def keylog_shape(payload):
    """IDENT-4 to IDENT-6."""
    event = payload.get("event")
    if not isinstance(event, dict):
        raise Fault("E_SHAPE")
    if len(event) == 1 and next(iter(event)) not in EVENTS:
        raise Fault("E_KIND")
    members(payload, {"agent": bytes, "seq": int, "prev": (type(None), Link), "event": dict})
    if len(event) != 1:
        raise Fault("E_SHAPE")
    [(kind, body)] = event.items()
    if not isinstance(body, dict):
        raise Fault("E_SHAPE")
    more = {name: shape for name, shape in MORE.get(kind, {}).items() if name in body}
    members(body, EVENTS[kind] | more)
    keys = [payload["agent"]] + ([body["device"]] if "device" in body else [])
    if not all(map(is_key, keys)) or len(body.get("next", bytes(32))) != 32:
        raise Fault("E_SHAPE")
    if "guardians" in body:
        guardians_shape(body["guardians"])
    if not all(isinstance(said, bytes) for said in carried(body)) or body.get("released") == []:
        raise Fault("E_SHAPE")


def carried(body):
    return body.get("released", []) + body.get("confirmed", [])


def is_unprintable(c):
    return ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u200e\u200f" or (
        "\u2028" <= c <= "\u202e" or "\u2066" <= c <= "\u2069"
    )


BLANKS = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008" + (
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)


def keylog_check(payload):
    """IDENT-5, IDENT-7, IDENT-8."""
    is_first = payload["seq"] == 0
    if is_first != ("inception" in payload["event"]) or is_first != (payload["prev"] is None):
        raise Fault("E_KEYLOG_FIRST")
    [(kind, body)] = payload["event"].items()
    if kind == "add-device":
        check_name(body["name"])
    if body.get("at", 0) > TIME_MS_MAX:
        raise Fault("E_TIME")
    if len(carried(body)) > 16 or any(len(said) > 1024 for said in carried(body)):
        raise Fault("E_GUARDIANS")
    if "released" in body and "guardians" not in body:
        raise Fault("E_GUARDIANS")
    if "guardians" in body:
        guardians_check(body["guardians"])


def check_name(name):
    if not 1 <= len(name.encode()) <= 64 or name.strip(BLANKS) != name:
        raise Fault("E_DEVICE_NAME")
    if any(map(is_unprintable, name)):
        raise Fault("E_DEVICE_NAME")


PAYLOADS = {
    "example": (example_shape, example_check),
    "keylog": (keylog_shape, keylog_check),
    "guardian": (guardian_shape, guardian_check),
    "objection": (objection_shape, objection_check),
}

# STMT-4: where the page of a domain allows less.
SIZES = {}


def commits(key, after):
    """IDENT-30."""
    return hashlib.sha256(b"allod/next/1\0" + key + after).digest()


def chain(secret):
    """IDENT-31: the secrets of the keys, and what commits to those after each; number 0 is before all."""
    def of(number):
        return hashlib.sha256(b"allod/chain/1\0" + secret + number.to_bytes(4, "big")).digest()

    seeds, after = [None] + [of(number) for number in range(1, 65)], [bytes(32)]
    for seed in reversed(seeds[1:]):
        after.append(commits(public(seed), after[-1]))
    return seeds, after[::-1]


class Epoch:
    """What holds from one change of the key to the next."""

    def __init__(self, key, after, number, named):
        self.key, self.after, self.number, self.named = key, after, number, named


def named_by(event, body):
    return (event["cid"], body["guardians"]) if body.get("guardians", {}).get("keys") else None


def enough(guardians, said, is_it):
    who = set()
    for data in said:
        try:
            parts = verify(data, "guardian")
        except Fault:
            continue
        if parts["signer"] in guardians["keys"] and is_it(parts["payload"]):
            who.add(parts["signer"])
    return bool(guardians["keys"]) and len(who) >= guardians["needed"]


def lets(epoch, agent, body):
    """IDENT-41: whether the guardians let others take their place."""
    name, guardians = epoch.named
    wanted = {"release": {"named": name, "guardians": body.get("guardians")}}
    return enough(guardians, body.get("released", []), lambda said: said["agent"] == agent and said["says"] == wanted)


def follows(epoch, agent, event):
    """The epoch after an event in one."""
    [(kind, body)] = event["payload"]["event"].items()
    signer = event["signer"]
    if kind in ("add-device", "remove-device"):
        if signer != epoch.key:
            raise Fault("E_KEYLOG_SIGNER")
        return epoch
    recoveries, rotations = epoch.number
    if kind == "rotate":
        if commits(signer, body["next"]) != epoch.after:
            raise Fault("E_KEYLOG_SIGNER")
        named = epoch.named
        if "guardians" in body:
            if epoch.named is not None and not lets(epoch, agent, body):
                raise Fault("E_GUARDIANS")
            named = named_by(event, body)
        return Epoch(signer, body["next"], (recoveries, rotations + 1), named)
    if kind != "recover":
        raise Fault("E_KEYLOG_PREV")
    if epoch.named is None:
        raise Fault("E_GUARDIANS")
    _, guardians = epoch.named

    def confirms(said):
        it = said["says"].get("confirm")
        return it is not None and said["agent"] == agent and it["key"] == signer and (
            it["next"] == body["next"] and it["prev"] == event["payload"]["prev"]
            and said["at"] - it["since"] >= guardians["wait"])

    if not enough(guardians, body["confirmed"], confirms):
        raise Fault("E_GUARDIANS")
    return Epoch(signer, body["next"], (recoveries + 1, 0), epoch.named)


def way_to(events, name):
    steps = []
    while name is not None:
        steps.append(name)
        name = events[name]["payload"]["prev"]
    return steps[::-1]


def sound_events(agent, events):
    """IDENT-33: the events that follow, each from one that does, with the epochs after them."""
    epochs = {}
    for event in sorted(events.values(), key=lambda event: event["payload"]["seq"]):
        payload = event["payload"]
        if payload["seq"] == 0:
            if event["signer"] == agent:
                body = payload["event"]["inception"]
                epochs[event["cid"]] = Epoch(agent, body["next"], (0, 0), named_by(event, body))
            continue
        before = epochs.get(payload["prev"])
        if before is None or events[payload["prev"]]["payload"]["seq"] + 1 != payload["seq"]:
            continue
        size = sum(len(events[name]["data"]) for name in way_to(events, event["cid"]))
        if payload["seq"] >= KEYLOG_EVENTS_MAX or size > KEYLOG_BYTES_MAX:
            continue
        try:
            epochs[event["cid"]] = follows(before, agent, event)
        except Fault:
            continue
    return epochs


def choose(agent, events):
    """IDENT-34 to IDENT-36: the log, the epoch at its end, and whether it ends in a contradiction."""
    epochs = sound_events(agent, events)
    ways = {name: way_to(events, name) for name in epochs}
    kind = {name: next(iter(events[name]["payload"]["event"])) for name in epochs}
    # The last recovery on the way, or the beginning.
    since = {name: [step for step in way if kind[step] in ("inception", "recover")][-1] for name, way in ways.items()}
    released = {}
    for name in epochs:
        body = events[name]["payload"]["event"].get("rotate", {})
        before = epochs.get(events[name]["payload"]["prev"])
        if "guardians" in body and before is not None and before.named is not None:
            released.setdefault(before.named[0], set()).update(ways[name])

    def shared(names):
        if not names:
            return []
        log = ways[names[0]]
        return log[: min(next((at for at, (a, b) in enumerate(zip(log, ways[name])) if a != b),
                              min(len(log), len(ways[name]))) for name in names)]

    def newest(begun):
        if len(begun) > 1:
            return shared(begun), True
        begins = [name for name in epochs if since[name] in begun and kind[name] in ("inception", "recover", "rotate")]
        number = max((epochs[name].number for name in begins), default=None)
        tips = [name for name in begins if epochs[name].number == number]
        if len(tips) != 1:
            return shared(tips), bool(tips)
        log = list(ways[tips[0]])
        while True:
            after = [name for name in epochs
                     if events[name]["payload"]["prev"] == log[-1] and epochs[name].number == number]
            if len(after) != 1:
                return log, bool(after)
            log.append(after[0])

    begun = [name for name in epochs if kind[name] == "inception"]
    while True:
        log, is_contradicted = newest(begun)
        epoch = epochs[log[-1]] if log else None
        if epoch is None or epoch.named is None:
            return log, epoch, is_contradicted
        named = epoch.named[0]
        recoveries = [
            name for name in epochs
            if kind[name] == "recover" and epochs[name].named[0] == named
            and since[events[name]["payload"]["prev"]] in begun
            and (named not in released or name in released[named])
        ]
        if not recoveries:
            return log, epoch, is_contradicted
        begun = recoveries


def replay(agent, statements):
    """IDENT-9 to IDENT-14: what these events make."""
    events = {}
    for data in statements:
        event = verify(data, "keylog") | {"cid": cid(data), "data": data}
        payload = event["payload"]
        if payload["agent"] != agent:
            raise Fault("E_KEYLOG_AGENT")
        log, _, _ = choose(agent, events)
        if event["cid"] in events:
            continue
        if payload["seq"] == 0:
            if event["signer"] != agent:
                raise Fault("E_KEYLOG_SIGNER")
        elif payload["prev"] not in events:
            raise Fault("E_KEYLOG_GAP" if payload["seq"] > len(log) else "E_KEYLOG_PREV")
        elif events[payload["prev"]]["payload"]["seq"] + 1 != payload["seq"]:
            raise Fault("E_KEYLOG_PREV")
        elif payload["seq"] >= KEYLOG_EVENTS_MAX:
            raise Fault("E_KEYLOG_FULL")
        else:
            way = way_to(events, payload["prev"])
            if sum(len(events[name]["data"]) for name in way) + len(data) > KEYLOG_BYTES_MAX:
                raise Fault("E_KEYLOG_FULL")
            epoch = sound_events(agent, {name: events[name] for name in way})[payload["prev"]]
            follows(epoch, agent, event)
        events[event["cid"]] = event
    log, epoch, is_contradicted = choose(agent, events)
    if is_contradicted:
        raise Fault("E_EQUIVOCATION")
    devices, past = {}, set()
    key = agent
    for name in log:
        [(kind, body)] = events[name]["payload"]["event"].items()
        if kind == "add-device" and body["device"] not in devices and body["device"] not in past:
            devices[body["device"]] = body["name"]
        if kind == "remove-device" and devices.pop(body["device"], None) is not None:
            past.add(body["device"])
        if kind in ("rotate", "recover"):
            past.add(key)
            key = events[name]["signer"]
    return {
        "head": cid_text(log[-1]) if log else None,
        "key": to_did(key),
        "number": list(epoch.number) if epoch else [0, 0],
        "past": sorted(map(to_did, past)),
        "devices": {to_did(key): devices[key] for key in sorted(devices)},
    }


# --- Keystores --------------------------------------------------------------------------------

KDF = {"alg": str, "m": int, "t": int, "p": int, "salt": bytes}


def keystore_header(file):
    """IDENT-24: what is authenticated beside the sealed part."""
    header = {name: file[name] for name in ("v", "kdf", "nonce")}
    return b"allod/keystore/1\0" + encode(header)


def make_keystore(secret, kdf, nonce, keys):
    file = {"v": 1, "kdf": kdf, "nonce": nonce}
    sealed = keystore.seal(secret, kdf, nonce, keystore_header(file), encode(keys))
    return encode(file | {"ct": sealed})


def open_keystore(data, secret):
    """IDENT-21 to IDENT-24."""
    if len(data) > 4096:
        raise Fault("E_SIZE")
    file = decode(data)
    if not isinstance(file, dict) or type(file.get("v")) is not int or file["v"] < 0:
        raise Fault("E_SHAPE")
    if file["v"] != 1:
        raise Fault("E_KEYSTORE_VERSION")
    members(file, {"v": int, "kdf": dict, "nonce": bytes, "ct": bytes})
    kdf = file["kdf"]
    members(kdf, KDF)
    if len(file["nonce"]) != 24 or len(kdf["salt"]) != 16 or max(kdf["m"], kdf["t"], kdf["p"]) >> 32:
        raise Fault("E_SHAPE")
    bounded = 1 <= kdf["p"] <= 4 and 1 <= kdf["t"] <= 16 and 8 * kdf["p"] <= kdf["m"] <= 262144
    if kdf["alg"] != "argon2id" or not bounded:
        raise Fault("E_KEYSTORE_PARAMS")
    plain = keystore.unseal(secret, kdf, file["nonce"], keystore_header(file), file["ct"])
    if plain is None:
        raise Fault("E_KEYSTORE_SECRET")
    keys = decode(plain)
    seed = (type(None), bytes)
    members(keys, {"agent": seed, "next": seed, "device": bytes})
    if any(len(key) != 32 for key in keys.values() if key is not None):
        raise Fault("E_SHAPE")
    return keys


# --- Vectors ----------------------------------------------------------------------------------


def run_statement(given):
    parts = verify(bytes.fromhex(given["bytes"]), given["domain"])
    return {
        "signer": to_did(parts["signer"]),
        "payload": parts["body"].hex(),
        "signing_input": parts["signing"].hex(),
        "cid": cid_text(cid(bytes.fromhex(given["bytes"]))),
    }


def run_did(given):
    key = from_did(given["text"])
    return {"key": key.hex(), "fingerprint": fingerprint(key)}


def run_keylog(given):
    statements = [bytes.fromhex(data) for data in given["events"]]
    return replay(from_did(given["agent"]), statements)


def run_keystore(given):
    keys = open_keystore(bytes.fromhex(given["bytes"]), bytes.fromhex(given["secret"]))
    return {name: keys[name] and keys[name].hex() for name in ("agent", "next", "device")}


RUNNERS = {
    "statement/statement.json": run_statement,
    "identity/did.json": run_did,
    "identity/event.json": run_statement,
    "identity/guardian.json": run_statement,
    "identity/objection.json": run_statement,
    "identity/keylog.json": run_keylog,
    "identity/keystore.json": run_keystore,
}
CASE_MEMBERS = {"id", "rule", "comment", "input", "expect"}


def outcome(run, given):
    try:
        return {"ok": run(given)}
    except Fault as fault:
        return {"error": fault.code}


def check(vectors_dir):
    """Runs every case. Returns how many passed, and a text for each that did not."""
    passed, failures = 0, []
    for name, run in RUNNERS.items():
        path = pathlib.Path(vectors_dir) / name
        document = json.loads(path.read_text())
        if set(document) != {"spec", "revision", "schema", "cases"}:
            failures.append(f"{name}: unknown members")
        for case in document["cases"]:
            got = outcome(run, case["input"])
            if set(case) != CASE_MEMBERS:
                failures.append(f"{name} {case['id']}: unknown members")
            elif got != case["expect"]:
                failures.append(f"{name} {case['id']}: {got} instead of {case['expect']}")
            else:
                passed += 1
    return passed, failures


def write(vectors_dir):
    """Writes the vectors: the cases are made here, by hand, and judged by this reading."""
    import statement_cases  # beside this file

    for name, spec, cases in statement_cases.files():
        document = {"spec": spec, "revision": 1, "schema": 1, "cases": []}
        for case_id, comment, given, expected in cases:
            got = outcome(RUNNERS[name], given)
            if got.get("error") != expected:
                raise SystemExit(f"{case_id}: {got}, meant {expected}")
            document["cases"].append(
                {
                    "id": case_id,
                    "rule": [case_id.split("/")[0]],
                    "comment": comment,
                    "input": given,
                    "expect": got,
                }
            )
        path = pathlib.Path(vectors_dir) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n")


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["--write"]:
        write(arguments[1])
        return
    passed, failures = check(arguments[0])
    for failure in failures:
        print(failure)
    print(f"{passed} passed, {len(failures)} failed")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
