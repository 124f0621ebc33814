"""A second reading of EVENT-20 to EVENT-32, from specs/33-events.md and the specifications of Avro and Protobuf alone.

Python 3.10 or later, standard library only. It shares no code with the crates.

    python3 specs/reference/payloads.py specs/vectors            checks the vectors
    python3 specs/reference/payloads.py --write specs/vectors    writes them again, byte for byte

`check(vectors_dir)` returns how many cases passed and a list of what failed.
"""

import json
import re
import struct
import sys

import vectors


# --- names --------------------------------------------------------------------------------------


def unique_names(names):
    unique, taken = [], set()
    for name in names:
        name = "".join(c if re.fullmatch(r"[A-Za-z0-9]", c) else "_" for c in name)
        if not name or name[0].isdigit():
            name = "_" + name
        own, count = name, 2
        while own.replace("_", "").lower() in taken:
            own, count = f"{name}_{count}", count + 1
        taken.add(own.replace("_", "").lower())
        unique.append(own)
    return unique


# --- Avro ---------------------------------------------------------------------------------------

AVRO = {"boolean": "boolean", "integer": "long", "float": "double", "text": "string", "bytes": "bytes"}


def avro_kind(field, canonical):
    if field["kind"] == "record":
        kind = avro_schema(field, canonical)
    elif field["kind"] == "timestamp":
        kind = "long" if canonical else {"type": "long", "logicalType": "timestamp-micros"}
    else:
        kind = AVRO[field["kind"]]
    if field["list"]:
        kind = {"type": "array", "items": kind}
    return ["null", kind] if field["optional"] else kind


def avro_schema(shape, canonical=False):
    """The schema, or its canonical form: names first, and nothing that does not matter."""
    fields = []
    for field in shape["fields"]:
        own = {"name": field["name"], "type": avro_kind(field, canonical)}
        if field["optional"] and not canonical:
            own["default"] = None
        fields.append(own)
    if canonical:
        return {"name": shape["shape"], "type": "record", "fields": fields}
    return {"type": "record", "name": shape["shape"], "fields": fields}


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def crc_64_avro(text):
    empty = 0xC15D213AA4D7A795
    table = []
    for entry in range(256):
        for _ in range(8):
            entry = (entry >> 1) ^ (empty if entry & 1 else 0)
        table.append(entry)
    sum_ = empty
    for byte in text.encode():
        sum_ = (sum_ >> 8) ^ table[(sum_ ^ byte) & 0xFF]
    return sum_.to_bytes(8, "little")


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def zigzag(number):
    return varint((number << 1 ^ number >> 63) & (1 << 64) - 1)


def raw(field, value):
    return bytes.fromhex(value) if field["kind"] == "bytes" else value.encode()


def avro_one(field, value):
    match field["kind"]:
        case "record":
            return avro_datum(field, value)
        case "boolean":
            return bytes([value])
        case "integer" | "timestamp":
            return zigzag(value)
        case "float":
            return struct.pack("<d", value)
    data = raw(field, value)
    return zigzag(len(data)) + data


def avro_datum(shape, record):
    out = b""
    for field, value in zip(shape["fields"], record):
        if field["optional"]:
            out += zigzag(0 if value is None else 1)
            if value is None:
                continue
        if field["list"]:
            if value:
                out += zigzag(len(value)) + b"".join(avro_one(field, one) for one in value)
            out += zigzag(0)
        else:
            out += avro_one(field, value)
    return out


# --- Protobuf -----------------------------------------------------------------------------------

PROTO = {
    "boolean": "bool",
    "integer": "int64",
    "timestamp": "int64",
    "float": "double",
    "text": "string",
    "bytes": "bytes",
}


def proto_message(shape, depth):
    name = shape["shape"].rsplit(".", 1)[1]
    yield "  " * depth + f"message {name} {{"
    for field in shape["fields"]:
        if field["kind"] == "record":
            yield from proto_message(field, depth + 1)
    for number, field in enumerate(shape["fields"], 1):
        label = "repeated " if field["list"] else "optional " if field["optional"] else ""
        kind = f".{field['shape']}" if field["kind"] == "record" else PROTO[field["kind"]]
        yield "  " * (depth + 1) + f"{label}{kind} {field['name']} = {number};"
    yield "  " * depth + "}"


def proto_text(shape):
    package = shape["shape"].rsplit(".", 1)[0]
    return f'syntax = "proto3";\npackage {package};\n\n' + "\n".join(proto_message(shape, 0)) + "\n"


def proto_value(field, value):
    """The wire type of a value, and its bytes."""
    match field["kind"]:
        case "boolean":
            return 0, varint(int(value))
        case "integer" | "timestamp":
            return 0, varint(value & (1 << 64) - 1)
        case "float":
            return 1, struct.pack("<d", value)
        case "record":
            data = proto_datum(field, value)
        case _:
            data = raw(field, value)
    return 2, varint(len(data)) + data


