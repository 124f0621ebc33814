"""A second reading of PAIR, and of the kits and requests of IDENT, from the pages alone.

Python 3.10 or later, standard library only. It shares no code with the crates; DAG-CBOR is read by
statement.py beside this file.

    python3 specs/reference/pairing.py specs/vectors            checks the vectors
    python3 specs/reference/pairing.py --write specs/vectors    writes them again, byte for byte

`check(vectors_dir)` returns how many cases passed and a list of what failed.
"""

import base64
import hashlib
import ipaddress
import sys

import statement as s
import vectors
from vectors import Fault

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LOOKS_LIKE = {"O": "0", "I": "1", "L": "1"}
ZEROS = bytes(32)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# --- Characters -------------------------------------------------------------------------------


def bits_of(data):
    return "".join(f"{byte:08b}" for byte in data)


def spell(bits):
    bits += "0" * (-len(bits) % 5)
    return "".join(ALPHABET[int(bits[at : at + 5], 2)] for at in range(0, len(bits), 5))


def grouped(text):
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def letters(text, code):
    """The characters as they are meant, without what separates groups."""
    if not text.isascii():
        raise Fault(code)
    meant = "".join(LOOKS_LIKE.get(letter, letter) for letter in text.upper() if letter not in "- \t\r\n")
    if any(letter not in ALPHABET for letter in meant):
        raise Fault(code)
    return meant


def whole_bytes(text, code):
    bits = "".join(f"{ALPHABET.index(letter):05b}" for letter in text)
    rest = bits[len(bits) // 8 * 8 :]
    if len(rest) >= 5 or "1" in rest:
        raise Fault(code)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))


# --- Codes (PAIR-1, PAIR-2) -------------------------------------------------------------------

BODIES = {0: (4, 15), 1: (16, 27)}


def check_letters(form, body):
    return spell(bits_of(sha(b"allod/pair/code/1\0", bytes([form]), body))[:15])


def short(form, ip, port, secret):
    body = ip + port.to_bytes(2, "big") + secret
    return grouped(ALPHABET[form] + spell(bits_of(body)) + check_letters(form, body))


def read_short(text):
    meant = letters(text, "E_PAIR_CODE")
    form = ALPHABET.index(meant[0]) if meant else None
    if form not in BODIES or len(meant) < 4:
        raise Fault("E_PAIR_CODE")
    address_bytes, size = BODIES[form]
    body = whole_bytes(meant[1:-3], "E_PAIR_CODE")
    if len(body) != size or check_letters(form, body) != meant[-3:]:
        raise Fault("E_PAIR_CODE")
    ip = str(ipaddress.ip_address(body[:address_bytes]))
    port = int.from_bytes(body[address_bytes : address_bytes + 2], "big")
    addr = f"[{ip}]:{port}" if form else f"{ip}:{port}"
    return {"addrs": [addr], "device": None, "secret": body[-9:].hex()}


def base32(data):
    return "b" + base64.b32encode(data).decode().lower().rstrip("=")


def from_base32(text, code):
    """Multibase base32 without padding, in the one spelling that the bytes have."""
    if not text.startswith("b"):
        raise Fault(code)
    try:
        data = base64.b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8))
    except ValueError:
        raise Fault(code) from None
    if base32(data) != text:
        raise Fault(code)
    return data


def checked(text, prefix, code, chars_max):
    """What a text with a prefix and 4 bytes of check says."""
    text = text.strip()
    if len(text) > chars_max or not text.lower().startswith(prefix):
        raise Fault(code)
    data = from_base32(text.lower()[len(prefix) :], code)
    if len(data) < 4 or sha(data[:-4])[:4] != data[-4:]:
        raise Fault(code)
    try:
        return s.decode(data[:-4])
    except s.Fault:
        raise Fault(code) from None


def shaped(value, shapes, code):
    try:
        if not isinstance(value, dict):
            raise Fault(code)
        s.members(value, shapes)
    except s.Fault:
        raise Fault(code) from None
    return value


def usable(key, code):
    if not s.is_key(key):
        raise Fault(code)


