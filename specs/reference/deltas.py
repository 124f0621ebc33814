"""A second reading of DELTA, from specs/50-deltas.md alone.

Python 3.10 or later, standard library only. It shares no code with the crates.

    python3 specs/reference/deltas.py specs/vectors            checks the vectors
    python3 specs/reference/deltas.py --write specs/vectors    writes them again, byte for byte

`check(vectors_dir)` returns how many cases passed and a list of what failed.
"""

import hashlib
import json
import math
import struct
import sys
from fractions import Fraction

import deltas_cases
import jsontext
import statement
import vectors
from vectors import Fault

BYTES_MAX, POINTERS_MAX, NAME_MAX, DEPTH_MAX, EXTRAS_MAX = 262_144, 4096, 512, 32, 64
EXACT = 2**53


def require(condition, code):
    if not condition:
        raise Fault(code)


# --- numbers (DELTA-3, DELTA-4) -------------------------------------------------------------------


def number_text(value):
    """The text of ECMAScript (Number::toString) from the shortest digits, which are those of repr."""
    if value == 0:
        return "0"
    sign, value = ("-", -value) if value < 0 else ("", value)
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # The value is 0.digits * 10^n.
    n = len(whole) + int(exponent or 0) - (len(whole + fraction) - len((whole + fraction).lstrip("0")))
    digits = digits.rstrip("0")
    k = len(digits)
    if k <= n <= 21:
        text = digits + "0" * (n - k)
    elif 0 < n <= 21:
        text = digits[:n] + "." + digits[n:]
    elif -6 < n <= 0:
        text = "0." + "0" * -n + digits
    else:
        e = n - 1
        text = digits[0] + ("." + digits[1:] if k > 1 else "") + "e" + ("+" if e > 0 else "-") + str(abs(e))
    return sign + text


def number(text):
    value = float(text)
    require(math.isfinite(value), "E_DELTA_NUMBER")
    value = value + 0.0 if value else 0.0
    digits = text.removeprefix("-")
    if digits.isdigit() and abs(value) >= EXACT:
        require(text == number_text(value) or Fraction(text) == Fraction(value), "E_DELTA_NUMBER")
    return value


# --- JSON -----------------------------------------------------------------------------------------


def is_shallow(text):
    depth, in_string, escaped = 0, False, False
    for c in text:
        if in_string and escaped:
            escaped = False
        elif in_string and c == "\\":
            escaped = True
        elif c == '"':
            in_string = not in_string
        elif not in_string and c in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                return False
        elif not in_string and c in "]}":
            depth -= 1
    return True


def members(part, code):
    """The members of an object, which has none of them twice."""
    kind, content, _ = part
    require(kind == "object" and all(name is not None for name, _ in content), code)
    found = dict(content)
    require(len(found) == len(content), code)
    return found


def text_of(part, code):
    require(part and part[0] == "string" and part[1] is not None, code)
    return part[1]


def name_of(part, code="E_DELTA_FIELD"):
    text = text_of(part, code)
    require(0 < len(text.encode()) <= NAME_MAX and "\0" not in text, "E_DELTA_FIELD")
    return text


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def extras_of(found):
    require(len(found) <= EXTRAS_MAX, "E_DELTA_SIZE")
    return {name: part[2] for name, part in found.items()}


def written(extras):
    return "".join(f",{quoted(name)}:{extras[name]}" for name in sorted(extras, key=str.encode))


# --- deltas ---------------------------------------------------------------------------------------


def read_target(part):
    require(part, "E_DELTA_TARGET")
    kind, content, _ = part
    if kind == "string":
        return {"text": text_of(part, "E_DELTA_FIELD")}
    if kind == "number":
        return {"number": number(content)}
    if kind == "boolean":
        return {"bool": content}
    require(kind == "object", "E_DELTA_TARGET")
    found = members(part, "E_DELTA_TARGET")
    target = {"id": name_of(found.pop("id", None))}
    if "context" in found:
        target["context"] = name_of(found.pop("context"))
    target["extras"] = extras_of(found)
    return target


def read_pointer(part):
    found = members(part, "E_DELTA_FIELD")
    role = text_of(found.pop("role", None), "E_DELTA_FIELD")
    target = found.pop("target", None)
    require(target, "E_DELTA_TARGET")
    return {"role": name_of(("string", role, "")), "target": read_target(target), "extras": extras_of(found)}


