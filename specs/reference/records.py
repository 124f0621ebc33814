"""A second reading of TYPE: definitions, records under them, and JSON Schema, from specs/28-types.md alone.

Python 3.10 or later, standard library only. It shares no code with the crates; expressions are read by expr.py and
DAG-CBOR by statement.py beside this file.

    python3 specs/reference/records.py specs/vectors            checks the vectors
    python3 specs/reference/records.py --write specs/vectors    writes types/*.json
"""

import base64
import binascii
import datetime
import json
import math
import re
import sys

import expr
import jsontext
import statement as s
import vectors
from decimals import need
from vectors import Fault

DEFINITION_BYTES_MAX, FIELDS_MAX, RECORD_BYTES_MAX = 65_536, 256, 1 << 20
TYPE = {"check": (str, type(None)), "closed": bool, "fields": list, "received": str}
FIELD = {
    "check": (str, type(None)), "default": (str, type(None)), "kind": str, "list": bool,
    "name": str, "required": bool, "unique": bool, "was": list,
}  # fmt: skip
KINDS = ["string", "number", "integer", "float", "boolean", "timestamp", "bytes"]
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
RECEIVED = ["flag", "quarantine", "refuse"]
NULL = expr.NULL


# Reading (TYPE-4 to TYPE-6)


class Unreadable(Exception):
    pass


def must(condition):
    if not condition:
        raise Unreadable


def read_list(part, kind):
    must(part[0] == "array")
    return ("list", [read_one(item, kind) for item in part[1]], part[2])


def read_field(part, field):
    """A value, or a list of values with its text."""
    if part[0] == "null":
        return NULL
    return read_list(part, field["kind"]) if field["list"] else read_one(part, field["kind"])


def exact(text):
    try:
        return ("number", expr.number_of(text, "E_NUMBER"))
    except Fault:
        raise Unreadable from None


MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6}))?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
EPOCH = datetime.datetime(1970, 1, 1)


def moment(text):
    match = MOMENT.fullmatch(text)
    must(match)
    date, clock, fraction, offset = match.groups()
    try:
        when = datetime.datetime.strptime(f"{date} {clock}", "%Y-%m-%d %H:%M:%S")
    except ValueError:
        raise Unreadable from None
    # A second 60 is one for the library, and none here.
    must(not clock.endswith(("60", "61")))
    minutes = 0
    if offset not in "Zz":
        hours, rest = int(offset[1:3]), int(offset[4:6])
        must(hours < 24 and rest < 60)
        minutes = (hours * 60 + rest) * (-1 if offset[0] == "-" else 1)
    seconds = (when - EPOCH) // datetime.timedelta(seconds=1) - minutes * 60
    return ("timestamp", seconds * 1_000_000 + int((fraction or "0").ljust(6, "0")))


def from_base64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable from None
    # Only what would be written.
    must(base64.b64encode(data).decode() == text)
    return ("bytes", data)


def read_one(part, kind):
    of, content, _ = part
    if kind in ("number", "integer", "float"):
        must(of == "number")
        if kind == "float":
            found = float(content) + 0.0
            must(math.isfinite(found))
            return ("float", found)
        found = exact(content)
        must(kind == "number" or found[1].denominator == 1)
        return found
    if kind == "boolean":
        must(of == "boolean")
        return ("boolean", content)
    must(of == "string" and content is not None)
    if kind == "timestamp":
        return moment(content)
    return from_base64(content) if kind == "bytes" else ("text", content)


def untyped(part):
    """TYPE-6."""
    kind, content, text = part
    if kind in ("null", "boolean"):
        return (kind, content)
    if kind == "string":
        return NULL if content is None else ("text", content)
    if kind == "number":
        try:
            return exact(content)
        except Unreadable:
            pass
    return ("text", text)


def members(part):
    """The fields of an object, none if it is no object or has a name twice (TYPE-5)."""
    if part[0] != "object":
        return None
    found = dict(part[1])
    return found if len(found) == len(part[1]) and None not in found else None


