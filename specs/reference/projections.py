"""A second reading of PROJ: definitions, names and trees of projections, from specs/28-projections.md alone.

Python 3.10 or later, standard library only. It shares no code with the crates; records are read by records.py, expressions
by expr.py and trees by tree.py beside this file.

    python3 specs/reference/projections.py specs/vectors            checks the vectors
    python3 specs/reference/projections.py --write specs/vectors    writes projections/*.json
"""

import collections
import hashlib
import math
import re
import sys
from fractions import Fraction

import expr
import records
import statement as s
import tree
import vectors
import views
from decimals import need
from records import NULL, Record, check_definition, decoded, shaped
from vectors import Fault

BY_MAX, OTHERS_MAX, SOURCE_BYTES_MAX = 8, 64, 1018
KEY_BYTES_MAX, BESIDE_BYTES_MAX = 1024, 1024
ENTRIES_MAX, WORDS_MAX, WORD_BYTES_MAX = 1000, 10_000, 64
SHORT_MAX, BEGINNING = 128, 64
# Entries that a vector shows one by one.
SHOWN_MAX = 100

PROJECTION = {"shape": dict, "source": str, "where": (str, type(None))}
SHAPES = {
    "index": {"by": list, "values": list},
    "group": {"by": list, "totals": list},
    "join": {"on": str, "other": str, "to": str, "left": list, "right": list, "outer": bool},
    "words": {"of": list},
}
FUNCTIONS = ["count", "sum", "avg", "min", "max"]


# Definitions (PROJ-1)


def refuse_unless(condition):
    need(condition, "E_PROJECTION")


def check_source(text):
    refuse_unless(text.endswith("*") and text.count("*") == 1 and 2 <= len(text.encode()) <= SOURCE_BYTES_MAX)


def check_expression(text):
    refuse_unless(type(text) is str)
    try:
        expr.parse(text)
    except Fault:
        raise Fault("E_PROJECTION") from None


def check_names(names):
    refuse_unless(all(type(name) is str and name for name in names) and len(set(names)) == len(names))


def check_pairs(pairs):
    refuse_unless(all(type(pair) is list and len(pair) == 2 for pair in pairs))
    for _, text in pairs:
        check_expression(text)


def check_total(total):
    refuse_unless(type(total) is list and len(total) == 3)
    _, function, of = total
    refuse_unless(function in FUNCTIONS)
    if of is None:
        refuse_unless(function == "count")
    else:
        check_expression(of)


def check_shape(shape):
    kind = shape.get("is")
    refuse_unless(type(kind) is str and kind in SHAPES)
    shaped(shape, SHAPES[kind] | {"is": str}, "E_PROJECTION")
    if kind == "index":
        refuse_unless(1 <= len(shape["by"]) <= BY_MAX and len(shape["values"]) <= OTHERS_MAX)
        for text in shape["by"]:
            check_expression(text)
        check_pairs(shape["values"])
        check_names(shape["by"] + [name for name, _ in shape["values"]])
    elif kind == "group":
        refuse_unless(len(shape["by"]) <= BY_MAX and 1 <= len(shape["totals"]) <= OTHERS_MAX)
        check_pairs(shape["by"])
        for total in shape["totals"]:
            check_total(total)
        check_names([one[0] for one in shape["by"] + shape["totals"]])
    elif kind == "join":
        check_source(shape["other"])
        check_expression(shape["on"])
        check_expression(shape["to"])
        for side in ("left", "right"):
            refuse_unless(len(shape[side]) <= OTHERS_MAX)
            check_pairs(shape[side])
        check_names([name for name, _ in shape["left"] + shape["right"]])
    else:
        refuse_unless(1 <= len(shape["of"]) <= BY_MAX)
        for text in shape["of"]:
            check_expression(text)


def check_projection(definition):
    shaped(definition, PROJECTION, "E_PROJECTION")
    check_source(definition["source"])
    if definition["where"] is not None:
        check_expression(definition["where"])
    check_shape(definition["shape"])
    refuse_unless(len(s.encode(definition)) <= records.DEFINITION_BYTES_MAX)
    return definition


def type_of(pattern, types):
    """The type of a source: that whose keys it has."""
    name, colon, _ = pattern.partition(":")
    return types.get(name) if colon else None


def name_of(definition, types):
    """PROJ-10."""
    other = definition["shape"].get("other")
    kinds = [type_of(definition["source"], types), type_of(other, types) if other else None]
    return s.cid_text(s.cid(s.encode([1, definition, *kinds])))


# Values and keys (PROJ-4, PROJ-5)


def index_key(values):
    return b"".join(views.value_key(expr.written(value)) for value in values)


def short(value):
    kind, content = value
    if kind == "text" and len(content.encode()) > SHORT_MAX:
        return (kind, fitting(content, BEGINNING) + hashlib.sha256(content.encode()).hexdigest())
    if kind == "bytes" and len(content) > SHORT_MAX:
        return (kind, content[:BEGINNING] + hashlib.sha256(content).digest())
    return value


def field_key(values):
    return index_key(map(short, values))


def fitting(text, size):
    """The longest beginning that fits, at a character."""
    return text.encode()[:size].decode(errors="ignore")


def compute(text, record):
    """PROJ-2."""
    try:
        return expr.compute(expr.parse(text), record)
    except Fault:
        return NULL