def read(text):
    require(len(text.encode()) <= BYTES_MAX, "E_DELTA_SIZE")
    require(is_shallow(text), "E_DELTA_JSON")
    try:
        part = jsontext.parse(text)
    except jsontext.NoJson:
        raise Fault("E_DELTA_JSON")
    found = members(part, "E_DELTA_JSON")
    identity = text_of(found.pop("id", None), "E_DELTA_FIELD")
    time = found.pop("timestamp", None)
    require(time and time[0] == "number", "E_DELTA_TIME")
    time = number(time[1])
    author = text_of(found.pop("author", None), "E_DELTA_FIELD")
    system = text_of(found.pop("system", None), "E_DELTA_FIELD")
    pointers = found.pop("pointers", None)
    require(pointers and pointers[0] == "array", "E_DELTA_FIELD")
    require(len(pointers[1]) <= POINTERS_MAX, "E_DELTA_SIZE")
    pointers = [read_pointer(pointer) for pointer in pointers[1]]
    require(time > 0, "E_DELTA_TIME")
    delta = {
        "author": name_of(("string", author, "")),
        "system": name_of(("string", system, "")),
        "timestamp": time,
        "pointers": pointers,
        "id": name_of(("string", identity, "")),
        "extras": extras_of(found),
    }
    for claimed in (delta["id"], plain(delta["extras"].get("hash"))):
        if claimed is not None and claimed.startswith("bafyrei"):
            require(claimed == content_id(delta), "E_DELTA_CONTENT")
    require(len(write_delta(delta).encode()) <= BYTES_MAX, "E_DELTA_SIZE")
    return delta


def plain(text):
    """The string that a JSON text is, or None."""
    if text is None:
        return None
    kind, content, _ = jsontext.parse(text)
    return content if kind == "string" else None


def write_target(target):
    if "text" in target:
        return quoted(target["text"])
    if "number" in target:
        return number_text(target["number"])
    if "bool" in target:
        return "true" if target["bool"] else "false"
    context = f',"context":{quoted(target["context"])}' if "context" in target else ""
    return f'{{"id":{quoted(target["id"])}{context}{written(target["extras"])}}}'


def write_pointer(pointer):
    target = write_target(pointer["target"])
    return f'{{"role":{quoted(pointer["role"])},"target":{target}{written(pointer["extras"])}}}'


def heading(delta):
    return (
        f'{{"id":{quoted(delta["id"])},"timestamp":{number_text(delta["timestamp"])},'
        f'"author":{quoted(delta["author"])},"system":{quoted(delta["system"])},"pointers":['
    )


def write_delta(delta):
    pointers = ",".join(map(write_pointer, delta["pointers"]))
    return heading(delta) + pointers + "]" + written(delta["extras"]) + "}"


# --- names and signatures (DELTA-6, DELTA-10, DELTA-11) -------------------------------------------


def cbor(value):
    """DAG-CBOR, with floats, which the encoder of STMT does not need."""
    if isinstance(value, float):
        if value.is_integer() and abs(value) < EXACT:
            return statement.encode(int(value))
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, list):
        return statement.head(4, len(value)) + b"".join(map(cbor, value))
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (len(name.encode()), name.encode()))
        return statement.head(5, len(names)) + b"".join(cbor(name) + cbor(value[name]) for name in names)
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    return statement.encode(value)


def said(target):
    for kind in ("text", "number", "bool"):
        if kind in target:
            return target[kind]
    return {name: target[name] for name in ("id", "context") if name in target}


def content(delta):
    pointers = [{"role": pointer["role"], "target": said(pointer["target"])} for pointer in delta["pointers"]]
    return cbor({**{name: delta[name] for name in ("author", "system", "timestamp")}, "pointers": pointers})


def content_id(delta):
    return statement.cid_text(statement.cid(content(delta)))


def digest(delta):
    return hashlib.sha256(content(delta)).digest()


def sign(seed, delta):
    """The delta as its author signs it: `author` is put in."""
    key = statement.to_did(statement.public(seed))
    delta = {**delta, "author": key}
    delta["id"] = content_id(delta)
    made = statement.make(seed, "delta", {"delta": statement.cid(content(delta))})
    delta["extras"] = {**delta["extras"], "key": quoted(key), "sig": quoted(made[-64:].hex())}
    return delta