class Record:
    """What `expr.compute` asks for fields."""

    def __init__(self, data, definition=None):
        try:
            need(len(data) <= RECORD_BYTES_MAX, "E_RECORD")
            self.fields = members(jsontext.parse(data.decode()))
            need(self.fields is not None, "E_RECORD")
        except (UnicodeDecodeError, jsontext.NoJson):
            raise Fault("E_RECORD") from None
        self.definition = definition

    def read(self, field):
        """TYPE-4; fails if it cannot be read."""
        for name in [field["name"], *reversed(field["was"])]:
            if name in self.fields:
                return read_field(self.fields[name], field)
        return NULL if field["default"] is None else read_field(jsontext.parse(field["default"]), field)

    def datum(self, names):
        field = next((field for field in self.definition["fields"] if [field["name"]] == names), None) if self.definition else None
        if field:
            try:
                return self.read(field)
            except Unreadable:
                return NULL
        fields, part = self.fields, None
        for name in names:
            part = (fields or {}).get(name)
            if part is None:
                return NULL
            fields = members(part)
        return untyped(part)

    def get(self, path, _default=None):
        found = self.datum(list(expr.parse(path)[1:]))
        # A list is its text.
        return ("text", found[2]) if found[0] == "list" else found

    def broken(self):
        """TYPE-7, but for uniqueness: names of fields that break it, and None for the record itself."""
        found = set()
        for field in self.definition["fields"]:
            try:
                if self.read(field) == NULL and field["required"]:
                    found.add(field["name"])
            except Unreadable:
                found.add(field["name"])
            if field["check"] is not None and self.fails(field["check"]):
                found.add(field["name"])
        if self.definition["closed"]:
            known = {name for field in self.definition["fields"] for name in [field["name"], *field["was"]]}
            found |= set(self.fields) - known
        if self.definition["check"] is not None and self.fails(self.definition["check"]):
            found.add(None)
        return found

    def fails(self, check):
        """Whether it is false, or cannot be computed."""
        try:
            return expr.truth(expr.compute(expr.parse(check), self)) is False
        except Fault:
            return True


# Definitions (TYPE-1)


def shaped(value, shape, code):
    """A map with these members, each of its type."""
    need(type(value) is dict and set(value) == set(shape), code)
    for name, of in shape.items():
        need(type(value[name]) in (of if type(of) is tuple else (of,)), code)


def texts(value, code):
    need(type(value) is list and all(type(one) is str for one in value), code)
    return value


def is_kind(text):
    return text in KINDS or (text.startswith("ref:") and bool(NAME.fullmatch(text[4:])))


def is_field_name(name):
    odd = any(ord(c) < 32 or 127 <= ord(c) < 160 or c in '."' for c in name)
    return 1 <= len(name.encode()) <= 128 and not odd


def fields_of(node):
    if node[0] == "field":
        yield node[1:]
    for part in expr.parts(node):
        yield from fields_of(part)


def check_expression(text, names):
    try:
        node = expr.parse(text)
    except Fault:
        raise Fault("E_TYPE") from None
    need(all(path[0] in names for path in fields_of(node)), "E_TYPE")


def check_default(field):
    if field["default"] is None:
        return
    try:
        found = read_field(jsontext.parse(field["default"]), field)
    except (Unreadable, jsontext.NoJson):
        raise Fault("E_TYPE") from None
    need(found != NULL or not field["required"], "E_TYPE")


def check_definition(definition):
    shaped(definition, TYPE, "E_TYPE")
    fields = definition["fields"]
    need(1 <= len(fields) <= FIELDS_MAX and definition["received"] in RECEIVED, "E_TYPE")
    seen = []
    for field in fields:
        shaped(field, FIELD, "E_TYPE")
        need(is_kind(field["kind"]), "E_TYPE")
        seen += [field["name"], *texts(field["was"], "E_TYPE")]
    need(all(map(is_field_name, seen)) and len(set(seen)) == len(seen), "E_TYPE")
    names = {field["name"] for field in fields}
    for field in fields:
        check_default(field)
    for check in [definition["check"], *(field["check"] for field in fields)]:
        if check is not None:
            check_expression(check, names)
    need(len(s.encode(definition)) <= DEFINITION_BYTES_MAX, "E_TYPE")
    return definition