def long(content):
    data = s.encode(content)
    return ("allod-pair:" + base32(data + sha(data)[:4])).upper()


def read_long(text):
    code = "E_PAIR_CODE"
    value = shaped(checked(text, "allod-pair:", code, 1024), {"addrs": list, "device": bytes, "secret": bytes}, code)
    usable(value["device"], code)
    addrs = value["addrs"]
    if len(addrs) > 8 or len(value["secret"]) != 9 or not all(isinstance(a, str) and len(a.encode()) <= 64 for a in addrs):
        raise Fault(code)
    return {"addrs": addrs, "device": s.to_did(value["device"]), "secret": value["secret"].hex()}


def run_code(given):
    text = given["text"]
    if text.strip().lower().startswith("allod-pair:"):
        return read_long(text)
    return read_short(text)


# --- Messages ---------------------------------------------------------------------------------


def is_bytes(size):
    return lambda value: type(value) is bytes and len(value) == size


def is_text(size):
    return lambda value: isinstance(value, str) and len(value.encode()) <= size


def is_name(value):
    try:
        s.check_name(value)
    except (s.Fault, AttributeError):
        return False
    return True


def is_agent(value):
    return is_bytes(32)(value) and s.is_key(value)


def is_events(value):
    return isinstance(value, list) and all(type(item) is bytes for item in value)


def is_spaces(value):
    return isinstance(value, list) and len(value) <= 4096 and all(
        isinstance(item, list) and len(item) == 2 and is_text(256)(item[0]) and type(item[1]) is s.Link for item in value
    )


MESSAGES = {
    1: ("hello", [is_bytes(32), is_name]),
    2: ("nonce", [is_bytes(32)]),
    3: ("reveal", [is_bytes(32), is_bytes(32)]),
    4: ("proof", [is_bytes(32)]),
    5: ("welcome", [is_agent, is_events, is_spaces]),
    6: ("done", []),
    7: ("refuse", [is_text(256), is_text(256)]),
}


def is_peers(value):
    return isinstance(value, list) and len(value) <= 4 and all(
        isinstance(peer, list) and len(peer) == 2 and is_agent(peer[0]) and isinstance(peer[1], list)
        and len(peer[1]) <= 4 and all(is_text(64)(addr) for addr in peer[1])
        for peer in value
    )


def is_own_spaces(value):
    return isinstance(value, list) and len(value) <= 1024 and all(
        isinstance(item, list) and len(item) == 3 and is_text(256)(item[0]) and item[0] and type(item[1]) is s.Link
        and is_peers(item[2])
        for item in value
    )


OWN = {1: ("log", 1_310_720, is_events), 2: ("spaces", 2_097_152, is_own_spaces)}


def run_own(given):
    """PAIR-12 to PAIR-15: what a device of an agent is told."""
    data = bytes.fromhex(given["bytes"])
    try:
        value = s.decode(data)
    except s.Fault:
        raise Fault("E_PAIR_FRAME") from None
    if not isinstance(value, list) or len(value) != 2 or type(value[0]) is not int or value[0] not in OWN:
        raise Fault("E_PAIR_FRAME")
    name, bytes_max, is_one = OWN[value[0]]
    if len(data) > bytes_max or not is_one(value[1]):
        raise Fault("E_PAIR_FRAME")
    if name == "log":
        return {"message": name, "events": len(value[1])}
    return {"message": name, "spaces": [[item[0], s.cid_text(item[1]), len(item[2])] for item in value[1]]}


def run_message(given):
    data = bytes.fromhex(given["bytes"])
    try:
        value = s.decode(data)
    except s.Fault:
        raise Fault("E_PAIR_FRAME") from None
    if not isinstance(value, list) or not value or type(value[0]) is not int or value[0] not in MESSAGES:
        raise Fault("E_PAIR_FRAME")
    name, items = MESSAGES[value[0]]
    if len(data) > (1_310_720 if name == "welcome" else 1024) or len(value) != len(items) + 1:
        raise Fault("E_PAIR_FRAME")
    if not all(is_one(item) for is_one, item in zip(items, value[1:])):
        raise Fault("E_PAIR_FRAME")
    return {"message": name}