def verify(delta):
    extras = delta["extras"]
    require("sig" in extras, "E_DELTA_UNSIGNED")
    require(delta["id"] == content_id(delta), "E_DELTA_CONTENT")
    require("key" not in extras or plain(extras["key"]) == delta["author"], "E_DELTA_AUTHOR")
    try:
        signer = statement.from_did(delta["author"])
    except statement.Fault:
        raise Fault("E_DELTA_AUTHOR")
    sig = plain(extras["sig"])
    require(sig and len(sig) == 128 and set(sig) <= set("0123456789abcdef"), "E_SIGNATURE")
    payload = {"delta": statement.cid(content(delta))}
    message = statement.signature_input("delta", signer, statement.encode(payload))
    require(statement.verifies(signer, message, bytes.fromhex(sig)), "E_SIGNATURE")


# --- keys of a space (DELTA-31) -------------------------------------------------------------------


def keys(delta):
    """The key of the delta, and those of the indexes in the order of their bytes."""
    identity, short = delta["id"].encode(), digest(delta)[:16]
    signed = b"\0" if "sig" in delta["extras"] else b"\1"
    tail = struct.pack(">d", delta["timestamp"]) + identity + b"\0" + short
    indexes = {b"deltas/at/" + tail}
    for _, to in references(delta):
        target, context = to["id"].encode(), to.get("context", "").encode()
        indexes.add(b"deltas/to/" + target + b"\0" + context + b"\0" + tail)
    return b"deltas/id/" + identity + b"\0" + short + signed, sorted(indexes)


# --- filters (DELTA-13) ---------------------------------------------------------------------------

LISTS = ("ids", "targetIds", "targetContexts", "authors", "systems")


def read_filter(text):
    code = "E_DELTA_FILTER"
    require(len(text.encode()) <= BYTES_MAX and is_shallow(text), code)
    try:
        found = members(jsontext.parse(text), code)
    except jsontext.NoJson:
        raise Fault(code)
    found = {name: part for name, part in found.items() if part[0] != "null"}
    read = {}
    for name in LISTS:
        if name in found:
            kind, content, _ = found[name]
            require(kind == "array", code)
            read[name] = sorted({text_of(part, code) for part in content}, key=str.encode)
            require(len(content) <= 1024, code)
    if "timestampRange" in found:
        ends = members(found["timestampRange"], code)
        read["timestampRange"] = {}
        for name in ("start", "end"):
            if name in ends and ends[name][0] != "null":
                require(ends[name][0] == "number", code)
                try:
                    read["timestampRange"][name] = number(ends[name][1])
                except Fault:
                    raise Fault(code)
    negated = found.get("includeNegated", ("boolean", False, ""))
    require(negated[0] == "boolean", code)
    read["includeNegated"] = negated[1]
    return read


def write_filter(given):
    parts = [f'"{name}":[{",".join(map(quoted, given[name]))}]' for name in LISTS if name in given]
    if "timestampRange" in given:
        ends = given["timestampRange"]
        ends = [f'"{name}":{number_text(ends[name])}' for name in ("start", "end") if name in ends]
        parts.append(f'"timestampRange":{{{",".join(ends)}}}')
    parts.append(f'"includeNegated":{"true" if given["includeNegated"] else "false"}')
    return "{" + ",".join(parts) + "}"


def references(delta):
    return [(p["role"], p["target"]) for p in delta["pointers"] if "id" in p["target"]]


def meets(given, delta):
    values = {
        "ids": {delta["id"]},
        "targetIds": {to["id"] for _, to in references(delta)},
        "targetContexts": {to["context"] for _, to in references(delta) if "context" in to},
        "authors": {delta["author"]},
        "systems": {delta["system"]},
    }
    ends = given.get("timestampRange", {})
    time = delta["timestamp"]
    return (
        all(values[name] & set(given[name]) for name in LISTS if name in given)
        and time >= ends.get("start", time)
        and time <= ends.get("end", time)
    )


# --- what counts (DELTA-20 to DELTA-24) -----------------------------------------------------------


