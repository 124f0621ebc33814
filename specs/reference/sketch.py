"""A second reading of SKETCH, from specs/31-sketch.md alone.

Python 3.10 or later, standard library only. It shares no code with the crates.

    python3 specs/reference/sketch.py specs/vectors            checks the vectors
    python3 specs/reference/sketch.py --write specs/vectors    writes them again, byte for byte

`check(vectors_dir)` returns how many cases passed and a list of what failed.
"""

import hashlib
import math
import sys

import vectors
from vectors import Fault

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
END = 1 << 63


def require(condition):
    if not condition:
        raise Fault("E_SKETCH")


def element(key, entry):
    digest = hashlib.sha256(len(key).to_bytes(4, "big") + key + entry).digest()
    return int.from_bytes(digest[:8], "big")


def mix(x):
    z = (x + GOLDEN) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def indices(x, end):
    """The indices below `end`."""
    seed, index, k = mix(x), 0, 0
    while index < min(end, END):
        yield index
        k += 1
        uniform = float(mix((seed + k * GOLDEN) & WORD))
        step = math.ceil((float(index) + 1.5) * (4294967296.0 / math.sqrt(uniform + 1.0) - 1.0))
        index += max(1, step)


def check_of(x):
    return mix(x ^ WORD) >> 32


# --- numbers ------------------------------------------------------------------------------------


def number(value):
    rest, out = ((value << 1) ^ (value >> 63)) & WORD, bytearray()
    while rest >= 0x80:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def signed(word):
    word &= WORD
    return word - (1 << 64) if word >> 63 else word


def take_number(data):
    rest = 0
    for at in range(10):
        require(at < len(data))
        rest |= (data[at] & 0x7F) << 7 * at
        if data[at] < 0x80:
            require(rest <= WORD and not (at and data[at] == 0))
            return signed((rest >> 1) ^ -(rest & 1)), data[at + 1 :]
    raise Fault("E_SKETCH")


# --- sketches -----------------------------------------------------------------------------------


def symbols_of(elements, first, count, sign=1):
    """[count, sum, check] for each index."""
    symbols = [[0, 0, 0] for _ in range(count)]
    for x in elements:
        for index in indices(x, first + count):
            if index >= first:
                symbol = symbols[index - first]
                symbol[0] += sign
                symbol[1] ^= x
                symbol[2] ^= check_of(x)
    return symbols