# --- Course -----------------------------------------------------------------------------------


def course(host, guest, host_nonce, guest_nonce, name, secret):
    parties, name = host + guest, name.encode()
    t = sha(b"allod/pair/1\0", parties, host_nonce, guest_nonce, name)
    digits = int.from_bytes(sha(b"allod/pair/digits/1\0", t)[:8], "big") % 1_000_000
    return {
        "commit": sha(b"allod/pair/commit/1\0", parties, guest_nonce, name).hex(),
        "guest": sha(b"allod/pair/guest/1\0", secret, t).hex(),
        "host": sha(b"allod/pair/host/1\0", secret, t).hex(),
        "digits": f"{digits:06}"[:3] + " " + f"{digits:06}"[3:],
    }


def run_course(given):
    """What a host makes of a guest's messages; `sent` is what the guest says instead of what it should."""
    key = {name: s.public(bytes.fromhex(given[name])) for name in ("host", "guest")}
    nonce = {name: bytes.fromhex(given[name + "_nonce"]) for name in ("host", "guest")}
    good = course(key["host"], key["guest"], nonce["host"], nonce["guest"], given["name"], bytes.fromhex(given["secret"]))
    if any(good[name] != given["sent"].get(name, good[name]) for name in ("commit", "guest")):
        raise Fault("E_PAIR_PROOF")
    return good


# --- Kits and requests (IDENT-45, IDENT-47) ---------------------------------------------------


def kit(agent, secret, version=1):
    said = bytes([version]) + agent + secret
    return grouped(spell(bits_of(said + sha(b"allod/kit/1\0", said)[:5])))


def run_kit(given):
    meant = letters(given["text"], "E_KIT")
    if len(meant) != 112:
        raise Fault("E_KIT")
    data = whole_bytes(meant, "E_KIT")
    said, check = data[:-5], data[-5:]
    if sha(b"allod/kit/1\0", said)[:5] != check:
        raise Fault("E_KIT")
    if said[0] != 1:
        raise Fault("E_KIT_VERSION")
    usable(said[1:33], "E_KIT")
    return {"agent": s.to_did(said[1:33]), "secret": said[33:].hex()}


def request(agent, key, after, prev):
    data = s.encode({"agent": agent, "key": key, "next": after, "prev": prev})
    return "allod-recovery:" + base32(data + sha(data)[:4])


def check_code(value):
    flat = base32(sha(b"allod/recovery-check/1\0", s.encode(value))[:10])[1:]
    return "-".join(flat[at:at + 4] for at in range(0, 16, 4))


def run_request(given):
    shapes = {"agent": bytes, "key": bytes, "next": bytes, "prev": s.Link}
    value = shaped(checked(given["text"], "allod-recovery:", "E_RECOVERY", 4096), shapes, "E_RECOVERY")
    usable(value["agent"], "E_RECOVERY")
    usable(value["key"], "E_RECOVERY")
    if len(value["next"]) != 32:
        raise Fault("E_RECOVERY")
    return {
        "agent": s.to_did(value["agent"]), "key": s.to_did(value["key"]),
        "next": value["next"].hex(), "prev": s.cid_text(value["prev"]), "check": check_code(value),
    }


RUNNERS = {
    "PAIR": {
        "pairing/code.json": run_code,
        "pairing/message.json": run_message,
        "pairing/course.json": run_course,
        "pairing/own.json": run_own,
    },
    "IDENT": {"identity/kit.json": run_kit, "identity/request.json": run_request},
}


def check(vectors_dir):
    """Runs every case. Returns how many passed, and a text for each that did not."""
    passed, failures = 0, []
    for runners in RUNNERS.values():
        done, failed = vectors.check(vectors_dir, runners)
        passed, failures = passed + done, failures + failed
    return passed, failures


def write(vectors_dir):
    import pairing_cases  # beside this file

    for spec, runners in RUNNERS.items():
        vectors.write(vectors_dir, spec, runners, pairing_cases.files(spec))


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