def negates(delta):
    return {to["id"] for role, to in references(delta) if role == "negates" and to.get("context") == "negated_by"}


def may(who, negation, delta):
    own = negation["author"] == delta["author"]
    return who == "anyone" or own or (isinstance(who, list) and negation["author"] in who)


def one_each(deltas):
    """Of two contents of an id the one with the lesser digest (DELTA-8)."""
    kept = {}
    for delta in deltas:
        known = kept.get(delta["id"])
        if known is None or digest(delta) < digest(known):
            kept[delta["id"]] = delta
    return kept


def visible(deltas, at, who):
    """The visible ones by id, by going through the definition without care for time."""
    there = one_each(delta for delta in deltas if at is None or delta["timestamp"] <= at)
    edges = {
        name: {to for to in negates(delta) if to in there and may(who, delta, there[to])}
        for name, delta in there.items()
    }

    def reached(start):
        seen, open_ = set(), [start]
        while open_:
            for to in edges[open_.pop()] - seen:
                seen.add(to)
                open_.append(to)
        return seen

    reach = {name: reached(name) for name in there}
    against = {name: [] for name in there}
    for name, tos in edges.items():
        for to in tos:
            in_circle = name == to or (name in reach[to])
            if not in_circle or name.encode() > to.encode():
                against[to].append(name)
    known = {}

    def is_visible(name):
        if name not in known:
            known[name] = not any([is_visible(by) for by in against[name]])
        return known[name]

    return {name: delta for name, delta in there.items() if is_visible(name)}


def in_order(deltas):
    return sorted(deltas, key=lambda delta: (delta["timestamp"], delta["id"].encode()))


# --- hyperviews (DELTA-40 to DELTA-45) ------------------------------------------------------------


def part_json(part):
    """A part of jsontext as plain values; numbers as their texts."""
    kind, content, _ = part
    if kind == "array":
        return [part_json(item) for item in content]
    if kind == "object":
        return {name: part_json(item) for name, item in content}
    return content


def read_schema(text):
    code = "E_DELTA_SCHEMA"
    require(len(text.encode()) <= 65536 and is_shallow(text), code)
    try:
        found = members(jsontext.parse(text), code)
    except jsontext.NoJson:
        raise Fault(code)
    schema = {"id": text_of(found.get("id"), code), "name": text_of(found.get("name"), code)}
    require(schema["id"] and schema["name"], code)
    version = found.get("version", ("number", "1", "1"))
    require(version[0] == "number" and version[1].isdigit() and int(version[1]) < 2**32, code)
    schema["version"] = int(version[1])
    select = found.get("select")
    schema["select"] = None
    if select:
        if select[0] == "string":
            require(select[1] == "select_by_target_context", code)
        else:
            require(select[0] == "array" and len(select[1]) <= 256, code)
            schema["select"] = [read_pattern(part) for part in select[1]]
    for field in ("transform", "onContext"):
        schema[field] = {}
        if field in found:
            for name, part in members(found[field], code).items():
                schema[field][name] = read_rule(part)
    require(len(schema["transform"]) + len(schema["onContext"]) <= 256, code)
    return schema


def read_pattern(part):
    code = "E_DELTA_SCHEMA"
    found = {name: part for name, part in members(part, code).items() if part[0] != "null"}
    pattern = {}
    for name in ("roles", "contexts"):
        if name in found:
            require(found[name][0] == "array", code)
            pattern[name] = sorted({text_of(item, code) for item in found[name][1]}, key=str.encode)
    if "property" in found:
        pattern["property"] = text_of(found["property"], code)
    return pattern


def read_rule(part):
    code = "E_DELTA_SCHEMA"
    found = members(part, code)
    rule = {"schema": text_of(found.get("schema") or found.get("schemaId"), code), "when": None}
    when = found.get("when")
    if when and when[0] != "null":
        try:
            rule["when"] = read_filter(when[2])
        except Fault:
            raise Fault(code)
    return rule


