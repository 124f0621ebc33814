"""A second reading of VIEW: values and index keys, from specs/28-views.md alone. Expressions are in expr.py.

Python 3.10 or later, standard library only. It shares no code with the crates.

    python3 specs/reference/views.py specs/vectors            checks the vectors
    python3 specs/reference/views.py --write specs/vectors    writes number.json, key.json and expr.json
"""

import math
import struct
import sys

import expr
import expr_cases
import vectors
from decimals import need, read_number, write_number
from vectors import Fault


def run_number(given):
    sign, digits, exponent = read_number(given["text"])
    return {"coefficient": sign + digits, "exponent": exponent, "text": write_number(sign, digits, exponent)}


def flip(data):
    return bytes(byte ^ 0xFF for byte in data)


def escaped(data):
    return data.replace(b"\0", b"\0\xff") + b"\0"


def value_key(value):
    (kind, content), = value.items()
    if kind == "null":
        return b"\x00"
    if kind == "boolean":
        return b"\x02" if content else b"\x01"
    if kind == "number":
        sign, digits, exponent = read_number(content)
        if digits == "0":
            return b"\x09"
        point = len(digits) + exponent
        if point % 2:
            digits, point = "0" + digits, point + 1
        digits += "0" * (len(digits) % 2)
        pairs = [2 * int(digits[at : at + 2]) + 1 for at in range(0, len(digits), 2)]
        pairs[-1] -= 1
        body = (0x8000 + point // 2).to_bytes(2, "big") + bytes(pairs)
        return b"\x08" + flip(body) if sign else b"\x0a" + body
    if kind == "float":
        number = struct.unpack(">d", bytes.fromhex(content))[0]
        need(not math.isnan(number), "E_VALUE")
        data = struct.pack(">d", number + 0.0)
        return b"\x10" + (flip(data) if data[0] & 0x80 else bytes([data[0] ^ 0x80]) + data[1:])
    if kind == "timestamp":
        return b"\x18" + (content + 2**63).to_bytes(8, "big")
    if kind == "text":
        return b"\x20" + escaped(content.encode())
    return b"\x28" + escaped(bytes.fromhex(content))


def unescaped(data):
    out = bytearray()
    at = 0
    while True:
        need(at < len(data), "E_INDEX_KEY")
        if data[at]:
            out.append(data[at])
            at += 1
        elif data[at + 1 : at + 2] == b"\xff":
            out.append(0)
            at += 2
        else:
            return bytes(out), data[at + 1 :]


def read_value(data):
    """The value that a key begins with, and the rest."""
    kind, rest = data[0], data[1:]
    if kind == 0:
        return {"null": None}, rest
    if kind in (1, 2):
        return {"boolean": kind == 2}, rest
    if kind == 9:
        return {"number": "0"}, rest
    if kind in (8, 10):
        read = flip(rest) if kind == 8 else rest
        need(len(read) >= 2, "E_INDEX_KEY")
        end = next((at for at in range(2, len(read)) if read[at] % 2 == 0), None)
        need(end is not None and all(byte < 200 for byte in read[2 : end + 1]), "E_INDEX_KEY")
        digits = "".join(f"{byte // 2:02}" for byte in read[2 : end + 1])
        need(digits[:2] != "00" and digits[-2:] != "00", "E_INDEX_KEY")
        point = 2 * (int.from_bytes(read[:2], "big") - 0x8000)
        if digits[0] == "0":
            digits, point = digits[1:], point - 1
        digits = digits.rstrip("0")
        exponent = point - len(digits)
        need(len(digits) <= 38 and -1000 <= exponent <= 1000, "E_INDEX_KEY")
        return {"number": write_number("-" if kind == 8 else "", digits, exponent)}, rest[end + 1 :]
    if kind in (0x10, 0x18):
        need(len(rest) >= 8, "E_INDEX_KEY")
        data, rest = rest[:8], rest[8:]
        if kind == 0x18:
            return {"timestamp": int.from_bytes(data, "big") - 2**63}, rest
        data = bytes([data[0] ^ 0x80]) + data[1:] if data[0] & 0x80 else flip(data)
        number = struct.unpack(">d", data)[0]
        need(not math.isnan(number) and data != struct.pack(">d", -0.0), "E_INDEX_KEY")
        return {"float": data.hex()}, rest
    need(kind in (0x20, 0x28), "E_INDEX_KEY")
    content, rest = unescaped(rest)
    if kind == 0x28:
        return {"bytes": content.hex()}, rest
    try:
        return {"text": content.decode()}, rest
    except UnicodeDecodeError:
        raise Fault("E_INDEX_KEY") from None


def run_key(given):
    if "values" in given:
        return {"key": b"".join(value_key(value) for value in given["values"]).hex()}
    data, values = bytes.fromhex(given["key"]), []
    while data:
        value, data = read_value(data)
        values.append(value)
    return {"values": values}


def numbers():
    def case(name, text, comment, error=None, rule=1):
        return (f"VIEW-{rule}/{'invalid' if error else 'valid'}/{name}", comment, {"text": text}, error)

    for name, text, comment in (
        ("zero", "0", "zero"),
        ("minus-zero", "-0.00e7", "zero with a sign, places and a power"),
        ("one", "1", "one"),
        ("minus", "-12.50", "a zero behind the last place"),
        ("hundred", "100", "a whole number that ends with zeros"),
        ("power", "1.5E+3", "a power with a sign"),
        ("large-power", "0e999999999999999999999", "zero times anything"),
        ("i64", "-9223372036854775808", "the least 64-bit integer"),
    ):
        yield case(name, text, comment)
    for name, text in (
        ("empty", ""), ("plus", "+1"), ("leading", "01"), ("point", "1."), ("no-whole", ".5"), ("blank", " 1"),
        ("nan", "NaN"), ("infinity", "Infinity"), ("hex", "0x10"), ("no-power", "1e"), ("digits", "\u0661"), ("minus", "-"),
    ):
        yield case(name, text, "no number", "E_NUMBER")
    yield case("long", "0." + "0" * 4095, "a text that is too long", "E_NUMBER")
    yield case("long", "0." + "0" * 4094, "the longest text")
    yield case("digits", "9" * 38, "38 digits", rule=2)
    yield case("digits-zeros", "1" + "0" * 60, "one digit and zeros", rule=2)
    yield case("digits", "9" * 39, "39 digits", "E_NUMBER_RANGE", 2)
    yield case("large", "7e1000", "the largest power", rule=2)
    yield case("large", "7e1001", "a larger power", "E_NUMBER_RANGE", 2)
    yield case("small", "7e-1000", "the smallest power", rule=2)
    yield case("small", "7e-1001", "a smaller power", "E_NUMBER_RANGE", 2)
    yield case("least", "1.2e-2147483647", "a power that is the least of 32 bits, once the point is moved", "E_NUMBER_RANGE", 2)
    yield case("huge", "1e99999999999999999999", "a power that is no 64-bit integer", "E_NUMBER_RANGE", 2)
    for name, text in (
        ("plain", "1e37"), ("not-plain", "1e38"), ("point", "12345e-2"), ("least-plain", "12e-7"), ("not-least", "12e-8"),
        ("first", "-1e-7"), ("tenth", "0.1"),
    ):
        yield case(name, text, "the one spelling", rule=3)


def keys():
    def case(name, given, comment, error=None, rule=6):
        return (f"VIEW-{rule}/{'invalid' if error else 'valid'}/{name}", comment, given, error)

    examples = [
        ("null", {"null": None}), ("false", {"boolean": False}), ("true", {"boolean": True}), ("zero", {"number": "0"}),
        ("number", {"number": "12.5"}), ("minus", {"number": "-12.5"}), ("odd", {"number": "1.25"}), ("hundred", {"number": "100"}),
        ("least", {"number": "-1e-1000"}), ("most", {"number": "9" * 38 + "e1000"}),
        ("float", {"float": struct.pack(">d", 1.5).hex()}), ("float-minus", {"float": struct.pack(">d", -1.5).hex()}),
        ("float-infinite", {"float": struct.pack(">d", math.inf).hex()}),
        ("timestamp", {"timestamp": 1_700_000_000_000_000}), ("timestamp-before", {"timestamp": -1}),
        ("text", {"text": "a\0b"}), ("text-none", {"text": ""}), ("text-unicode", {"text": "\u00e4\U0001f600"}), ("bytes", {"bytes": "00ff00"}),
    ]
    for name, value in examples:
        yield case(name, {"values": [value]}, "a value and its key")
        yield case(f"{name}-read", {"key": value_key(value).hex()}, "a key and its value", rule=7)
    yield case("minus-zero", {"values": [{"float": struct.pack(">d", -0.0).hex()}]}, "-0 is 0")
    yield case("several", {"values": [{"text": "a"}, {"number": "1"}, {"null": None}]}, "several values")
    yield case("none", {"values": []}, "no values")
    yield case("nan", {"values": [{"float": struct.pack(">d", math.nan).hex()}]}, "NaN", "E_VALUE", 4)
    for name, key in (
        ("kind", "03"), ("kind-last", "ff"), ("no-digits", "0a8001"), ("no-power", "0a80"), ("open-digits", "0a800119"), ("zero-first", "0a80010164"),
        ("zero-last", "0a80011900"), ("pair", "0a8001c8"), ("digits", "0a8001" + "19" * 19 + "18"), ("power", "0a83e902"), ("minus-zero-last", "087ffee6ff"),
        ("float-short", "1080"), ("float-nan", "10fff8000000000001"), ("float-minus-zero", "107fffffffffffffff"), ("timestamp-short", "1880000000000000"),
        ("text-open", "2061"), ("text-utf8", "20ff00"), ("bytes-open", "2800ff"),
    ):
        yield case(name, {"key": key}, "no key", "E_INDEX_KEY", 7)


RUNNERS = {"views/number.json": run_number, "views/key.json": run_key, "views/expr.json": expr.run}


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    files = [("views/number.json", numbers()), ("views/key.json", keys()), ("views/expr.json", expr_cases.expressions())]
    vectors.write(vectors_dir, "VIEW", RUNNERS, [(name, list(cases)) for name, cases in files])


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