def is_default(field, value):
    return field["kind"] != "record" and value in (False, 0, "") and not (field["kind"] == "float" and str(value) == "-0.0")


def proto_datum(shape, record):
    out = b""
    for number, (field, value) in enumerate(zip(shape["fields"], record), 1):
        if value is None:
            continue
        if field["list"] and field["kind"] in ("boolean", "integer", "timestamp", "float"):
            # Numbers of a list are packed.
            packed = b"".join(proto_value(field, one)[1] for one in value)
            if packed:
                out += varint(number << 3 | 2) + varint(len(packed)) + packed
            continue
        for one in value if field["list"] else [value]:
            if not field["list"] and not field["optional"] and is_default(field, one):
                continue
            wire, data = proto_value(field, one)
            out += varint(number << 3 | wire) + data
    return out


# --- runners ------------------------------------------------------------------------------------


def run_record(given):
    avro, proto = avro_datum(given, given["record"]), proto_datum(given, given["record"])
    number = given["registered"].to_bytes(4, "big")
    crc = crc_64_avro(compact(avro_schema(given, canonical=True)))
    return {
        "avro_schema": compact(avro_schema(given)),
        "avro": avro.hex(),
        "avro_single": (b"\xc3\x01" + crc + avro).hex(),
        "avro_registered": (b"\x00" + number + avro).hex(),
        "protobuf_schema": proto_text(given),
        "protobuf": proto.hex(),
        "protobuf_registered": (b"\x00" + number + b"\x00" + proto).hex(),
    }


RUNNERS = {
    "events/names.json": lambda given: {"unique": unique_names(given["names"])},
    "events/record.json": run_record,
}


# --- cases --------------------------------------------------------------------------------------


def names_cases():
    for name, comment, names in [
        ("plain", "names that are identifiers stay", ["a", "Bc", "d_1", "_e"]),
        ("spelled", "other characters become _", ["a b", "c.d", "\u00e9", "e-f\U0001f600"]),
        ("digit", "a name that begins with a digit, or is empty", ["1st", ""]),
        ("same", "names that become the same", ["a b", "a.b", "a-b"]),
        ("case", "names that differ by case or _ alone", ["name", "Name", "na_me", "_name"]),
        ("taken", "a name that was made already", ["a", "A", "a_2"]),
    ]:
        yield (f"EVENT-20/valid/{name}", comment, {"names": names}, None)


def field(name, kind, shape=None, fields=None, **more):
    own = {"name": name, "kind": kind, "list": False, "optional": False} | more
    return own if shape is None else own | {"shape": shape, "fields": fields}


def record_cases():
    def case(rule, name, comment, fields, record, registered=1):
        given = {"shape": "org.example.A", "fields": fields, "record": record, "registered": registered}
        return (f"{rule}/valid/{name}", comment, given, None)

    yield case("EVENT-23", "empty", "a record without fields", [], [])
    kinds = [
        ("boolean", True, False),
        ("integer", -(1 << 63), 0),
        ("timestamp", 1_767_323_045_000_001, 0),
        ("float", -1.5, 0.0),
        ("text", "\u00e9", ""),
        ("bytes", "00ff", ""),
    ]
    for kind, value, default in kinds:
        yield case("EVENT-23", kind, "a value", [field("a", kind)], [value])
        yield case("EVENT-30", f"{kind}-default", "what Protobuf does not write", [field("a", kind)], [default])
        optional = [field("a", kind, optional=True)]
        yield case("EVENT-30", f"{kind}-optional", "the same, that need not be there", optional, [default])
        yield case("EVENT-30", f"{kind}-none", "none", optional, [None])
        many = [field("a", kind, list=True)]
        yield case("EVENT-23", f"{kind}-list", "a list", many, [[value, default]])
        yield case("EVENT-23", f"{kind}-no-list", "an empty list", many, [[]])
    both = [field("a", "text", list=True, optional=True)]
    yield case("EVENT-22", "list-none", "a list that is none", both, [None])
    yield case("EVENT-22", "list-there", "and one that is there", both, [["x"]])
    inner = [field("x", "integer"), field("y", "text", optional=True)]
    yield case("EVENT-23", "record", "a record in it", [field("a", "record", "org.example.A.B", inner)], [[1, None]])
    nested = [field("a", "record", "org.example.A.B", inner, list=True), field("z", "boolean")]
    yield case("EVENT-23", "records", "several", nested, [[[1, None], [0, ""]], True])
    yield case("EVENT-32", "number", "a number of four bytes", [field("a", "text")], ["x"], registered=0xFFFFFFFF)


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    written = [("events/names.json", names_cases()), ("events/record.json", record_cases())]
    vectors.write(vectors_dir, "EVENT", RUNNERS, written)


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