def write_schema(schema):
    def pattern(given):
        parts = [f'"{name}":[{",".join(map(quoted, given[name]))}]' for name in ("roles", "contexts") if name in given]
        if "property" in given:
            parts.append(f'"property":{quoted(given["property"])}')
        return "{" + ",".join(parts) + "}"

    def rules(given):
        def rule(name):
            when = given[name]["when"]
            when = "" if when is None else f',"when":{write_filter(when)}'
            return f'{quoted(name)}:{{"schema":{quoted(given[name]["schema"])}{when}}}'

        return "{" + ",".join(map(rule, sorted(given, key=str.encode))) + "}"

    select = schema["select"]
    select = quoted("select_by_target_context") if select is None else "[" + ",".join(map(pattern, select)) + "]"
    return (
        f'{{"id":{quoted(schema["id"])},"name":{quoted(schema["name"])},"version":{schema["version"]},'
        f'"select":{select},"transform":{rules(schema["transform"])},"onContext":{rules(schema["onContext"])}}}'
    )


def schema_hash(schema):
    return statement.cid_text(statement.cid(statement.encode({"schema": write_schema(schema)})))


def check_schemas(schemas):
    def depth(name, above):
        require(name in schemas and name not in above and len(above) < 16, "E_DELTA_SCHEMA")
        rules = [*schemas[name]["transform"].values(), *schemas[name]["onContext"].values()]
        for rule in rules:
            depth(rule["schema"], [*above, name])

    for name in schemas:
        depth(name, [])


def properties(schema, obj, delta):
    found = set()
    for role, to in references(delta):
        if to["id"] != obj:
            continue
        context = to.get("context")
        if schema["select"] is None:
            found.add(context or "_default")
            continue
        for pattern in schema["select"]:
            if role in pattern.get("roles", [role]) and ("contexts" not in pattern or context in pattern["contexts"]):
                found.add(pattern.get("property") or context or "_default")
    return found


def hyperview(deltas, schemas, schema_id, obj, at, who):
    """The view as a value: property -> [(delta, {place: view})]."""
    schema = schemas[schema_id]
    seen = visible(deltas, at, who)
    around = [delta for delta in in_order(seen.values()) if any(to["id"] == obj for _, to in references(delta))]
    view = {"id": obj, "properties": {}, "schema": schema, "deltas": []}
    for delta in around:
        for name in properties(schema, obj, delta):
            nested = {}
            for place, pointer in enumerate(delta["pointers"]):
                to = pointer["target"]
                if "id" not in to or to["id"] == obj:
                    continue
                rules = [schema["transform"].get(pointer["role"]), schema["onContext"].get(name)]
                rules = [rule for rule in rules if rule and (rule["when"] is None or meets(rule["when"], delta))]
                if rules:
                    nested[place] = hyperview(deltas, schemas, rules[0]["schema"], to["id"], at, who)
            view["properties"].setdefault(name, []).append((delta, nested))
            if delta not in view["deltas"]:
                view["deltas"].append(delta)
    return view


def write_view(view, context=None):
    parts = [f'"id":{quoted(view["id"])}']
    if context is not None:
        parts.append(f'"_context":{quoted(context)}')
    for name in sorted(view["properties"], key=str.encode):
        shown = "_" + name if name == "id" or name.startswith("_") and name != "_default" else name
        parts.append(f'{quoted(shown)}:[{",".join(write_viewed(*one) for one in view["properties"][name])}]')
    about = []
    if view["deltas"]:
        about.append(f'"lastUpdated":{number_text(max(delta["timestamp"] for delta in view["deltas"]))}')
    schema = view["schema"]
    about.append(f'"deltaCount":{len(view["deltas"])}')
    about.append(f'"schemaId":{quoted(schema["id"])},"schemaHash":{quoted(schema_hash(schema))}')
    about.append(f'"schemaVersion":{schema["version"]}')
    parts.append('"_metadata":{' + ",".join(about) + "}")
    return "{" + ",".join(parts) + "}"


def write_viewed(delta, nested):
    pointers = []
    for place, pointer in enumerate(delta["pointers"]):
        if place in nested:
            inner = write_view(nested[place], pointer["target"].get("context"))
            pointers.append(f'{{"role":{quoted(pointer["role"])},"target":{inner}}}')
        else:
            pointers.append(write_pointer(pointer))
    return heading(delta) + ",".join(pointers) + "]}"


# --- views (DELTA-46, DELTA-47) -------------------------------------------------------------------