def decoded(data, code):
    try:
        need(len(data) <= DEFINITION_BYTES_MAX, code)
        return s.decode(data)
    except s.Fault:
        raise Fault(code) from None


# Changes (TYPE-9)


def check_change(before, after, drop):
    def lacks_default(field):
        return field["default"] is None or read_field(jsontext.parse(field["default"]), field) == NULL

    code, taken = "E_TYPE_NARROWED", set()
    names = {field["name"] for field in before["fields"]}
    for field in before["fields"]:
        next_one = next((one for one in after["fields"] if field["name"] in [one["name"], *one["was"]]), None)
        if next_one is None:
            need(drop, code)
            continue
        now = {next_one["name"], *next_one["was"]}
        need(drop or (set(field["was"]) <= now and next_one["name"] not in taken), code)
        taken.add(next_one["name"])
        need(field["list"] == next_one["list"], code)
        need(field["kind"] == next_one["kind"] or (field["kind"], next_one["kind"]) == ("integer", "number"), code)
        was_so = field["required"] and lacks_default(field)
        need(not next_one["required"] or not lacks_default(next_one) or was_so, code)
    for field in after["fields"]:
        is_new = not names & {field["name"], *field["was"]}
        need(not (is_new and field["required"] and lacks_default(field)), code)
    need(before["closed"] or not after["closed"] or drop, code)


# JSON Schema (TYPE-20)

