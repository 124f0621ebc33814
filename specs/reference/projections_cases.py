"""The cases of the PROJ vectors: each accept in full, each reject with one fault."""

import json

import statement as s
from records_cases import a_type, case, field, without


def of(shape, source="a:*", where=None):
    return {"shape": shape, "source": source, "where": where}


def index(by, values=(), **others):
    return of({"is": "index", "by": by, "values": [list(pair) for pair in values]}, **others)


def group(by, totals, **others):
    return of({"is": "group", "by": [list(pair) for pair in by], "totals": [list(total) for total in totals]}, **others)


def join(on, to, other="b:*", left=(), right=(), outer=False, **others):
    sides = {"left": [list(pair) for pair in left], "right": [list(pair) for pair in right]}
    return of({"is": "join", "on": on, "other": other, "to": to, "outer": outer} | sides, **others)


def words(*texts, **others):
    return of({"is": "words", "of": list(texts)}, **others)


def shaped(definition, **members):
    return definition | {"shape": definition["shape"] | members}


COUNT = ["n", "count", None]
ORDERS = a_type("user:ref:user", "total:number", field("tags", list=True), "note", "rate:float", received="quarantine", check="total >= 0")
USERS = a_type(field("id", required=True), "name", field("teams", list=True))


# Definitions