def is_email(text):
    local, _, domain = text.partition("@")
    labels = domain.split(".")

    def plain_part(part):
        return part and not any(c == "@" or c.isspace() or ord(c) < 32 or 127 <= ord(c) < 160 for c in part)

    return len(text.encode()) <= 254 and len(labels) > 1 and all(map(plain_part, [local, *labels]))


def is_integer(target):
    value = target.get("number")
    return value is not None and value.is_integer() and abs(value) < EXACT


PRIMITIVES = {
    "String": lambda target: "text" in target,
    "String.EmailAddress": lambda target: "text" in target and is_email(target["text"]),
    "Integer": is_integer,
    "Integer.Year": lambda target: is_integer(target) and 1800 <= target["number"] <= 2100,
    "Boolean": lambda target: "bool" in target,
}

NAMED = ("mostRecent", "firstWrite", "consensus", "allValues", "average", "min", "max")


def read_view_schema(part):
    code = "E_DELTA_SCHEMA"
    schema = {}
    for name, one in members(part, code).items():
        found = members(one, code)
        property_ = {"source": text_of(found.get("source"), code)}
        for field, to in (("extract", "extract"), ("type", "type")):
            if field in found and found[field][0] != "null":
                property_[to] = text_of(found[field], code)
        require(property_.get("type", "String") in PRIMITIVES, code)
        if "view" in found:
            property_["view"] = read_view_schema(found["view"])
        resolve = found.get("resolve")
        require(resolve, code)
        if resolve[0] == "string":
            require(resolve[1] in NAMED, code)
            property_["resolve"] = resolve[1]
        else:
            trusted = {name: part for name, part in members(resolve, code).items() if part[0] != "null"}
            lists = [name for name in ("trustedAuthor", "trustedSystem") if name in trusted]
            require(len(lists) == 1 and trusted[lists[0]][0] == "array", code)
            property_["resolve"] = (lists[0], [text_of(item, code) for item in trusted[lists[0]][1]])
        schema[name] = property_
    return schema


def value_json(value):
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, list):
        return "[" + ",".join(map(value_json, value)) + "]"
    return "{" + ",".join(f"{quoted(n)}:{value_json(value[n])}" for n in sorted(value, key=str.encode)) + "}"


def resolve_view(schema, view):
    resolved = {}
    for name, one in schema.items():
        values = []
        for delta, nested in view["properties"].get(one["source"], []):
            for place, pointer in enumerate(delta["pointers"]):
                target = pointer["target"]
                taken = pointer["role"] == one["extract"] if "extract" in one else target.get("id") != view["id"]
                if not taken or not PRIMITIVES.get(one.get("type"), lambda _: True)(target):
                    continue
                if "view" in one and place in nested:
                    value = resolve_view(one["view"], nested[place])
                else:
                    value = said(target)
                    value = value["id"] if isinstance(value, dict) else value
                values.append((delta, value))
        value = resolved_value(one["resolve"], values)
        if value is not None:
            resolved[name] = value
    return resolved


def resolved_value(how, values):
    numbers = [value for _, value in values if isinstance(value, float)]
    if isinstance(how, tuple):
        field = "author" if how[0] == "trustedAuthor" else "system"
        for name in how[1]:
            of = [value for delta, value in values if delta[field] == name]
            if of:
                return of[-1]
        return None
    if how in ("average", "min", "max"):
        if not numbers:
            return None
        if how != "average":
            return min(numbers) if how == "min" else max(numbers)
        total = 0.0
        for one in numbers:
            total += one
        average = total / len(numbers)
        return average if math.isfinite(average) else None
    if not values:
        return None
    plain_values = [value for _, value in values]
    if how == "mostRecent":
        return plain_values[-1]
    if how == "firstWrite":
        return plain_values[0]
    if how == "allValues":
        return plain_values
    texts = [value_json(value) for value in plain_values]
    best = max(range(len(texts)), key=lambda at: (texts.count(texts[at]), at))
    return plain_values[best]


# --- cases ----------------------------------------------------------------------------------------


def run_number(given):
    part = jsontext.parse(given["text"])
    require(part[0] == "number", "E_DELTA_NUMBER")
    return {"text": number_text(number(part[1]))}


def run_delta(given):
    delta = read(given["json"])
    return {"json": write_delta(delta), "content": content(delta).hex(), "contentId": content_id(delta)}