def encode(symbols, first, total):
    out = b""
    for index, (count, one, check) in enumerate(symbols, first):
        out += number(signed(count - 2 * total // (index + 2))) + one.to_bytes(8, "big") + check.to_bytes(4, "big")
    return out


def decode(data, first, total):
    symbols = []
    while data:
        count, data = take_number(data)
        require(len(data) >= 12)
        count = signed(count + 2 * total // (first + len(symbols) + 2))
        symbols.append([count, int.from_bytes(data[:8], "big"), int.from_bytes(data[8:12], "big")])
        data = data[12:]
    return symbols


def difference(symbols, own):
    """What the one set and the other have alone; None if the symbols are not enough."""
    for index, (count, one, check) in enumerate(symbols_of(own, 0, len(symbols))):
        symbol = symbols[index]
        symbol[0], symbol[1], symbol[2] = symbol[0] - count, symbol[1] ^ one, symbol[2] ^ check
    theirs, ours = [], []
    moved = True
    while moved:
        moved = False
        for count, one, check in [list(symbol) for symbol in symbols]:
            if count not in (1, -1) or check != check_of(one) or [count, one, check] not in symbols:
                continue
            if len(theirs) + len(ours) >= len(symbols):
                return None
            (theirs if count == 1 else ours).append(one)
            for index in indices(one, len(symbols)):
                symbol = symbols[index]
                symbol[0], symbol[1], symbol[2] = symbol[0] - count, symbol[1] ^ one, symbol[2] ^ check
            moved = True
    if not symbols or any(symbol != [0, 0, 0] for symbol in symbols):
        return None
    return sorted(theirs), sorted(ours)


def estimate(elements, count):
    counters = [0] * count
    for x in elements:
        for at in range(count):
            bits = mix(x ^ ((0x5555555555555555 + at // 64 * GOLDEN) & WORD))
            counters[at] += 1 if bits >> at % 64 & 1 else -1
    return counters


def read_estimate(data, count):
    counters = []
    for _ in range(count):
        count, data = take_number(data)
        counters.append(count)
    require(not data)
    return counters


# --- cases --------------------------------------------------------------------------------------


def words(texts):
    return [int(text, 16) for text in texts]


def texts(elements):
    return [f"{x:016x}" for x in elements]


def run_element(given):
    x = element(bytes.fromhex(given["key"]), bytes.fromhex(given["entry"]))
    return {"element": f"{x:016x}"}


def run_symbols(given):
    first, count, elements = given["first"], given["count"], words(given["elements"])
    return {"bytes": encode(symbols_of(elements, first, count), first, len(elements)).hex()}


def run_difference(given):
    symbols = decode(bytes.fromhex(given["bytes"]), 0, given["total"])
    found = difference(symbols, words(given["own"]))
    return {"difference": found and {"theirs": texts(found[0]), "ours": texts(found[1])}}


def run_estimate(given):
    count, data = given["counters"], bytes.fromhex(given["bytes"])
    own, theirs = estimate(words(given["own"]), count), read_estimate(data, count)
    about = sum((one - other) ** 2 for one, other in zip(own, theirs)) // count
    encoded = b"".join(map(number, own))
    return {"own": encoded.hex(), "difference": min(about, WORD)}


RUNNERS = {
    "sketch/element.json": run_element,
    "sketch/symbols.json": run_symbols,
    "sketch/difference.json": run_difference,
    "sketch/estimate.json": run_estimate,
}


def some(name, count):
    return [element(f"{name} {n}".encode(), b"entry") for n in range(count)]


def files():
    def one(rule, kind, name, comment, given, error=None):
        return (f"{rule}/{kind}/{name}", comment, given, error)

    def entry(name, key, value, comment):
        return one("SKETCH-1", "valid", name, comment, {"key": key.hex(), "entry": value.hex()})

    yield "sketch/element.json", [
        entry("nothing", b"", b"", "neither key nor entry"),
        entry("entry", b"key", b"\x82\x01\x40", "a key and an entry"),
        entry("split", b"ke", b"y\x82\x01\x40", "the same bytes, divided elsewhere"),
        entry("long", b"k" * 300, b"e" * 1000, "a key whose length has two bytes"),
    ]

    def symbols(name, elements, first, count, comment):
        given = {"elements": texts(elements), "first": first, "count": count}
        return one("SKETCH-5", "valid", name, comment, given)

    yield "sketch/symbols.json", [
        symbols("none", [], 0, 3, "the empty set"),
        symbols("no-symbols", some("a", 3), 5, 0, "no symbols"),
        symbols("one", some("a", 1), 0, 64, "one element"),
        symbols("zero", [0, WORD], 0, 64, "the least element and the greatest"),
        symbols("many", some("a", 100), 0, 40, "a hundred elements"),
        symbols("later", some("a", 100), 40, 40, "those that follow"),
        symbols("far", some("a", 40), 1_000_000, 30, "indices at a distance"),
    ]

    def between(name, theirs, own, count, comment, error=None, data=None):
        data = encode(symbols_of(theirs, 0, count), 0, len(theirs)) if data is None else data
        given = {"bytes": data.hex(), "total": len(theirs), "own": texts(own)}
        return one("SKETCH-7", "invalid" if error else "valid", name, comment, given, error)

    shared = some("shared", 30)
    whole = encode(symbols_of(shared, 0, 4), 0, 30)
    yield "sketch/difference.json", [
        between("equal", shared, shared, 2, "equal sets"),
        between("nothing", [], [], 1, "empty sets"),
        between("no-symbols", [], [], 0, "no symbols say nothing"),
        between("theirs", shared + some("t", 1), shared, 8, "one element that is theirs"),
        between("ours", shared, shared + some("o", 1), 8, "one that is ours"),
        between("both", shared + some("t", 9), shared + some("o", 5), 48, "some of each"),
        between("few", shared + some("t", 9), shared + some("o", 5), 12, "too few symbols"),
        between("all", some("t", 20), some("o", 20), 120, "sets without anything in common"),
        between("count", [0], [], 16, "the element 0 is one"),
        between("endless", [], [], 0, "symbols that would go on for ever", data=endless()),
        between("cut", shared, shared, 4, "a symbol that is cut", "E_SKETCH", whole[:-1]),
        between("number-long", [], [], 1, "a count that is not the shortest", "E_SKETCH", b"\x80\x00" + bytes(12)),
        between("number-wide", [], [], 1, "a count of 65 bits", "E_SKETCH", b"\xff" * 9 + b"\x02" + bytes(12)),
        between("number-endless", [], [], 1, "a count of eleven bytes", "E_SKETCH", b"\xff" * 11 + bytes(12)),
    ]

    def about(name, theirs, own, comment, error=None, data=None, count=128):
        data = b"".join(map(number, estimate(theirs, count))) if data is None else data
        given = {"own": texts(own), "counters": count, "bytes": data.hex()}
        return one("SKETCH-6", "invalid" if error else "valid", name, comment, given, error)

    most = number(-(1 << 63))
    yield "sketch/estimate.json", [
        about("equal", shared, shared, "equal sets"),
        about("some", shared + some("t", 9), shared + some("o", 5), "some of each"),
        about("empty", [], some("o", 100), "an empty set and one of a hundred"),
        about("greatest", [], [], "the greatest numbers", data=most * 64, count=64),
        about("sixteen", shared + some("t", 9), shared, "sixteen counters", count=16),
        about("two-words", shared + some("t", 9), shared, "a counter in a second word", count=65),
        about("fewer", [], [], "a counter too few", "E_SKETCH", bytes(127)),
        about("more", [], [], "a counter too many", "E_SKETCH", bytes(129)),
    ]


def endless():
    """Two symbols that give each other the same element, again and again."""
    x = next(x for x in some("e", 100) if list(indices(x, 2)) == [0, 1])
    return encode([[1, x, check_of(x)], [0, 0, 0]], 0, 0)


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    vectors.write(vectors_dir, "SKETCH", RUNNERS, list(files()))


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