def definitions():
    def one(name, comment, definition, error=None, rule=1, types=None):
        given = {"bytes": s.encode(definition).hex(), "types": types or {}}
        return case(f"PROJ-{rule}", name, comment, given, error and "E_PROJECTION")

    def raw(name, comment, data):
        return case("PROJ-1", name, comment, {"bytes": data.hex(), "types": {}}, "E_PROJECTION")

    many = [f"f{at}" for at in range(8)]
    pairs = [(f"v{at}", "a") for at in range(65)]
    totals = [(f"t{at}", "sum", "a") for at in range(65)]
    plain = {"index": index(["a"]), "group": group([("a", "a")], [COUNT]), "join": join("a", "b"), "words": words("a")}
    for name, definition in plain.items():
        yield one(name, "the least of its shape", definition)
    yield one("index-all", "an index with all that it can have", index(many, pairs[:64], where="a > 1"))
    yield one("group-all", "a group with all that it can have", group([(f"g{at}", "a") for at in range(8)], totals[:64], where="a"))
    yield one("group-functions", "every function", group([], [COUNT, *((name, name, "a") for name in ("count", "sum", "avg", "min", "max"))]))
    yield one("join-all", "a join with all that it can have", join("a", "b", left=pairs[:64], right=[(f"r{at}", "b") for at in range(64)], outer=True, where="a = 1"))
    yield one("join-itself", "a join of a source with itself", join("a", "id", other="a:*"))
    yield one("words-all", "words of eight expressions", words(*many, where="TRUE"))
    yield one("words-twice", "words of an expression twice", words("a", "a"))
    yield one("expressions", "expressions in other spellings", index(["a+1", "LOWER(b)"], [("c", "(a)")], where="not(a==1)"))
    yield one("names", "names with any characters", index(["a"], [("A", "a"), ("a.b", "a"), (" ", "a"), ('"\n', "a")]))
    yield one("source-short", "a source of one byte", index(["a"], source="a*"))
    yield one("source-odd", "a source with any characters", index(["a"], source="\u00e4/:? *"))
    yield one("source-long", "the longest source", index(["a"], source="k" * 1017 + "*"))

    bad = [
        ("shape", "a shape that there is not", shaped(plain["words"], **{"is": "table"})),
        ("shape-case", "a shape in capitals", shaped(plain["words"], **{"is": "Words"})),
        ("shape-bytes", "a shape that is no text", shaped(plain["words"], **{"is": b"words"})),
        ("source-all", "all keys", index(["a"], source="*")),
        ("source-empty", "no source", index(["a"], source="")),
        ("source-key", "one key", index(["a"], source="a:1")),
        ("source-star", "a star within", index(["a"], source="a*b*")),
        ("source-stars", "two stars", index(["a"], source="a**")),
        ("source-long", "too long a source", index(["a"], source="k" * 1018 + "*")),
        ("other-all", "all keys on the other side", join("a", "b", other="*")),
        ("other-key", "one key on the other side", join("a", "b", other="b:1")),
        ("other-star", "a star within, on the other side", join("a", "b", other="*b*")),
        ("where", "a condition that is no expression", index(["a"], where="a >")),
        ("where-empty", "a condition without a byte", index(["a"], where="")),
        ("by", "an order that is no expression", index(["a b"])),
        ("by-none", "an index without an order", index([])),
        ("by-many", "an index in the order of nine", index([*many, "f8"])),
        ("by-twice", "an index in the same order twice", index(["a", "a"])),
        ("values", "a value that is no expression", index(["a"], [("b", "sum(b)")])),
        ("values-many", "65 values", index(["a"], pairs)),
        ("values-twice", "two values of a name", index(["a"], [("b", "a"), ("b", "c")])),
        ("values-by", "a value of the name of an order", index(["a"], [("a", "b")])),
        ("values-no-name", "a value without a name", index(["a"], [("", "b")])),
        ("values-one", "a name alone", index(["a"], [("b",)])),
        ("values-three", "a name and two expressions", index(["a"], [("b", "c", "d")])),
        ("values-null", "a value that is null", index(["a"], [("b", None)])),
        ("values-map", "values as a map", shaped(plain["index"], values={"b": "c"})),
        ("group-by-many", "a group by nine", group([(f"g{at}", "a") for at in range(9)], [COUNT])),
        ("group-by", "a group by what is no expression", group([("a", "")], [COUNT])),
        ("group-by-text", "a group by an expression without a name", shaped(plain["group"], by=["a"])),
        ("totals-none", "a group without totals", group([("a", "a")], [])),
        ("totals-many", "65 totals", group([], totals)),
        ("totals-twice", "two totals of a name", group([], [COUNT, COUNT])),
        ("totals-by", "a total of the name of what it is grouped by", group([("n", "a")], [COUNT])),
        ("totals-no-name", "a total without a name", group([], [("", "count", None)])),
        ("totals-name", "a name that is no text", group([], [(1, "count", None)])),
        ("function", "a function that there is not", group([], [("t", "median", "a")])),
        ("function-case", "a function in capitals", group([], [("t", "SUM", "a")])),
        ("function-sum", "a sum of nothing", group([], [("t", "sum", None)])),
        ("function-max", "a greatest of nothing", group([], [("t", "max", None)])),
        ("function-of", "a sum of what is no expression", group([], [("t", "sum", "a +")])),
        ("totals-two", "a name and a function", group([], [("t", "count")])),
        ("on", "a join on no expression", join("", "b")),
        ("to", "a join to no expression", join("a", "b.")),
        ("left", "a left value that is no expression", join("a", "b", left=[("c", "=")])),
        ("left-many", "65 left values", join("a", "b", left=pairs)),
        ("right-many", "65 right values", join("a", "b", right=pairs)),
        ("sides", "a left and a right value of a name", join("a", "b", left=[("c", "a")], right=[("c", "b")])),
        ("outer", "an outer join that is no boolean", join("a", "b", outer=None)),
        ("of-none", "words of nothing", words()),
        ("of-many", "words of nine", words(*many, "f8")),
        ("of", "words of what is no expression", words("a", "(")),
        ("of-text", "words of a text", shaped(plain["words"], of="a")),
        ("shape-text", "a shape by its name alone", plain["words"] | {"shape": "words"}),
        ("shape-list", "a shape as a list", plain["words"] | {"shape": ["words", ["a"]]}),
        ("shape-more", "a member more", shaped(plain["words"], by=["a"])),
        ("more", "a member more", plain["words"] | {"order": "a"}),
        ("where-missing", "no condition, not even null", without(plain["words"], "where")),
        ("source-missing", "no source", without(plain["words"], "source")),
        ("shape-missing", "no shape", without(plain["words"], "shape")),
        ("large", "too many bytes", index(["a"], [(f"v{at}", "'" + "x" * 4000 + "'") for at in range(17)])),
    ]
    for name, comment, definition in bad:
        yield one(name, comment, definition, "E_PROJECTION")
    for name, definition in plain.items():
        for member in definition["shape"]:
            yield one(f"{name}-without-{member}", "a member is missing", definition | {"shape": without(definition["shape"], member)}, "E_PROJECTION")
    data = s.encode(plain["words"])
    yield raw("empty", "no bytes", b"")
    yield raw("short", "the last byte is missing", data[:-1])
    yield raw("trailing", "a byte follows", data + b"\0")
    yield raw("list", "a list in the place of the map", s.encode([plain["words"]["shape"], "a:*", None]))
    yield raw("head", "a head that is not the shortest", b"\xb8\x03" + data[1:])
    shape = b"\xa2" + s.encode("of") + s.encode(["a"]) + s.encode("is") + s.encode("words")
    yield raw("order", "members in another order", data.replace(s.encode(plain["words"]["shape"]), shape))

    types = {"a": ORDERS, "b": USERS}
    yield one("typed", "a source of a type", plain["index"], None, 10, types)
    yield one("typed-join", "both sources of types", plain["join"], None, 10, types)
    yield one("typed-part", "sources of some records of types", join("a", "b", source="a:b:*", other="b:1*"), None, 10, types)
    yield one("typed-left", "one source of a type", join("a", "b", other="b*"), None, 10, types)
    yield one("typed-right", "the other source of a type", join("a", "b", source="a*"), None, 10, types)
    yield one("typed-itself", "the same type twice", join("a", "b", other="a:*"), None, 10, types)
    yield one("untyped", "sources of no type", join("a", "b", other="c:*", source="aa:*"), None, 10, types)
    yield one("typed-other", "types that it has nothing to do with", plain["index"], None, 10, {"b": USERS})
    yield one("spelling", "another spelling is another name", index(["(a)"]), None, 10, types)