def elements(text, record):
    node = expr.parse(text)
    found = record.datum(list(node[1:])) if node[0] == "field" else NULL
    if found[0] != "list":
        return [compute(text, record)]
    # Elements of a list are of one kind, so that Python's order is that of VIEW-4.
    return [(kind, content) for kind, content in sorted(set(found[1]))]


def combinations(by, record):
    found = [()]
    for text in by:
        values = elements(text, record)
        found = [(*start, value) for start in found for value in values][:ENTRIES_MAX]
    return found


# Entries


class Sum:
    """How many numbers, and what they are together; and how many values there are at all."""

    def __init__(self):
        self.numbers, self.total, self.values = 0, Fraction(0), 0

    def add(self, value):
        kind, content = value
        self.values += value != NULL
        if kind == "number" or (kind == "float" and math.isfinite(content)):
            self.numbers += 1
            self.total += Fraction(content)

    def kept(self):
        if self.total == 0:
            return s.encode([self.numbers, b"\0", 0])
        # Any decimal is whole after so many tens: a float has 1074 digits behind the point at most.
        whole, power = self.total * 10**3000, -3000
        assert whole.denominator == 1
        digits = str(whole.numerator).rstrip("0")
        power += len(str(whole.numerator)) - len(digits)
        number = int(digits)
        size = next(size for size in range(1, 4096) if -(1 << 8 * size - 1) <= number < 1 << 8 * size - 1)
        return s.encode([self.numbers, number.to_bytes(size, "big", signed=True), power])


def split_words(text):
    """PROJ-8."""
    for word in re.findall("[0-9A-Za-z\u0080-\U0010ffff]+", text):
        yield fitting(word, WORD_BYTES_MAX).translate(expr.TO_LOWER)


def beside(texts, record):
    key = index_key(compute(text, record) for text in texts)
    return key if len(key) <= BESIDE_BYTES_MAX else b""


def in_source(pattern, definition, all_records):
    """Records of a source that are in a projection, with their keys."""
    for key, text in all_records:
        if not key.startswith(pattern[:-1]) or len(key.encode()) > KEY_BYTES_MAX:
            continue
        try:
            record = Record(text.encode(), definition)
        except Fault:
            continue
        if definition and definition["received"] == "quarantine" and record.broken():
            continue
        yield key.encode(), record


def index_entries(shape, chosen):
    for key, record in chosen:
        value = beside([text for _, text in shape["values"]], record)
        for values in combinations(shape["by"], record):
            yield field_key(values) + b"\xfe" + key, value


def group_entries(shape, chosen):
    groups = {}
    for key, record in chosen:
        for group in {field_key(values) for values in combinations([text for _, text in shape["by"]], record)}:
            count, sums = groups.get(group, (0, [Sum() for _ in shape["totals"]]))
            groups[group] = (count + 1, sums)
            for place, (_, function, of) in enumerate(shape["totals"]):
                value = NULL if of is None else compute(of, record)
                sums[place].add(value)
                if function in ("min", "max") and value != NULL:
                    yield b"\x02" + group + bytes([place]) + field_key([value]) + b"\xfe" + key, b""
    for group, (count, sums) in groups.items():
        yield b"\x01" + group, s.encode(count)
        for place, (found, (_, function, _)) in enumerate(zip(sums, shape["totals"])):
            at = b"\x01" + group + bytes([place])
            if function == "count" and found.values:
                yield at, s.encode(found.values)
            if function in ("sum", "avg") and found.numbers:
                yield at, found.kept()


def join_entries(shape, chosen, others):
    for mark, on, values, side in ((b"\x01", "on", "left", chosen), (b"\x00", "to", "right", others)):
        for key, record in side:
            value = beside([text for _, text in shape[values]], record)
            for found in combinations([shape[on]], record):
                yield field_key(found) + b"\xfe" + mark + key, value


def words_entries(shape, chosen):
    for key, record in chosen:
        values = [value for text in shape["of"] for value in elements(text, record)]
        found = [word for kind, content in values if kind == "text" for word in split_words(content)][:WORDS_MAX]
        for word, count in collections.Counter(found).items():
            yield index_key([("text", word)]) + b"\xfe" + key, s.encode(count)


def entries(definition, types, all_records):
    shape, where = definition["shape"], definition["where"]
    source = definition["source"]
    chosen = [
        (key, record)
        for key, record in in_source(source, type_of(source, types), all_records)
        if where is None or compute(where, record) == ("boolean", True)
    ]
    if shape["is"] == "join":
        others = list(in_source(shape["other"], type_of(shape["other"], types), all_records))
        return join_entries(shape, chosen, others)
    return {"index": index_entries, "group": group_entries, "words": words_entries}[shape["is"]](shape, chosen)


# Vectors


def checked(types):
    return {name: check_definition(definition) for name, definition in types.items()}


def run_definition(given):
    definition = check_projection(decoded(bytes.fromhex(given["bytes"]), "E_PROJECTION"))
    return {"definition": definition, "name": name_of(definition, checked(given["types"]))}


def run_tree(given):
    definition = check_projection(given["definition"])
    found = sorted(set(entries(definition, checked(given["types"]), given["records"])))
    expect = {"root": tree.build(found)["root"], "count": len(found)}
    if len(found) <= SHOWN_MAX:
        expect["entries"] = [[key.hex(), value.hex()] for key, value in found]
    return expect


RUNNERS = {"projections/definition.json": run_definition, "projections/tree.json": run_tree}


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    import projections_cases

    vectors.write(vectors_dir, "PROJ", RUNNERS, projections_cases.files())


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
