"""The cases of vectors/deltas, made by hand; `deltas.py` judges them."""

import json

import deltas
import statement

SEED, OTHER = b"\x01" * 32, b"\x02" * 32


def one(rule, kind, name, comment, given, error=None):
    return (f"{rule}/{kind}/{name}", comment, given, error)


def text(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def ref(role, target, context=None):
    return {"role": role, "target": {"id": target, **({"context": context} if context else {})}}


def value(role, target):
    return {"role": role, "target": target}


def delta(identity, at, pointers=(), author="alice", system="laptop"):
    return {"id": identity, "timestamp": at, "author": author, "system": system, "pointers": list(pointers)}


def negation(identity, at, *of, author="alice"):
    return delta(identity, at, [ref("negates", target, "negated_by") for target in of], author)


# --- numbers, deltas, signatures ------------------------------------------------------------------


def numbers():
    texts = {
        "zero": "0",
        "minus-zero": "-0",
        "fraction": "0.10",
        "integer": "100",
        "exponent": "1E2",
        "negative": "-1.5e-3",
        "small": "0.000001",
        "smaller": "0.0000001",
        "least": "5e-324",
        "greatest": "1.7976931348623157e308",
        "to-even": "2.00000000000000011",
        "exact": "9007199254740992",
        "canonical": "1152921504606847000",
        "exactly": "1152921504606846976",
        "twenty-one": "100000000000000000000",
        "twenty-two": "1e21",
        "no-zeroes": "1.0e+0",
    }
    for name, given in texts.items():
        yield one("DELTA-4", "valid", name, f"the text {given}", {"text": given})
    for name, given in {
        "inexact": "9007199254740993",
        "inexact-negative": "-9007199254740993",
        "inexact-large": "1152921504606846977",
        "infinite": "1e309",
        "infinite-negative": "-1e309",
    }.items():
        yield one("DELTA-4", "invalid", name, f"the text {given}", {"text": given}, "E_DELTA_NUMBER")
    # Integers between two doubles that are not the text of one either.
    for power in (53, 54, 55, 56, 60, 63, 64, 70):
        between = (n for n in range(2**power + 1, 2**power + 1000) if int(float(n)) != n and str(n) != deltas.number_text(float(n)))
        for at, n in zip(range(3), between):
            yield one("DELTA-4", "invalid", f"between-{power}-{at}", f"the text {n}", {"text": f"{n}"}, "E_DELTA_NUMBER")
            yield one("DELTA-4", "invalid", f"below-{power}-{at}", f"the text -{n}", {"text": f"-{n}"}, "E_DELTA_NUMBER")


def bodies():
    def ok(rule, name, comment, given):
        return one(rule, "valid", name, comment, {"json": given if isinstance(given, str) else text(given)})

    def bad(rule, name, comment, given, error):
        return one(rule, "invalid", name, comment, {"json": given if isinstance(given, str) else text(given)}, error)

    base = delta("d", 1.5, [ref("of", "x", "name"), value("is", "Ann")])
    yield ok("DELTA-1", "minimal", "no pointers", delta("d", 1))
    yield ok("DELTA-1", "targets", "each kind of target", delta("d", 2, [value("a", "t"), value("b", -1.5), value("c", True), value("d", False), ref("e", "x"), ref("f", "y", "z")]))
    yield ok("DELTA-1", "roles", "one role twice", delta("d", 2, [value("tag", "a"), value("tag", "b")]))
    yield ok("DELTA-1", "empty-text", "a text may be empty", delta("d", 2, [value("a", "")]))
    yield ok("DELTA-1", "escapes", "texts with what is escaped", delta("d\u00fc", 2, [value("a", '"\\\b\f\n\r\t\x01\x7f\u2028\U0001f600')]))
    yield ok("DELTA-1", "blanks", "blanks and another order", ' { "pointers" : [ ] , "system":"s","author":"a", "timestamp":1e3,"id":"d" } ')
    yield ok("DELTA-5", "extras", "members that nobody knows", {**base, "prev": ["x", None], "seq": 7, "pointers": [{**ref("of", "x"), "localContext": "of"}, {"role": "q", "target": {"id": "x", "kind": {"a": 1}}}]})
    yield ok("DELTA-5", "number", "a number that nobody knows stays as it is written", text(base)[:-1] + ',"big":9007199254740993,"half":"\\ud800"}')
    yield ok("DELTA-6", "numbers", "numbers in the content", delta("d", 0.5, [value("a", 9007199254740991), value("b", 1e300), value("c", -7), value("d", 0.1), value("e", 4294967296)]))
    named = deltas.content_id(deltas.read(text(base)))
    yield ok("DELTA-7", "content-id", "a content id", {**base, "id": named})
    yield ok("DELTA-7", "hash", "a UUID and the hash", {**base, "hash": named})
    yield ok("DELTA-7", "other-hash", "a hash of another kind", {**base, "hash": "sha1-00"})
    yield ok("DELTA-2", "long-name", "a name of 512 bytes", delta("\u00fc" * 256, 1))
    yield ok("DELTA-2", "deep", "nested as deep as may be", text(base)[:-1] + ',"x":' + "[" * 31 + "]" * 31 + "}")
    for name, at in {"zero": 0, "negative": -1}.items():
        yield bad("DELTA-1", f"time-{name}", "a timestamp that is not positive", delta("d", at), "E_DELTA_TIME")
    yield bad("DELTA-1", "time-text", "a timestamp that is a text", delta("d", "1"), "E_DELTA_TIME")
    yield bad("DELTA-1", "time-missing", "no timestamp", {n: v for n, v in base.items() if n != "timestamp"}, "E_DELTA_TIME")
    yield bad("DELTA-3", "time-infinite", "a timestamp beyond all doubles", text(base).replace("1.5", "1e999"), "E_DELTA_NUMBER")
    for member in ("id", "author", "system"):
        yield bad("DELTA-1", f"{member}-missing", f"no {member}", {n: v for n, v in base.items() if n != member}, "E_DELTA_FIELD")
        yield bad("DELTA-1", f"{member}-empty", f"an empty {member}", {**base, member: ""}, "E_DELTA_FIELD")
        yield bad("DELTA-1", f"{member}-null", f"{member} is null", {**base, member: None}, "E_DELTA_FIELD")
        yield bad("DELTA-2", f"{member}-long", f"{member} of 513 bytes", {**base, member: "x" * 513}, "E_DELTA_FIELD")
        yield bad("DELTA-2", f"{member}-zero", f"{member} with U+0000", {**base, member: "x\0"}, "E_DELTA_FIELD")
    yield bad("DELTA-1", "pointers-missing", "no pointers", {n: v for n, v in base.items() if n != "pointers"}, "E_DELTA_FIELD")
    yield bad("DELTA-1", "pointers-object", "pointers are no array", {**base, "pointers": {}}, "E_DELTA_FIELD")
    yield bad("DELTA-1", "pointer-text", "a pointer that is a text", {**base, "pointers": ["x"]}, "E_DELTA_FIELD")
    yield bad("DELTA-1", "role-empty", "an empty role", {**base, "pointers": [value("", 1)]}, "E_DELTA_FIELD")
    yield bad("DELTA-1", "target-missing", "no target", {**base, "pointers": [{"role": "a"}]}, "E_DELTA_TARGET")
    yield bad("DELTA-1", "target-null", "a target that is null", {**base, "pointers": [value("a", None)]}, "E_DELTA_TARGET")
    yield bad("DELTA-1", "target-array", "a target that is an array", {**base, "pointers": [value("a", [1])]}, "E_DELTA_TARGET")
    yield bad("DELTA-1", "target-empty", "a reference to nothing", {**base, "pointers": [value("a", {"id": ""})]}, "E_DELTA_FIELD")
    yield bad("DELTA-1", "target-without-id", "a reference without an id", {**base, "pointers": [value("a", {"context": "x"})]}, "E_DELTA_FIELD")
    yield bad("DELTA-1", "context-empty", "an empty context", {**base, "pointers": [value("a", {"id": "x", "context": ""})]}, "E_DELTA_FIELD")
    yield bad("DELTA-1", "context-null", "a context that is null", {**base, "pointers": [value("a", {"id": "x", "context": None})]}, "E_DELTA_FIELD")
    yield bad("DELTA-4", "target-inexact", "a number that no double is", text(base).replace('"Ann"', "9007199254740993"), "E_DELTA_NUMBER")
    yield bad("DELTA-2", "twice", "a member twice", text(base)[:-1] + ',"id":"e"}', "E_DELTA_JSON")
    yield bad("DELTA-2", "role-twice", "a member of a pointer twice", text(base).replace('"role":"is"', '"role":"is","role":"is"'), "E_DELTA_FIELD")
    yield bad("DELTA-2", "too-deep", "nested too deep", text(base)[:-1] + ',"x":' + "[" * 32 + "]" * 32 + "}", "E_DELTA_JSON")
    yield bad("DELTA-2", "half", "half of a surrogate pair", text(base).replace("Ann", "\\ud800"), "E_DELTA_FIELD")
    yield bad("DELTA-2", "cut", "JSON that is cut", text(base)[:-1], "E_DELTA_JSON")
    yield bad("DELTA-2", "more", "more than JSON", text(base) + "x", "E_DELTA_JSON")
    yield bad("DELTA-2", "array", "an array", "[]", "E_DELTA_JSON")
    yield bad("DELTA-2", "pointers-many", "4,097 pointers", delta("d", 1, [value("a", 1)] * 4097), "E_DELTA_SIZE")
    yield bad("DELTA-5", "extras-many", "65 members that nobody knows", {**base, **{f"x{n}": 1 for n in range(65)}}, "E_DELTA_SIZE")
    for member in ("id", "author", "system"):
        for kind, wrong in {"a number": 1, "an array": ["x"], "an object": {"x": 1}, "true": True}.items():
            yield bad("DELTA-1", f"{member}-{kind}", f"{member} is {kind}", {**base, member: wrong}, "E_DELTA_FIELD")
    other = named[:-1] + ("a" if named[-1] != "a" else "e")
    yield bad("DELTA-7", "other-id", "the content id of another delta", {**base, "id": other}, "E_DELTA_CONTENT")
    yield bad("DELTA-7", "other-content", "another content under a content id", {**base, "id": named, "timestamp": 2}, "E_DELTA_CONTENT")
    yield bad("DELTA-7", "other-hash", "the hash of another delta", {**base, "hash": other}, "E_DELTA_CONTENT")


def signatures():
    base = deltas.read(text(delta("d", 1730000000000.25, [ref("of", "x", "name"), value("is", "Ann")])))
    signed = deltas.sign(SEED, base)
    key, other = (statement.to_did(statement.public(seed)) for seed in (SEED, OTHER))

    def change(**changes):
        changed = {**signed, **{n: v for n, v in changes.items() if n in signed}}
        extras = {n: v for n, v in changes.items() if n not in signed}
        changed["extras"] = {n: v for n, v in {**signed["extras"], **extras}.items() if v is not None}
        return {"json": deltas.write_delta(changed)}

    def renamed(changed):
        changed["id"] = deltas.content_id(changed)
        return {"json": deltas.write_delta(changed)}

    sig = deltas.plain(signed["extras"]["sig"])
    yield one("DELTA-11", "valid", "signed", "a signed delta", change())
    yield one("DELTA-11", "valid", "no-key", "without the key, which the author is", change(key=None))
    yield one("DELTA-11", "valid", "relayed", "with members that a relay added", change(seenBy='["x"]'))
    for name, comment, given, error in [
        ("unsigned", "no signature", change(sig=None), "E_DELTA_UNSIGNED"),
        ("uuid", "an id that is not the content id", change(id="d"), "E_DELTA_CONTENT"),
        ("other-key", "the key of somebody else", change(key=f'"{other}"'), "E_DELTA_AUTHOR"),
        ("no-author", "an author that is no key", renamed({**signed, "author": "alice", "extras": {"sig": f'"{sig}"'}}), "E_DELTA_AUTHOR"),
        ("other-author", "the author is somebody else", renamed({**signed, "author": other, "extras": {"sig": f'"{sig}"'}}), "E_SIGNATURE"),
        ("other-content", "another content", renamed({**signed, "timestamp": 1.0}), "E_SIGNATURE"),
        ("other-system", "another system", renamed({**signed, "system": "x"}), "E_SIGNATURE"),
        ("flipped", "a signature that does not hold", change(sig=f'"{sig[:-1]}{"1" if sig[-1] == "0" else "0"}"'), "E_SIGNATURE"),
        ("short", "a signature that is cut", change(sig=f'"{sig[:-2]}"'), "E_SIGNATURE"),
        ("upper", "a signature in upper case", change(sig=f'"{sig.upper()}"'), "E_SIGNATURE"),
        ("number", "a signature that is no text", change(sig="7"), "E_SIGNATURE"),
    ]:
        yield one("DELTA-11", "invalid", name, comment, given, error)
    # What no key signs: another domain over the same content.
    body = {"say": "hello"}
    foreign = statement.make(SEED, "example", body)[-64:].hex()
    yield one("DELTA-10", "invalid", "other-domain", "a signature of another statement", change(sig=f'"{foreign}"'), "E_SIGNATURE")
    assert key == signed["author"]


# --- keys of a space ------------------------------------------------------------------------------


def keys():
    def of(name, comment, given):
        return one("DELTA-31", "valid", name, comment, {"json": given if isinstance(given, str) else text(given)})

    yield of("none", "no reference", delta("d", 1))
    yield of("text", "a text is in no index", delta("d", 0.5, [value("is", "x")]))
    yield of("references", "with a context and without", delta("d", 1e300, [ref("a", "x", "c"), ref("b", "x"), ref("c", "\u00fc", "\u00e4")]))
    yield of("twice", "one target and context twice", delta("d", 2, [ref("a", "x", "c"), ref("b", "x", "c")]))
    yield of("negation", "a negation", negation("n", 1730000000000.25, "d", "e"))
    signed = deltas.sign(SEED, deltas.read(text(delta("d", 5, [ref("of", "x", "name")]))))
    yield of("signed", "a signed one", deltas.write_delta(signed))
    for name, given, error in [
        ("no-time", delta("d", 0), "E_DELTA_TIME"),
        ("no-id", delta("", 1), "E_DELTA_FIELD"),
        ("zero", delta("d", 1, [ref("a", "x\0y")]), "E_DELTA_FIELD"),
    ]:
        yield one("DELTA-31", "invalid", name, "what is no delta has no keys", {"json": text(given)}, error)


# --- filters and what counts ----------------------------------------------------------------------


# What no list of texts, and what no number and no truth, is.
NO_LISTS = {"a text": "a", "an object": {}, "true": True, "nested": [["a"]], "with null": ["a", None], "with a truth": [True]}
NO_ENDS = {"a text": "1", "an array": [1], "an object": {"a": 1}}


def filters():
    some = [
        delta("a", 10, [ref("of", "x", "name"), value("is", "Ann")]),
        delta("b", 20, [ref("of", "y", "age"), value("is", 7)], "bob"),
        delta("c", 30, [ref("of", "x"), ref("by", "z", "wrote")], "bob", "phone"),
        negation("n", 40, "a"),
    ]
    some = list(map(text, some))

    def given(filter_):
        return {"filter": filter_ if isinstance(filter_, str) else text(filter_), "deltas": some}

    for name, comment, filter_ in [
        ("empty", "no field", {}),
        ("ids", "ids", {"ids": ["a", "q"]}),
        ("targets", "any target", {"targetIds": ["x", "z"]}),
        ("contexts", "any context", {"targetContexts": ["wrote", "age"]}),
        ("both", "target and context of two pointers", {"targetIds": ["x"], "targetContexts": ["wrote"]}),
        ("authors", "authors", {"authors": ["bob"]}),
        ("systems", "systems", {"systems": ["phone"]}),
        ("and", "author and system", {"authors": ["alice"], "systems": ["phone"]}),
        ("range", "both ends", {"timestampRange": {"start": 10, "end": 30}}),
        ("start", "from a time", {"timestampRange": {"start": 20.5}}),
        ("end", "until a time", {"timestampRange": {"end": 10}}),
        ("no-range", "a range without ends", {"timestampRange": {}}),
        ("nobody", "an empty list", {"authors": []}),
        ("null", "what is null is absent", {"authors": None, "timestampRange": {"start": None}, "includeNegated": None}),
        ("negated", "negated ones too", {"includeNegated": True}),
        ("unknown", "a field that nobody knows", {"predicate": "x", "targetContexts": ["negated_by"]}),
        ("repeated", "a text twice", {"ids": ["b", "a", "b"]}),
    ]:
        yield one("DELTA-13", "valid", name, comment, given(filter_))
    for name, comment, filter_ in [
        ("array", "an array", "[]"),
        ("cut", "cut", "{"),
        ("twice", "a field twice", '{"ids":[],"ids":["a"]}'),
        ("text", "a list that is a text", {"authors": "bob"}),
        ("number", "a number in a list", {"authors": [1]}),
        ("many", "1,025 texts", {"ids": [f"{n}" for n in range(1025)]}),
        ("range", "a range that is an array", {"timestampRange": [1, 2]}),
        ("end", "an end that is a text", {"timestampRange": {"end": "1"}}),
        ("inexact", "an end that no double is", '{"timestampRange":{"end":9007199254740993}}'),
        ("negated", "includeNegated that is a number", {"includeNegated": 1}),
        *((f"{field}-{kind}", f"{field} is {kind}", {field: bad}) for field in deltas.LISTS for kind, bad in NO_LISTS.items()),
        *((f"{end}-{kind}", f"{end} is {kind}", {"timestampRange": {end: bad}}) for end in ("start", "end") for kind, bad in NO_ENDS.items()),
        *((f"negated-{kind}", f"includeNegated is {kind}", {"includeNegated": bad}) for kind, bad in NO_ENDS.items()),
        ("deep", "nested too deep", '{"x":' + "[" * 32 + "]" * 32 + "}"),
    ]:
        yield one("DELTA-13", "invalid", name, comment, given(filter_), "E_DELTA_FILTER")


def visibles():
    def given(some, at=None, who="anyone"):
        return {"deltas": list(map(text, some)), "at": at, "who": who}

    chain = [delta("a", 10), negation("b", 20, "a"), negation("c", 30, "b"), negation("d", 40, "c")]
    circle = [negation("a", 10, "b"), negation("b", 10, "a"), delta("x", 5), negation("c", 20, "x", "a")]
    mixed = [delta("a", 10), negation("b", 20, "a", author="bob"), negation("m", 30, "a", "b", author="mod")]
    for name, comment, one_given in [
        ("none", "no deltas", given([])),
        ("alone", "one delta", given([delta("a", 1)])),
        ("negated", "one that is negated", given(chain[:2])),
        ("again", "a negation that is negated", given(chain[:3])),
        ("thrice", "and that too", given(chain)),
        ("order", "in another order, and twice", given([chain[2], chain[0], chain[1], chain[2]])),
        ("before", "before a negation", given(chain, "19.5")),
        ("at", "at the time of a negation", given(chain, "20")),
        ("between", "between two negations", given(chain, "35")),
        ("early", "a negation that says it is older", given([delta("a", 10), negation("b", 5, "a")])),
        ("missing", "a negation of what is not there", given([negation("b", 5, "a")])),
        ("two", "two negations, one of them negated", given([delta("a", 1), negation("b", 2, "a"), negation("c", 3, "a"), negation("d", 4, "b")])),
        ("many", "a negation of several", given([delta("a", 1), delta("b", 1), negation("c", 2, "a", "b")])),
        ("itself", "a negation of itself", given([negation("a", 1, "a")])),
        ("circle", "two that negate each other", given(circle[:2])),
        ("circle-and-more", "a circle that is negated from outside", given(circle)),
        ("circle-later", "a circle of which one is not there yet", given([negation("a", 10, "b"), negation("b", 20, "a")], "15")),
        ("circle-of-three", "three in a circle", given([negation("a", 1, "b"), negation("b", 1, "c"), negation("c", 1, "a")])),
        ("other-context", "another context negates nothing", given([delta("a", 1), delta("b", 2, [ref("negates", "a", "negated")])])),
        ("no-context", "nor does none", given([delta("a", 1), delta("b", 2, [ref("negates", "a")])])),
        ("other-role", "nor another role", given([delta("a", 1), delta("b", 2, [ref("negate", "a", "negated_by")])])),
        ("anyone", "whoever negates", given(mixed)),
        ("same-author", "only authors negate", given(mixed, None, "same-author")),
        ("moderators", "a moderator negates", given(mixed, None, ["mod"])),
        ("conflict", "two contents of one id", given([delta("a", 1), negation("b", 2, "a"), delta("b", 3)])),
    ]:
        yield one("DELTA-21", "valid", name, comment, one_given)


# --- views ----------------------------------------------------------------------------------------


def views():
    name = {"name": {"source": "name", "resolve": "mostRecent"}}
    post = {"id": "post", "name": "Post", "transform": {"author": {"schema": "person"}}}
    person = {"id": "person", "name": "Person"}
    some = [
        delta("t1", 10, [ref("post", "p", "title"), value("is", "Draft")]),
        delta("t2", 20, [ref("post", "p", "title"), value("is", "On deltas")], "bob", "phone"),
        delta("t3", 20, [ref("post", "p", "title"), value("is", "Draft")]),
        delta("by", 15, [ref("post", "p", "author"), ref("author", "ann", "posts")]),
        delta("n1", 5, [ref("of", "ann", "name"), value("is", "Ann")]),
        delta("n2", 6, [ref("of", "ann", "name"), value("is", "Anne")]),
        negation("x", 7, "n2"),
        delta("s1", 30, [ref("post", "p", "stars"), value("is", 1)]),
        delta("s2", 31, [ref("post", "p", "stars"), value("is", 0.1)], "bob"),
        delta("s3", 32, [ref("post", "p", "stars"), value("is", "many")]),
        delta("odd", 33, [ref("post", "p"), ref("self", "p", "id"), ref("self", "p", "_x"), ref("self", "p", "title")]),
    ]

    def given(schemas, schema, obj, view, at=None, deltas_=some):
        return {
            "deltas": list(map(text, deltas_)),
            "schemas": [schema if isinstance(schema, str) else text(schema) for schema in schemas],
            "schema": schema,
            "object": obj,
            "view": view if isinstance(view, str) else text(view),
            "at": at,
        }

    def stars(how, **more):
        return {"stars": {"source": "stars", "resolve": how, **more}}

    both = [post, person]
    nested = {"author": {"source": "author", "extract": "author", "resolve": "mostRecent", "view": name}}
    patterns = {
        "id": "post",
        "name": "Post",
        "version": 3,
        "select": [{"roles": ["post"], "contexts": ["title", "stars"]}, {"contexts": ["author"], "property": "by"}, {"roles": ["self"], "property": "me"}],
        "onContext": {"by": {"schemaId": "person", "when": {"authors": ["alice"]}}},
    }
    for case, comment, one_given in [
        ("nothing", "an object of which nothing was said", given(both, "post", "q", name)),
        ("title", "the last in the total order", given(both, "post", "p", {"title": {"source": "title", "resolve": "mostRecent"}})),
        ("first", "the first", given(both, "post", "p", {"title": {"source": "title", "resolve": "firstWrite"}})),
        ("nested", "a view in a view", given(both, "post", "p", nested)),
        ("nested-id", "a nested view as its id", given(both, "post", "p", {"a": {"source": "author", "resolve": "allValues"}})),
        ("negated", "what is negated is not there", given(both, "person", "ann", name)),
        ("past", "the past", given(both, "person", "ann", name, "6")),
        ("before", "before anything", given(both, "person", "ann", name, "1")),
        ("author", "a trusted author", given(both, "post", "p", {"title": {"source": "title", "resolve": {"trustedAuthor": ["eve", "bob"]}}})),
        ("system", "a trusted system", given(both, "post", "p", {"title": {"source": "title", "resolve": {"trustedSystem": ["laptop", "phone"]}}})),
        ("consensus", "what most say", given(both, "post", "p", {"title": {"source": "title", "extract": "is", "resolve": "consensus"}})),
        ("consensus-tie", "of two the later", given(both, "post", "p", {"title": {"source": "title", "extract": "is", "resolve": "consensus"}}, "19")),
        ("all", "all values", given(both, "post", "p", stars("allValues"))),
        ("average", "the average of numbers", given(both, "post", "p", stars("average"))),
        ("min", "the least", given(both, "post", "p", stars("min"))),
        ("max", "the greatest", given(both, "post", "p", stars("max"))),
        ("type", "only integers", given(both, "post", "p", stars("allValues", type="Integer"))),
        ("texts", "only texts", given(both, "post", "p", stars("mostRecent", type="String"))),
        ("no-value", "a property without a value", given(both, "post", "p", stars("mostRecent", type="Boolean"))),
        ("patterns", "patterns, and a rule of a property with a condition", given([patterns, person], "post", "p", nested)),
        ("meta", "a schema seen as an object", given([person], "person", "post", {}, None, [delta("m", 1, [ref("schema", "post", "name"), value("name", "Post")])])),
    ]:
        yield one("DELTA-44", "valid", case, comment, one_given)
    for at, address in enumerate(("a@b.c", "a@b", "@b.c", "a@b..c", "a b@c.d", "a@b@c.d", "\u00fc@b.c")):
        mails = [delta("m", 1, [ref("of", "q", "mail"), value("is", address)])]
        view = {"mail": {"source": "mail", "resolve": "mostRecent", "type": "String.EmailAddress"}}
        yield one("DELTA-46", "valid", f"mail-{at}", f"the text {address}", given([person], "person", "q", view, None, mails))
    for year in (1799, 1800, 2100, 2101, 1900.5):
        years = [delta("y", 1, [ref("of", "q", "year"), value("is", year)])]
        view = {"year": {"source": "year", "resolve": "mostRecent", "type": "Integer.Year"}}
        yield one("DELTA-46", "valid", f"year-{year}", f"the number {year}", given([person], "person", "q", view, None, years))
    circle = [{**person, "transform": {"friend": {"schema": "post"}}}, post]

    def chain(count):
        linked = [{"id": f"s{n}", "name": "S", "transform": {"x": {"schema": f"s{n + 1}"}}} for n in range(count - 1)]
        return [*linked, {"id": f"s{count - 1}", "name": "S"}]

    yield one("DELTA-41", "valid", "chain", "a chain of 16", given(chain(16), "s0", "p", {}))
    for case, comment, one_given in [
        ("circle", "schemas in a circle", given(circle, "post", "p", {})),
        ("self", "a schema that uses itself", given([{**person, "transform": {"x": {"schema": "person"}}}], "person", "p", {})),
        ("missing", "a schema that is not there", given([post], "post", "p", {})),
        ("chain", "a chain of 17", given(chain(17), "s0", "p", {})),
        ("long-chain", "a chain of 40", given(chain(40), "s0", "p", {})),
        ("select", "an unknown selector", given([{**person, "select": "all"}], "person", "p", {})),
        ("name", "no name", given([{"id": "person"}], "person", "p", {})),
        ("version", "a version that is no number", given([{**person, "version": "1"}], "person", "p", {})),
        ("when", "a condition that is no filter", given([{**post, "transform": {"a": {"schema": "post", "when": {"ids": 1}}}}], "post", "p", {})),
        ("cut", "a schema that is cut", given(["{"], "post", "p", {})),
    ]:
        yield one("DELTA-41", "invalid", case, comment, one_given, "E_DELTA_SCHEMA")
    for case, view in {
        "strategy": {"a": {"source": "b", "resolve": "newest"}},
        "trusted": {"a": {"source": "b", "resolve": {"trustedAuthor": "alice"}}},
        "source": {"a": {"resolve": "min"}},
        "type": {"a": {"source": "b", "resolve": "min", "type": "Float"}},
    }.items():
        yield one("DELTA-47", "invalid", case, f"no {case} that there is", given(both, "post", "p", view), "E_DELTA_SCHEMA")


# --- entries as deltas ----------------------------------------------------------------------------

SPACE = "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
COMMIT = "bafyreidykglsfhoixmivffc5uwhcgshx4j465xwqntbmu43nb2dzqwfvae"
FILE = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
DEVICE = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"


def entry(millis, counter=0, **said):
    return {"stamp": str(millis << 16 | counter), **said}


def told():
    def of(entry_, key=b"k", branch="main", **more):
        return {"space": SPACE, "branch": branch, "key": key.hex(), "entry": entry_, **more}

    def ok(name, comment, given):
        return one("DELTA-50", "valid", name, comment, given)

    yield ok("text", "a text", of(entry(1730000000000, bytes=b"on \xe2\x82\xac".hex())))
    yield ok("counter", "a counter, which the timestamp does not say", of(entry(1730000000000, 65535, bytes=b"1".hex())))
    yield ok("empty", "no bytes are a text", of(entry(5, bytes="")))
    yield ok("zero", "a text may have U+0000", of(entry(5, bytes=b"a\0b".hex())))
    yield ok("hex", "bytes that are no text", of(entry(5, bytes="ff00")))
    yield ok("deleted", "a tombstone", of(entry(5, deleted=True)))
    yield ok("file", "a file is named", of(entry(5, file=FILE)))
    yield ok("time", "a stamp of 0 is at 1", of(entry(0, 3, bytes="31")))
    yield ok("escapes", "what is escaped in a key", of(entry(5, bytes="31"), key="a/b c:\u00e9%~".encode() + b"\xff\0"))
    yield ok("branch", "a branch has no / of its own", of(entry(5, bytes="31"), branch="notes/draft"))
    yield ok("longest", "the longest key", of(entry(5, bytes="31"), key=b"k" * (512 - 8 - len(SPACE) - 6)))
    newer = of(entry(6, bytes="32"), lesser=entry(5, 9, bytes="31"))
    yield one("DELTA-51", "valid", "negation", "of the lesser by the greater", newer)
    gone = of(entry(6, deleted=True), lesser=entry(6, bytes="31"))
    yield one("DELTA-51", "valid", "deletion", "of a value by a tombstone", gone)
    for name, key in [("long", b"k" * (512 - 8 - len(SPACE) - 5)), ("escaped", b"\xff" * 200), ("blanks", b" " * 160)]:
        yield one("DELTA-50", "invalid", name, "a key that no name has room for", of(entry(5, bytes="31"), key=key), "E_DELTA_SIZE")


def commits():
    def of(**more):
        given = {"space": SPACE, "commit": COMMIT, "agent": DEVICE, "device": DEVICE, "message": "a change"}
        return {**given, "stamp": str(7 << 16), "parents": [], "changes": [], **more}

    yield one("DELTA-52", "valid", "first", "without parents", of(changes=["d1"]))
    yield one("DELTA-52", "valid", "merge", "with two parents", of(parents=[SPACE, FILE], changes=["d2", "d1"], message=""))
    many = [f"d{number}" for number in range(1001)]
    yield one("DELTA-52", "valid", "many", "of more than 1,000 changes the first", of(changes=many))


def files():
    yield "deltas/number.json", list(numbers())
    yield "deltas/delta.json", list(bodies())
    yield "deltas/signature.json", list(signatures())
    yield "deltas/keys.json", list(keys())
    yield "deltas/filter.json", list(filters())
    yield "deltas/visible.json", list(visibles())
    yield "deltas/view.json", list(views())
    yield "deltas/told.json", list(told())
    yield "deltas/commit.json", list(commits())