def run_signature(given):
    delta = read(given["json"])
    verify(delta)
    return {"author": delta["author"]}


def run_keys(given):
    record, indexes = keys(read(given["json"]))
    return {"record": record.hex(), "indexes": [key.hex() for key in indexes]}


def run_filter(given):
    read_one = read_filter(given["filter"])
    met = [delta["id"] for delta in map(read, given["deltas"]) if meets(read_one, delta)]
    return {"filter": write_filter(read_one), "meets": met}


def run_visible(given):
    seen = visible(map(read, given["deltas"]), given["at"] and number(given["at"]), given["who"])
    return {"visible": sorted(seen, key=str.encode)}


def run_view(given):
    schemas = {schema["id"]: schema for schema in map(read_schema, given["schemas"])}
    check_schemas(schemas)
    view_schema = read_view_schema(jsontext.parse(given["view"]))
    require(given["schema"] in schemas, "E_DELTA_SCHEMA")
    deltas = [read(text) for text in given["deltas"]]
    view = hyperview(deltas, schemas, given["schema"], given["object"], given["at"] and number(given["at"]), "anyone")
    return {"hyperview": write_view(view), "view": value_json(resolve_view(view_schema, view))}


# --- entries as deltas (DELTA-50 to DELTA-52) --------------------------------------------------------

PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def escaped(raw, also=b""):
    return "".join(chr(byte) if byte in PLAIN + also else f"%{byte:02X}" for byte in raw)


def told_object(given):
    name = f"allod://{given['space']}/{escaped(given['branch'].encode())}/{escaped(bytes.fromhex(given['key']), b'/')}"
    require(len(name) <= NAME_MAX, "E_DELTA_SIZE")
    return name


def by_content(at, author, system, pointers):
    delta = {"id": "", "timestamp": at, "author": author, "system": system, "pointers": pointers}
    delta["id"] = content_id(read(json.dumps({**delta, "id": "x"})))
    return read(json.dumps(delta))


def ref_to(role, target, context=None):
    return {"role": role, "target": {"id": target, **({"context": context} if context else {})}}


def told_entry(given, entry):
    stamp, author = int(entry["stamp"]), f"allod://{given['space']}"
    millis, counter = stamp >> 16, stamp & 0xFFFF

    def build(role, target):
        about = ref_to("entry", told_object(given), "entry")
        pointers = [about, {"role": role, "target": target}, {"role": "stamp", "target": f"{millis}.{counter}"}]
        return by_content(max(millis, 1), author, "allod", pointers)

    if entry.get("deleted"):
        return build("deleted", True)
    if "file" in entry:
        return build("link", entry["file"])
    raw = bytes.fromhex(entry["bytes"])
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return build("hex", raw.hex())
    return build("value", text)


def run_told(given):
    delta = told_entry(given, given["entry"])
    out = {"object": told_object(given), "json": write_delta(delta)}
    if "lesser" in given:
        lesser = told_entry(given, given["lesser"])
        pointers = [ref_to("negates", lesser["id"], "negated_by"), ref_to("by", delta["id"])]
        negation = by_content(delta["timestamp"], delta["author"], "allod", pointers)
        out["negation"] = write_delta(negation)
    return out


def run_commit(given):
    pointers = [ref_to("commit", given["commit"], "commit")]
    pointers += [{"role": "agent", "target": given["agent"]}, {"role": "message", "target": given["message"]}]
    pointers += [ref_to("parent", parent, "child") for parent in given["parents"]]
    pointers += [ref_to("changes", change, "changed_by") for change in given["changes"][:1000]]
    millis = int(given["stamp"]) >> 16
    return {"json": write_delta(by_content(max(millis, 1), f"allod://{given['space']}", given["device"], pointers))}


RUNNERS = {
    "deltas/number.json": run_number,
    "deltas/delta.json": run_delta,
    "deltas/signature.json": run_signature,
    "deltas/keys.json": run_keys,
    "deltas/filter.json": run_filter,
    "deltas/visible.json": run_visible,
    "deltas/view.json": run_view,
    "deltas/told.json": run_told,
    "deltas/commit.json": run_commit,
}


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    vectors.write(vectors_dir, "DELTA", RUNNERS, list(deltas_cases.files()))


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