# Trees


def records(prefix, *fields):
    return [[f"{prefix}:{at}", json.dumps(one, ensure_ascii=False) if isinstance(one, dict) else one] for at, one in enumerate(fields)]


A = records("a", {"x": 1, "s": "one"}, {"x": 2, "s": "two"}, {"x": 1, "s": "three"}, {"s": "none"})
ORDERED = records(
    "order",
    {"user": "u1", "total": 10, "tags": ["b", "a", "b"], "note": "red and blue", "rate": 0.5},
    {"user": "u2", "total": 0.10, "tags": [], "note": "Blue!", "rate": 1e300},
    {"user": "u1", "total": 2.50, "rate": 1e-300},
    {"user": None, "total": "x", "tags": ["c"]},
    {"user": "u9", "total": -1, "tags": ["c"], "note": "red"},
)
KNOWN = records(
    "user", {"id": "u1", "name": "Ada", "teams": ["x", "y"]}, {"id": "u2", "name": None, "teams": ["y"]}, {"name": "nobody", "teams": []}, {"id": "u3"}
)
BOTH = {"order": ORDERS, "user": USERS}
FLAGGED = {"order": ORDERS | {"received": "flag"}, "user": USERS}


def trees():
    def one(rule, name, comment, definition, found, types=None):
        return case(f"PROJ-{rule}", name, comment, {"definition": definition, "types": types or {}, "records": found})

    yield one(2, "index", "records in an order", index(["x"]), A)
    yield one(2, "none", "no records", index(["x"]), records("b", {"x": 1}))
    yield one(2, "empty-object", "a record without fields", index(["x"]), records("a", {}))
    yield one(2, "where", "those for which it is true", index(["x"], where="x > 1"), A)
    yield one(2, "where-null", "null and failures are not true", index(["s"], where="x + s = 1 OR x = 2"), A)
    yield one(2, "where-number", "a number is not true", index(["x"], where="x"), A)
    yield one(2, "where-boolean", "a boolean is", index(["x"], where="x"), records("a", {"x": True}, {"x": False}, {"x": "true"}))
    yield one(2, "failing", "what cannot be computed is null", index(["x + 1", "lower(x)"], [("l", "length(x)")]), A)
    yield one(2, "malformed", "malformed records are in none", index(["x"]), records("a", '{"x":1}', "", "[1]", '{"x":1,"x":2}', '{"x":NaN}', "null", ' {"x":2} '))
    yield one(2, "source", "keys that begin with the source", index(["x"], source="a*"), [[key, '{"x":1}'] for key in ("a", "aa", "a:", "b", "A", "ba", "\u00e4")])
    yield one(2, "key-long", "the longest key of a record", index(["x"]), [["a:" + "k" * 1022, '{"x":1}'], ["a:" + "k" * 1023, '{"x":1}'], ["a:" + "\u00e4" * 511, "{}"]])
    yield one(2, "flag", "broken records, where they are only flagged", index(["total"], [("u", "user")], source="order:*"), ORDERED, FLAGGED)
    yield one(2, "quarantine", "broken records, where they are not in it", index(["total"], [("u", "user")], source="order:*"), ORDERED, BOTH)
    yield one(2, "quarantine-some", "broken records of a source that is some records of a type", index(["total"], source="order:1*"), ORDERED, BOTH)
    yield one(2, "quarantine-part", "broken records of a source that is of no type", index(["total"], source="order*"), ORDERED, BOTH)
    unique = {"a": a_type(field("x", "integer", unique=True), received="quarantine")}
    yield one(2, "quarantine-unique", "a record with the same value is not left out", index(["x"]), A, unique)

    yield one(3, "kinds", "every kind of value", index(["v"], [("w", "v")]), records("a", *({"v": v} for v in (
        None, False, True, 0, -1.5, 1e10, 1e-10, 123456789, "", "a", "a\u0000b", "\u00e4\U0001f600", [1, "x"], {"a": 1}
    ))))  # fmt: skip
    typed = {"a": a_type("i:integer", "f:float", "t:timestamp", "b:bytes", "r:ref:a")}
    some = records(
        "a", {"i": 5, "f": 5, "t": "2026-11-26T08:00:00+01:00", "b": "AP8A", "r": "1"}, {"i": -5, "f": -0.0, "t": "0001-01-01T00:00:00Z", "b": "", "r": ""},
        {"i": 5.5, "f": "x", "t": "yesterday", "b": "A"}, {"f": 1e308},
    )  # fmt: skip
    for name in "iftbr":
        yield one(3, f"typed-{name}", "values as the type says", index([name]), some, typed)
    yield one(3, "typed-several", "an order of several", index(["r", "f", "i"], [("t", "t"), ("b", "b")]), some, typed)
    yield one(3, "typed-not", "the same without the type", index(["r", "f", "i"], [("t", "t"), ("b", "b")]), some)
    yield one(3, "was", "former names", index(["x"]), records("a", {"y": 1}, {"x": 2, "y": 1}, {}), {"a": a_type(field("x", "integer", was=["y"], default="7"))})
    yield one(3, "values", "values of 1,024 bytes, and of one more", index(["x"], [("s", "s")]), records("a", {"s": "s" * 1022}, {"s": "s" * 1023}, {"s": "\u0000" * 511}, {"s": "\u0000" * 512}))
    yield one(3, "values-long", "values are not cut", index(["x"], [("s", "s")]), records("a", {"s": "s" * 129}))
    yield one(3, "many", "a tree of many nodes", index(["x % 7", "x"], [("s", "'record ' || x")]), records("a", *({"x": at} for at in range(400))))

    yield one(4, "text", "texts of 128 bytes, and of more", index(["s"]), records("a", {"s": "s" * 128}, {"s": "s" * 129}, {"s": "s" * 128 + "t"}))
    yield one(4, "text-character", "a text is cut at a character", index(["s"]), records("a", {"s": "a" + "\u00e4" * 64}, {"s": "\U0001f600" * 33}, {"s": "abc" + "\U0001f600" * 32}))
    long = a_type("b:bytes")
    yield one(4, "bytes", "bytes of 128, and of more", index(["b"]), records("a", {"b": "AAAA" * 42 + "AAA="}, {"b": "AAAA" * 43}, {"b": "////" * 43}), {"a": long})
    yield one(4, "group", "a group of a long text", group([("s", "s")], [COUNT, ("m", "max", "s")]), records("a", {"s": "s" * 200}, {"s": "s" * 200}, {"s": "t" * 200}))
    yield one(4, "join", "a join on a long text", join("s", "s"), records("a", {"s": "s" * 200}) + records("b", {"s": "s" * 200}, {"s": "s" * 201}))
    longest = records("a", {f"f{at}": "\u0000" * 128 for at in range(8)})
    yield one(4, "longest", "the longest key", index([f"f{at}" for at in range(8)]), [["a:" + "k" * 1022, longest[0][1]]])

    lists = {"a": a_type(field("l", list=True), field("m", "number", list=True), "s")}
    listed = records(
        "a", {"l": ["b", "a", "b"], "m": [2, 1.0, 1], "s": "one"}, {"l": [], "m": [1]}, {"l": ["c"]}, {"l": None, "m": [3, 4]}, {"l": ["x", 1], "m": [5]}
    )
    yield one(5, "one", "the elements of a list", index(["l"]), listed, lists)
    yield one(5, "two", "the elements of two", index(["l", "m"], [("s", "s")]), listed, lists)
    yield one(5, "expression", "an expression of a list is one of its text", index(["lower(l)", "(l)"], [("l", "l")]), listed, lists)
    yield one(5, "untyped", "an array without a definition is its text", index(["l"]), listed)
    yield one(5, "group", "a group by a list", group([("l", "l")], [COUNT, ("s", "sum", "1"), ("m", "min", "s"), ("c", "count", "l")]), listed, lists)
    yield one(5, "join", "a join on lists", join("l", "l", left=[("s", "s")], other="a:*"), listed, lists)
    yield one(5, "words", "words of a list", words("l", "s"), records("a", {"l": ["a b", "b c", "a b"], "s": "a"}), lists)
    hundred = {"a": a_type(field("l", "integer", list=True), field("m", "integer", list=True), field("k", "integer", list=True))}
    yield one(5, "thousand", "more elements than go on", index(["l"]), records("a", {"l": list(range(1200, 0, -1))}), hundred)
    yield one(5, "combinations", "more combinations than go on", index(["l", "m"]), records("a", {"l": list(range(40)), "m": list(range(40))}), hundred)
    yield one(5, "combinations-group", "the same in a group", group([("l", "l"), ("k", "k"), ("m", "m")], [COUNT]), records("a", {"l": list(range(40)), "m": list(range(40)), "k": [1]}), hundred)
    yield one(5, "combinations-join", "more elements than go on in a join", join("l", "m", other="a:*"), records("a", {"l": list(range(1001)), "m": list(range(3))}), hundred)

    both = ORDERED + KNOWN
    sides = {"left": [("total", "total")], "right": [("name", "name")], "source": "order:*", "other": "user:*"}
    yield one(6, "join", "pairs", join("user", "id", **sides), both, BOTH)
    yield one(6, "join-outer", "pairs, also without a partner, have the same tree", join("user", "id", outer=True, **sides), both, BOTH)
    yield one(6, "join-flagged", "broken ones too, and null", join("user", "id", **sides), both, FLAGGED)
    yield one(6, "join-where", "a condition on the source alone", join("user", "id", where="total > 5", **sides), both, FLAGGED)
    yield one(6, "join-list", "a join to a list", join("name", "teams", source="user:*", other="user:*"), KNOWN, BOTH)
    yield one(6, "join-kinds", "a number is no text", join("x", "x"), records("a", {"x": 1}, {"x": "1"}) + records("b", {"x": 1.0}, {"x": True}, {"x": "1"}))
    yield one(6, "join-same", "a record with itself", join("x", "x", other="a:*", left=[("s", "s")], right=[("t", "s")]), A)
    yield one(6, "join-within", "a source within the other", join("x", "x", other="a*"), A + records("ab", {"x": 2}))

    every = [("n", "count", None), ("c", "count", "x"), ("s", "sum", "x"), ("a", "avg", "x"), ("l", "min", "x"), ("g", "max", "x")]
    yield one(7, "all", "every total", group([("of", "s")], every), A)
    yield one(7, "whole", "of all records together", group([], every), A)
    yield one(7, "none", "of no records", group([], every), records("b", {"x": 1}))
    yield one(7, "kinds", "only numbers are summed", group([], every), records("a", {"x": 1}, {"x": "2"}, {"x": True}, {"x": None}, {"x": [3]}))
    yield one(7, "no-numbers", "a sum of no numbers", group([], every), records("a", {"x": "2"}))
    yield one(7, "zero", "a sum that is 0", group([], every), records("a", {"x": 1.5}, {"x": -1.5}))
    yield one(7, "minus", "sums below 0, at the bounds of a byte", group([("x", "x")], [("s", "sum", "x")]), records("a", *({"x": x} for x in (-1, -127, -128, -129, 127, 128, 255, 256, -256, -32768))))
    yield one(7, "tens", "a sum in its normal form", group([], [("s", "sum", "x")]), records("a", '{"x":0.5}', '{"x":99999.5}'))
    yield one(7, "large", "a sum beyond 38 digits", group([], [("s", "sum", "x"), ("a", "avg", "x")]), records("a", '{"x":7e1000}', '{"x":7e-1000}', f'{{"x":{"9" * 38}}}'))
    yield one(7, "floats", "a sum of floats is that of what they are exactly", group([], [("s", "sum", "rate"), ("a", "avg", "rate + total"), ("g", "max", "rate")], source="order:*"), ORDERED, FLAGGED)
    yield one(7, "floats-least", "the least float", group([], [("s", "sum", "f")]), records("a", {"f": 5e-324}, {"f": 1.7976931348623157e308}), {"a": a_type("f:float")})
    yield one(7, "infinite", "what is infinite is not summed", group([], [("s", "sum", "f * 10"), ("g", "max", "f * 10")]), records("a", {"f": 1e308}, {"f": 1}), {"a": a_type("f:float")})
    yield one(7, "mixed", "numbers and floats", group([], [("s", "sum", "coalesce(f, n)"), ("g", "max", "coalesce(f, n)")]), records("a", {"f": 0.1}, {"n": 0.1}, {"f": -0.0}), {"a": a_type("f:float", "n:number")})
    yield one(7, "lists", "a list is its text to a total", group([], every), records("a", {"x": [1, 2]}, {"x": []}), {"a": a_type(field("x", "number", list=True))})
    yield one(7, "where", "of some records", group([("of", "s")], every, where="x = 1"), A)

    yield one(8, "words", "words of texts", words("note"), [[key.replace("order", "a"), text] for key, text in ORDERED])
    yield one(8, "letters", "letters of ASCII in lower case, all others as they are", words("s"), records("a", {"s": "Big big BIG \u00c4rger \u00e4rger \u00c4RGER"}))
    yield one(8, "apart", "what is between words", words("s"), records("a", {"s": "a-b_c.d'e\u0000f\u007fg\u0080h\u2003i 42 3.14 x\u0301"}))
    yield one(8, "none", "no word, and no text", words("s"), records("a", {"s": " -_. "}, {"s": ""}, {"s": 5}, {"s": None}, {"s": True}, {}))
    yield one(8, "long", "a word of 64 bytes, and longer ones", words("s"), records("a", {"s": f"{'w' * 64} {'w' * 65} {'w' * 63}\u00e4 {'W' * 100}"}))
    yield one(8, "several", "words of several expressions", words("s", "lower(t)", "x"), records("a", {"s": "a b", "t": "B C", "x": "c"}))
    yield one(8, "many", "more words than a record has", words("s", "t"), records("a", {"s": "w " * 9_999, "t": "x y z"}))


def files():
    return [("projections/definition.json", definitions()), ("projections/tree.json", trees())]