ANNOTATIONS = {"$schema", "$id", "$comment", "title", "description", "examples", "deprecated"}
OF_KIND = {"type", "format", "contentEncoding", "x-allod-kind", "x-allod-ref"}
BOUNDS = {"minimum": ">=", "maximum": "<=", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
LENGTHS = {"minLength": ">=", "maxLength": "<="}


def kind_of(schema):
    said = {word: schema[word] for word in OF_KIND if word in schema}
    for kind in KINDS:
        if said == {
            "float": {"type": "number", "x-allod-kind": "float"},
            "timestamp": {"type": "string", "format": "date-time"},
            "bytes": {"type": "string", "contentEncoding": "base64"},
        }.get(kind, {"type": kind}):
            return kind
    need(set(said) == {"type", "x-allod-ref"} and said["type"] == "string", "E_TYPE")
    return f"ref:{said['x-allod-ref']}"


def is_number(value):
    return type(value) in (int, float)


def literal(value, kind):
    """A value of a field as an expression has it."""
    if kind == "boolean":
        need(type(value) is bool, "E_TYPE")
        return str(value).upper()
    if kind in ("number", "integer", "float"):
        need(is_number(value), "E_TYPE")
        return f"CAST({value} AS float)" if kind == "float" else str(value)
    need(type(value) is str and kind not in ("timestamp", "bytes"), "E_TYPE")
    return expr.quote(value)


def checks_of(name, kind, schema):
    """One of each keyword, in the order of the page."""
    field = expr.quote(name, '"')
    for word, sign in BOUNDS.items():
        if word in schema:
            need(kind in ("number", "integer", "float"), "E_TYPE")
            yield f"{field} {sign} {literal(schema[word], kind)}"
    for word, sign in LENGTHS.items():
        if word in schema:
            size = schema[word]
            need((kind == "string" or kind.startswith("ref:")) and type(size) is int and 0 <= size < 1 << 64, "E_TYPE")
            yield f"length({field}) {sign} {size}"
    if "enum" in schema:
        need(type(schema["enum"]) is list, "E_TYPE")
        yield f"{field} IN ({', '.join(literal(one, kind) for one in schema['enum'])})"
    if "const" in schema:
        yield f"{field} = {literal(schema['const'], kind)}"
    if "x-allod-check" in schema:
        need(type(schema["x-allod-check"]) is str, "E_TYPE")
        yield schema["x-allod-check"]


def joined(checks):
    if not checks:
        return None
    try:
        # Each is one by itself: it could close a bracket of others.
        for check in checks:
            expr.parse(check)
        return expr.spell(expr.parse(f"({') AND ('.join(checks)})"))
    except Fault:
        raise Fault("E_TYPE") from None


def field_of(name, schema):
    need(type(schema) is dict, "E_TYPE")
    is_list = schema.get("type") == "array"
    known = ANNOTATIONS | {"default", "x-allod-unique", "x-allod-was", "x-allod-check"}
    if is_list:
        items = schema.get("items")
        need(type(items) is dict and set(items) <= OF_KIND | ANNOTATIONS, "E_TYPE")
        kind, checks = kind_of(items), [check for check in [schema.get("x-allod-check")] if check is not None]
        need(all(type(check) is str for check in checks), "E_TYPE")
        known |= {"type", "items"}
    else:
        kind = kind_of(schema)
        checks = list(checks_of(name, kind, schema))
        known |= OF_KIND | BOUNDS.keys() | LENGTHS.keys() | {"enum", "const"}
    need(set(schema) <= known and type(schema.get("x-allod-unique", False)) is bool, "E_TYPE")
    default = None
    if "default" in schema:
        default = json.dumps(schema["default"], ensure_ascii=False, separators=(",", ":"))
    return {
        "check": joined(checks), "default": default, "kind": kind, "list": is_list, "name": name,
        "required": False, "unique": schema.get("x-allod-unique", False), "was": texts(schema.get("x-allod-was", []), "E_TYPE"),
    }  # fmt: skip


def from_schema(schema):
    need(type(schema) is dict, "E_TYPE")
    known = {"type", "properties", "required", "additionalProperties", "x-allod-check", "x-allod-received"}
    need(set(schema) <= ANNOTATIONS | known and schema.get("type", "object") == "object", "E_TYPE")
    properties = schema.get("properties", {})
    need(type(properties) is dict, "E_TYPE")
    required = texts(schema.get("required", []), "E_TYPE")
    need(set(required) <= set(properties), "E_TYPE")
    open_one, check = schema.get("additionalProperties", True), schema.get("x-allod-check", "TRUE")
    need(type(open_one) is bool and type(check) is str, "E_TYPE")
    fields = [field_of(name, properties[name]) for name in sorted(properties, key=str.encode)]
    for field in fields:
        field["required"] = field["name"] in required
    return check_definition(
        {
            "check": joined([check]) if "x-allod-check" in schema else None,
            "closed": not open_one,
            "fields": fields,
            "received": schema.get("x-allod-received", "flag"),
        }
    )


# Vectors


def written(found):
    if found[0] == "list":
        return {"list": [expr.written(one) for one in found[1]], "text": found[2]}
    return expr.written(found)


def bytes_of(given):
    """A record: its text, with spaces behind it, or its bytes."""
    if "bytes" in given:
        return bytes.fromhex(given["bytes"])
    return given["text"].encode() + b" " * given.get("spaces", 0)


def run_definition(given):
    return check_definition(decoded(bytes.fromhex(given["bytes"]), "E_TYPE"))


def run_record(given):
    definition = check_definition(given["definition"]) if given["definition"] else None
    record = Record(bytes_of(given), definition)
    fields = {path: written(record.datum(list(expr.parse(path)[1:]))) for path in given["paths"]}
    broken = record.broken() if definition else set()
    return {"fields": fields, "broken": sorted(broken - {None}, key=str.encode), "whole": None not in broken}


def run_change(given):
    check_change(check_definition(given["before"]), check_definition(given["after"]), given["drop"])
    return {}


def run_schema(given):
    return from_schema(given["schema"])


RUNNERS = {
    "types/definition.json": run_definition,
    "types/record.json": run_record,
    "types/change.json": run_change,
    "types/schema.json": run_schema,
}


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    import records_cases

    vectors.write(vectors_dir, "TYPE", RUNNERS, records_cases.files())


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
