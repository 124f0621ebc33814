"""The cases of the TYPE vectors: each accept in full, each reject with one fault."""

import statement as s


def field(name, kind="string", /, **others):
    made = {
        "check": None, "default": None, "kind": kind, "list": False, "name": name,
        "required": False, "unique": False, "was": [],
    }  # fmt: skip
    return made | others


def a_type(*fields, **others):
    fields = [field(*one.split(":", 1)) if isinstance(one, str) else one for one in fields]
    return {"check": None, "closed": False, "fields": fields, "received": "flag"} | others


def without(definition, name):
    return {key: value for key, value in definition.items() if key != name}


def case(page_rule, name, comment, given, error=None):
    return (f"{page_rule}/{'invalid' if error else 'valid'}/{name}", comment, given, error)


# Definitions

USER = a_type(
    field("id", required=True, unique=True),
    field("age", "integer", default="18", check="age >= 0"),
    field("mail", "string", list=True, was=["email", "address"]),
    field("boss", "ref:user"),
    check="age < 200 AND id <> ''",
    closed=True,
    received="quarantine",
)


def definitions():
    def one(name, comment, definition, error=None, rule=1):
        return case(f"TYPE-{rule}", name, comment, {"bytes": s.encode(definition).hex()}, error and "E_TYPE")

    def raw(name, comment, data):
        return case("TYPE-2", name, comment, {"bytes": data.hex()}, "E_TYPE")

    yield one("field", "one field", a_type("a"))
    yield one("all", "all that there is", USER)
    kinds = ["string", "number", "integer", "float", "boolean", "timestamp", "bytes", "ref:user_2"]
    yield one("kinds", "every kind, and a list of each", a_type(*(
        field(f"f{at}{'s' * of}", kind, list=bool(of)) for at, kind in enumerate(kinds) for of in (0, 1)
    )))  # fmt: skip
    yield one("refuse", "what is received may be refused", a_type("a", received="refuse"))
    yield one("name-long", "a name of 128 bytes", a_type("\u00e4" * 64))
    yield one("name-odd", "a name with what else there is", a_type(field("a b'\\:*\U0001f600")))
    yield one("name-case", "names that differ in the case of a letter", a_type("a", "A"))
    yield one("ref-long", "a name of a type of 64 letters", a_type(f"a:ref:{'Z' * 64}"))
    yield one("fields", "256 fields", a_type(*(f"f{at}" for at in range(256))))
    yield one("required-default", "a required field with a default", a_type(field("a", default='""', required=True)))
    yield one("default-null", "a default that is null", a_type(field("a", default="null")))
    yield one("default-space", "a default with space around it", a_type(field("a", "integer", default="\n 5\t")))
    yield one("default-list", "a default of a list", a_type(field("a", "number", list=True, default="[1, 2.50]")))
    yield one("default-timestamp", "a default of a timestamp", a_type(field("a", "timestamp", default='"2026-11-26T08:00:00+01:00"')))
    yield one("default-check", "a default that breaks the check", a_type(field("a", "integer", default="-1", check="a >= 0")))
    yield one("check-other", "a check of a field that names another", a_type(field("a", check="a < b"), "b"))
    yield one("check-within", "a check that names a part of a field", a_type(field("a", check="a.b IS NULL")))
    yield one("check-none", "a check that names no field", a_type("a", check="1 = 1"))
    yield one("check-spelling", "a check in another spelling", a_type("a", check="not(a==1)"))
    yield one("check-quoted", "a check that names a field with a space", a_type("a b", check='"a b" <> 1'))

    bad = [
        ("no-fields", "no field", a_type()),
        ("fields", "257 fields", a_type(*(f"f{at}" for at in range(257)))),
        ("name-empty", "a name without a byte", a_type(field(""))),
        ("name-long", "a name of 129 bytes", a_type("a" + "\u00e4" * 64)),
        ("name-point", "a name with a point", a_type(field("a.b"))),
        ("name-quote", "a name with a quotation mark", a_type(field('a"'))),
        ("name-control", "a name with a line feed", a_type(field("a\n"))),
        ("name-delete", "a name with the character U+007F", a_type(field("a\x7f"))),
        ("name-c1", "a name with a control character beyond ASCII", a_type(field("a\x85"))),
        ("name-twice", "two fields of a name", a_type("a", "a")),
        ("was-name", "a former name that another has", a_type("a", field("b", was=["a"]))),
        ("was-own", "a former name that it has", a_type(field("a", was=["a"]))),
        ("was-twice", "a former name of two fields", a_type(field("a", was=["c"]), field("b", was=["c"]))),
        ("was-list", "a former name twice in its list", a_type(field("a", was=["c", "c"]))),
        ("was-odd", "a former name with a point", a_type(field("a", was=["b.c"]))),
        ("was-empty", "a former name without a byte", a_type(field("a", was=[""]))),
        ("kind", "a kind that there is not", a_type("a:text")),
        ("kind-case", "a kind in capitals", a_type("a:String")),
        ("kind-space", "a kind with a space", a_type("a:string ")),
        ("ref-empty", "a reference to no type", a_type("a:ref:")),
        ("ref-digit", "a type whose name begins with a digit", a_type("a:ref:1a")),
        ("ref-letter", "a type whose name has another letter", a_type("a:ref:b-c")),
        ("ref-long", "a name of a type of 65 letters", a_type(f"a:ref:{'Z' * 65}")),
        ("ref-unicode", "a letter beyond ASCII", a_type("a:ref:b\u00e4")),
        ("received", "another word for what is received", a_type("a", received="ignore")),
        ("received-case", "the word in capitals", a_type("a", received="Flag")),
        ("check-expression", "a check that is no expression", a_type("a", check="a >")),
        ("check-field", "a check that names no field of the type", a_type("a", check="b = 1")),
        ("check-case", "a check that names a field in capitals", a_type("a", check="A = 1")),
        ("check-was", "a check that names what a field was", a_type(field("a", was=["b"]), check="b = 1")),
        ("check-function", "a check with a function that there is not", a_type("a", check="matches(a, 'b')")),
        ("field-check", "a check of a field that is no expression", a_type(field("a", check=""))),
        ("field-check-field", "a check of a field that names none", a_type(field("a", check="a = b"))),
        ("default-kind", "a default of another kind", a_type(field("a", "integer", default='"5"'))),
        ("default-fraction", "a default with a fraction", a_type(field("a", "integer", default="5.5"))),
        ("default-json", "a default that is no JSON", a_type(field("a", default="a"))),
        ("default-empty", "a default without a byte", a_type(field("a", default=""))),
        ("default-two", "two values as a default", a_type(field("a", "integer", default="5 6"))),
        ("default-plus", "a number with a plus", a_type(field("a", "float", default="+5"))),
        ("default-point", "a number that begins with its point", a_type(field("a", "float", default=".5"))),
        ("default-number", "a number that is too large", a_type(field("a", "number", default="1e1039"))),
        ("default-blank", "a space that JSON does not have", a_type(field("a", default="\u00a0null"))),
        ("default-one", "one value as the default of a list", a_type(field("a", list=True, default='"b"'))),
        ("default-many", "a list as the default of one value", a_type(field("a", default='["b"]'))),
        ("required-null", "a required field that is null by default", a_type(field("a", required=True, default="null"))),
        ("required-null-space", "the same with space around it", a_type(field("a", required=True, default=" null "))),
        ("large", "too many bytes", a_type(*(field(f"f{at}", check="'" + "x" * 4000 + "' = 'y'") for at in range(17)))),
    ]
    for name, comment, definition in bad:
        yield one(name, comment, definition, "E_TYPE")
    for name in a_type():
        yield one(f"without-{name}", "a member is missing", without(a_type("a"), name), "E_TYPE")
    for name in field("a"):
        yield one(f"field-without-{name}", "a member of a field is missing", a_type(without(field("a"), name)), "E_TYPE")
    for name, value in (("check", 1), ("closed", None), ("fields", {}), ("received", None), ("more", None)):
        yield one(f"other-{name}", "a member of another type, or one more", a_type("a", **{name: value}), "E_TYPE")
    for name, value in (
        ("check", b"a"), ("default", 5), ("kind", None), ("list", 0), ("name", None), ("required", None), ("unique", "true"), ("was", "b"), ("more", True),
    ):
        yield one(f"field-other-{name}", "a member of another type, or one more", a_type(field("a", **{name: value})), "E_TYPE")
    yield one("was-number", "a former name that is none", a_type(field("a", was=[1])), "E_TYPE")
    plain = s.encode(a_type("a"))
    yield raw("empty", "no bytes", b"")
    yield raw("short", "the last byte is missing", plain[:-1])
    yield raw("trailing", "a byte follows", plain + b"\xf6")
    yield raw("array", "a list in the place of the map", s.encode(list(a_type("a").values())))
    yield raw("text", "a text", s.encode("type"))
    yield raw("json", "the same in JSON", b'{"check":null,"closed":false,"fields":[],"received":"flag"}')
    order = b"\xa4" + b"".join(s.encode(key) + s.encode(value) for key, value in sorted(a_type("a").items(), reverse=True))
    yield raw("order", "members in another order", order)
    yield raw("head", "a head that is not the shortest", b"\xb8\x04" + plain[1:])
    yield raw("utf8", "a name that is no UTF-8", plain.replace(b"dnamea" + b"a", b"dnamea" + b"\xff").replace(b"\x64name\x61a", b"\x64name\x61\xff"))


# Records

PERSON = a_type(
    field("id", required=True),
    field("age", "integer", check="age >= 0"),
    field("rate", "number", default="1.50"),
    field("mail", was=["address", "email"]),
    field("tags", list=True),
    check="age < 200",
)
MALFORMED = [
    ("empty", "no bytes", ""),
    ("array", "an array", '[{"id":"1"}]'),
    ("text", "a string", '"id"'),
    ("null", "null", "null"),
    ("cut", "an end that is missing", '{"id":"1"'),
    ("two", "two objects", '{"id":"1"}{}'),
    ("comma", "a comma behind the last", '{"id":"1",}'),
    ("comment", "a comment", '{"id":"1"}//'),
    ("single", "other quotation marks", "{'id':'1'}"),
    ("bare", "a name without quotation marks", '{id:"1"}'),
    ("nan", "a number that JSON does not have", '{"id":"1","a":NaN}'),
    ("infinity", "another one", '{"id":"1","a":-Infinity}'),
    ("plus", "a number with a plus", '{"id":"1","a":+1}'),
    ("zero", "a number that begins with 0", '{"id":"1","a":01}'),
    ("point", "a number that ends with its point", '{"id":"1","a":1.}'),
    ("control", "a line feed in a string", '{"id":"1\n"}'),
    ("escape", "an escape that there is not", '{"id":"\\x31"}'),
    ("escape-cut", "an escape that is too short", '{"id":"\\u12"}'),
    ("blank", "a space that JSON does not have", '{\u00a0"id":"1"}'),
    ("bom", "a mark of the order of bytes", '\ufeff{"id":"1"}'),
    ("twice", "a name twice", '{"id":"1","id":"1"}'),
    ("twice-escaped", "a name twice, once with an escape", '{"id":"1","\\u0069d":"2"}'),
    ("twice-other", "a name twice that the type does not have", '{"id":"1","x":1,"x":1}'),
    ("surrogate-name", "a name with half of a surrogate pair", '{"id":"1","\\ud800":1}'),
    ("deep-open", "arrays that do not end", '{"id":"1","a":' + "[" * 200 + "}"),
]
# By kind: texts of JSON that read, and that do not.
READS = {
    "string": (['""', '"a\\"\\u00e4\\ud83d\\ude00\\/\\n"', '"\U0001f600"', "null"], ["1", "true", '["a"]', "{}", '"\\ud83d"', '"\\ude00\\ud83d"']),
    "number": (["0", "-0", "1.50", "1e3", "0.1", "9" * 38, "7e1000"], ['"1"', "true", "1" * 39, "1e1001", "1e-1001", "[1]"]),
    "integer": (["0", "5", "-5", "5.0", "50e-1", "1e38"], ["5.5", "5e-1", '"5"', "1" * 39, "false", "1e-1000"]),
    "float": (["0", "-0.0", "1", "0.1", "1.7976931348623157e308", "1e-400", "1" * 50, "5e-324"], ["1.7976931348623159e308", "-1e400", '"1"', "true"]),
    "boolean": (["true", "false"], ["0", '"true"', "[]"]),
    "timestamp": (
        [
            '"2026-11-26T08:00:00Z"', '"2026-11-26T08:00:00.5+01:00"', '"2026-11-26t08:00:00.123456z"', '"2024-02-29T00:00:00-00:00"',
            '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59.999999-23:59"', '"1969-12-31T23:59:59.000000Z"',
        ],
        [
            '"2026-11-26"', '"2026-11-26 08:00:00Z"', '"2026-11-26T08:00:00"', '"2026-11-26T08:00Z"', '"2026-11-26T08:00:00.1234567Z"',
            '"2026-11-26T08:00:00.Z"', '"2026-11-26T08:00:60Z"', '"2026-11-26T24:00:00Z"', '"2023-02-29T00:00:00Z"', '"0000-01-01T00:00:00Z"',
            '"10000-01-01T00:00:00Z"', '"+2026-01-01T00:00:00Z"', '"2026-11-26T08:00:00+24:00"', '"2026-11-26T08:00:00+01:60"',
            '"2026-11-26T08:00:00+0100"', '"2026-11-26T08:00:00+01"', '" 2026-11-26T08:00:00Z"', '"2026-1-26T08:00:00Z"', "1700000000", '""',
            '"\u0662\u0660\u0662\u0666-11-26T08:00:00Z"',
        ],
    ),
    "bytes": (['""', '"AA=="', '"AAE="', '"+/8A"'], ['"AA"', '"AA="', '"AB=="', '"AA==AA=="', '"AA==\\n"', '"-_8A"', '"A"', "[0]", '"===="']),
    "ref:user": (['"2"', '""', '"any:thing"'], ["2", '{"id":"2"}', "true"]),
}  # fmt: skip
LISTS = ["[]", '["a","b","a"]', '[ "a" ]', "null"]
NO_LISTS = ['"a"', '["a",1]', '["a",null]', '[["a"]]', '{"0":"a"}']


def records():
    def one(rule, name, comment, definition, text, paths=(), error=None, **more):
        given = {"definition": definition, "text": text, "paths": list(paths)} | more
        return case(f"TYPE-{rule}", name, comment, given, error)

    full = '{"id":"1","age":30,"rate":0.10,"mail":"a@b","tags":["x", "y"]}'
    names = ["id", "age", "rate", "mail", "tags"]
    yield one(4, "all", "each field under its name", PERSON, full, names)
    yield one(4, "none", "what is not there, and a default", PERSON, '{"id":"1"}', names)
    yield one(4, "null", "a null is there, so that the default is not read", PERSON, '{"id":"1","rate":null}', names)
    yield one(4, "was", "the name that it had last", PERSON, '{"id":"1","address":"old","email":"last"}', ["mail"])
    yield one(4, "was-first", "the name that it had first", PERSON, '{"id":"1","address":"old"}', ["mail"])
    yield one(4, "was-null", "a null under its name hides the others", PERSON, '{"id":"1","mail":null,"email":"last"}', ["mail"])
    yield one(4, "was-default", "a former name is read before the default", a_type(field("a", default='"d"', was=["b"])), '{"b":"c"}', ["a"])
    yield one(4, "was-unreadable", "what is under its name hides the others, even if it cannot be read", PERSON, '{"id":"1","mail":5,"email":"last"}', ["mail"])
    yield one(4, "was-path", "a former name is read as itself without a definition", PERSON, '{"id":"1","email":5}', ["email", "mail"])
    yield one(4, "escaped-name", "a name with an escape", PERSON, '{"\\u0069d":"1"}', ["id"])
    yield one(4, "default-list", "a default that is a list", a_type(field("a", "number", list=True, default=" [1, 2.50] ")), "{}", ["a"])
    yield one(4, "space", "space wherever it can be", PERSON, ' {\t"id" :\r\n"1" , "tags" : [ "x" , "y" ] } ', ["id", "tags"])
    for kind, (good, bad) in READS.items():
        of = a_type(f"f:{kind}")
        word = kind.split(":")[0]
        for at, text in enumerate(good):
            yield one(4, f"{word}-{at}", "what reads", of, f'{{"f":{text}}}', ["f"])
        for at, text in enumerate(bad):
            yield one(5, f"{word}-{at}", "what does not read is null, and broken", of, f'{{"f":{text}}}', ["f"])
    for at, text in enumerate(LISTS):
        yield one(4, f"list-{at}", "a list", a_type(field("f", list=True)), f'{{"f":{text}}}', ["f"])
    for at, text in enumerate(NO_LISTS):
        yield one(5, f"list-{at}", "no list of that kind is null, and broken", a_type(field("f", list=True)), f'{{"f":{text}}}', ["f"])

    for name, comment, text in MALFORMED:
        yield one(5, name, comment, PERSON, text, error="E_RECORD")
        if name in ("array", "twice-other"):
            yield one(5, f"{name}-untyped", f"{comment}, without a definition", None, text, error="E_RECORD")
    yield case("TYPE-5", "utf8", "bytes that are no UTF-8", {"definition": PERSON, "bytes": b'{"id":"\xff"}'.hex(), "paths": []}, "E_RECORD")
    yield one(5, "long", "a byte more than 1 MiB", PERSON, '{"id":"1"}', error="E_RECORD", spaces=(1 << 20) - 9)
    yield one(5, "long", "1 MiB", PERSON, '{"id":"1"}', ["id"], spaces=(1 << 20) - 10)
    yield one(5, "object-empty", "an object without fields", a_type("a"), "{}", ["a"])
    yield one(5, "twice-within", "a name twice within a field", PERSON, '{"id":"1","x":{"y":1,"y":2}}', ["x", "x.y"])
    yield one(5, "deep", "an array of many levels", PERSON, '{"id":"1","x":' + "[" * 300 + "]" * 300 + "}", ["id"])

    everything = '{"n":null,"t":true,"f":false,"x":1.50,"s":"a\\u0062","a":[1, {"b":2}],"o":{"p":{"q":"r"},"":0},"big":1e5000,"long":' + "1" * 39 + ',"half":"\\ud800"}'
    yield one(6, "kinds", "what each is in JSON", None, everything, ["n", "t", "f", "x", "s", "a", "o", "big", "long", "half", "none"])
    yield one(6, "within", "a field within another", None, everything, ["o.p", "o.p.q", 'o.""', "o.p.z", "s.p", "a.b", "none.p", "n.n"])
    yield one(6, "beside", "a field that the type does not have", PERSON, '{"id":"1","x":[1],"y":{"z":2}}', ["x", "y.z", "Id"])
    yield one(6, "within-typed", "a field within one of the type", PERSON, '{"id":{"x":"y"}}', ["id", "id.x"])

    for name, comment, text in (
        ("required-none", "a required field is missing", "{}"),
        ("required-null", "a required field is null", '{"id":null}'),
        ("required-unreadable", "a required field cannot be read", '{"id":1}'),
        ("check", "a check of a field is false", '{"id":"1","age":-1}'),
        ("check-whole", "the check of the type is false", '{"id":"1","age":200}'),
        ("check-null", "a check that is null", '{"id":"1","age":null}'),
        ("check-unreadable", "a field that cannot be read is null to checks", '{"id":"1","age":"x"}'),
        ("several", "several are broken", '{"age":-1.5,"rate":"x","tags":1}'),
        ("open", "other fields of a type that is not closed", '{"id":"1","zip":"0001"}'),
    ):
        yield one(7, name, comment, PERSON, text, names)
    yield one(7, "required-default", "a default is enough for a required field", a_type(field("a", default='"d"', required=True)), "{}", ["a"])
    yield one(7, "required-default-null", "but null is not", a_type(field("a", default='"d"', required=True)), '{"a":null}', ["a"])
    yield one(7, "required-list", "a list without elements is there", a_type(field("a", list=True, required=True)), '{"a":[]}', ["a"])
    yield one(7, "closed", "other fields of a closed type", PERSON | {"closed": True}, '{"id":"1","zip":"0001","Age":1}', ["zip"])
    yield one(7, "closed-was", "former names of a closed type", PERSON | {"closed": True}, '{"id":"1","email":"a"}', ["mail"])
    for name, comment, check, text in (
        ("failing", "a check that cannot be computed", "a + 1 > 0", '{"a":"x"}'),
        ("no-truth", "a check that gives a number", "1", "{}"),
        ("no-truth-text", "a check that gives a text", "a", '{"a":"true"}'),
        ("gives-null", "a check that gives null", "NULL", "{}"),
        ("list", "a list is its text to a check", "b = '[\"x\", \"y\"]'", '{"b":["x", "y"]}'),
        ("list-false", "another list is another text", "b = '[\"x\", \"y\"]'", '{"b":["x","y"]}'),
        ("kinds", "a text is greater than a number", "a > 5", '{"a":"1"}'),
    ):
        yield one(7, f"check-{name}", comment, a_type("a", field("b", list=True), check=check), text)
        yield one(7, f"field-check-{name}", comment, a_type(field("a", check=check), field("b", list=True)), text)


# Changes

OLD = a_type("a", "n:integer", field("r", required=True), field("d", required=True, default='"x"'), field("w", was=["v"]))


def changed(**others):
    """The old definition with some fields in other places, or without them."""
    fields = [others.pop(one["name"], one) for one in OLD["fields"]]
    return a_type(*(one for one in fields if one), *others.pop("more", []), **others)


def changes():
    def one(name, comment, after, drop=False, error=None, before=OLD):
        return case("TYPE-9", name, comment, {"before": before, "after": after, "drop": drop}, error and "E_TYPE_NARROWED")

    yield one("same", "nothing changes", OLD)
    yield one("order", "fields in another order", a_type(*reversed(OLD["fields"])))
    yield one("number", "an integer becomes a number", changed(n="n:number"))
    yield one("new", "a new field", changed(more=["new:float"]))
    yield one("new-default", "a new required field with a default", changed(more=[field("new", default='"x"', required=True)]))
    yield one("rename", "a field is renamed", changed(a=field("b", was=["a"])))
    yield one("rename-again", "a field that was renamed is renamed again", changed(w=field("u", was=["v", "w"])))
    yield one("rename-back", "a field has its former name again", changed(w=field("v", was=["w"])))
    yield one("swap", "two fields change their names", a_type(field("b", "integer", was=["y"]), field("a", was=["x"])), before=a_type("x", "y:integer"))
    yield one("required-default", "it becomes required, with a default", changed(a=field("a", default='"x"', required=True)))
    yield one("optional", "it is required no longer", changed(r="r"))
    yield one("default", "another default", changed(d=field("d", required=True, default='"y"')))
    yield one("required-new-default", "a required field gets a default", changed(r=field("r", required=True, default='"x"')))
    yield one("checks", "checks, uniqueness and what is received", changed(a=field("a", unique=True, check="a = ''"), check="n = 1", received="refuse"))
    yield one("open", "it is closed no longer", OLD, before=OLD | {"closed": True})
    yield one("closed", "it stays closed", OLD | {"closed": True}, before=OLD | {"closed": True})
    yield one("go", "a field goes, as was asked for", changed(a=None), True)
    yield one("go-closed", "other fields go, as was asked for", OLD | {"closed": True}, True)
    yield one("go-was", "a former name goes, as was asked for", changed(w="w"), True)
    yield one("go-merged", "two fields become one, as was asked for", changed(a=None, w=field("w", was=["v", "a"])), True)

    bad = [
        ("go", "a field goes", changed(a=None)),
        ("rename", "a field is renamed without its former name", changed(a="b")),
        ("case", "a field in capitals is another", changed(a="A")),
        ("closed", "other fields go", OLD | {"closed": True}),
        ("was", "a former name goes", changed(w="w")),
        ("was-other", "a former name becomes that of another field", changed(w="w", more=[field("new", was=["v"])])),
        ("was-field", "a former name becomes a field", changed(w="w", more=["v"])),
        ("merged", "two fields become one", changed(a=None, w=field("w", was=["v", "a"]))),
        ("kind", "another kind", changed(a="a:number")),
        ("kind-narrow", "a number becomes an integer", a_type("x:integer"), a_type("x:number")),
        ("kind-float", "an integer becomes a float", changed(n="n:float")),
        ("kind-ref", "a string becomes a reference", changed(a="a:ref:user")),
        ("kind-ref-other", "a reference to another type", a_type("x:ref:b"), a_type("x:ref:a")),
        ("kind-text", "a reference becomes a string", a_type("x"), a_type("x:ref:a")),
        ("kind-renamed", "another kind under another name", changed(a=field("b", "boolean", was=["a"]))),
        ("list", "it becomes a list", changed(a=field("a", list=True))),
        ("no-list", "it is a list no longer", a_type("x"), a_type(field("x", list=True))),
        ("required", "it becomes required", changed(a=field("a", required=True))),
        ("required-renamed", "it becomes required under another name", changed(a=field("b", was=["a"], required=True))),
        ("required-no-default", "it stays required without its default", changed(d=field("d", required=True))),
        ("new-required", "a new required field", changed(more=[field("new", required=True)])),
    ]
    for name, comment, after, *before in bad:
        yield one(name, comment, after, error=True, before=before[0] if before else OLD)
    for name, comment, after in (
        ("drop-kind", "another kind, though fields may go", changed(a="a:number")),
        ("drop-list", "a list, though fields may go", changed(a=field("a", list=True))),
        ("drop-required", "it becomes required, though fields may go", changed(a=field("a", required=True))),
        ("drop-new-required", "a new required field, though fields may go", changed(a=None, more=[field("new", required=True)])),
    ):
        yield one(name, comment, after, True, True)


# Schemas


def schemas():
    def whole(name, comment, schema, error=None):
        return case("TYPE-20", name, comment, {"schema": schema}, error and "E_TYPE")

    def one(name, comment, schema, error=None):
        return whole(name, comment, {"type": "object", "properties": {"a": schema}}, error)

    text, number = {"type": "string"}, {"type": "number"}
    yield one("string", "a string", text)
    yield one("number", "a number", number)
    yield one("integer", "an integer", {"type": "integer"})
    yield one("boolean", "a boolean", {"type": "boolean"})
    yield one("float", "a float", number | {"x-allod-kind": "float"})
    yield one("timestamp", "a timestamp", text | {"format": "date-time"})
    yield one("bytes", "bytes", text | {"contentEncoding": "base64"})
    yield one("ref", "a reference", text | {"x-allod-ref": "user"})
    yield one("list", "a list", {"type": "array", "items": text})
    yield one("list-all", "a list with all that it can have", {
        "type": "array", "items": {"type": "number", "x-allod-kind": "float", "title": "t"}, "default": [1, 2], "x-allod-unique": True,
        "x-allod-check": "a<>'[]'", "x-allod-was": ["b"], "description": "d",
    })  # fmt: skip
    yield one("list-ref", "a list of references", {"type": "array", "items": text | {"x-allod-ref": "user"}})
    yield one("most", "a field with most that it can have", text | {"default": "x", "x-allod-unique": True, "x-allod-check": "a<>''", "x-allod-was": ["b", "c"]})
    yield one("annotations", "annotations", text | {
        "$comment": "c", "title": "t", "description": "d", "examples": [1], "deprecated": True, "$id": "i", "$schema": "s",
    })  # fmt: skip
    yield one("default-null", "a default that is null", text | {"default": None})
    yield one("default-text", "a default with escapes", text | {"default": 'a"\\\n\u00e4\u0001'})
    yield one("not-unique", "not unique", text | {"x-allod-unique": False})
    for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        yield one(word, "a bound", {"type": "integer", word: -5})
    yield one("minimum-fraction", "a bound with a fraction", number | {"minimum": 0.5})
    yield one("minimum-float", "a bound of a float is a float", number | {"x-allod-kind": "float", "minimum": 0.1})
    yield one("length", "lengths", text | {"minLength": 0, "maxLength": 5})
    yield one("length-ref", "the length of a reference", text | {"x-allod-ref": "user", "maxLength": 5})
    yield one("enum", "one of some texts", text | {"enum": ["it's", "", "\u00e4"]})
    yield one("enum-numbers", "one of some numbers", {"type": "integer", "enum": [3, 1, 2]})
    yield one("enum-floats", "one of some floats", number | {"x-allod-kind": "float", "enum": [0.1, 2]})
    yield one("const", "one text", text | {"const": "x"})
    yield one("const-true", "true", {"type": "boolean", "const": True})
    yield one("const-false", "one of false", {"type": "boolean", "enum": [False]})
    yield one("order", "checks in the order of the page", text | {
        "x-allod-check": "a<>'q' and a<>'r'", "const": "x", "enum": ["x"], "maxLength": 5, "minLength": 1,
    })  # fmt: skip
    yield one("order-numbers", "checks in the order of the page", number | {
        "exclusiveMaximum": 4, "exclusiveMinimum": 3, "maximum": 2, "minimum": 1, "x-allod-check": "a=1 or a=2",
    })  # fmt: skip
    yield whole("quoted", "a field whose name is a word", {"properties": {"end": number | {"minimum": 1}, "a b": text | {"minLength": 1}}})
    yield whole("names", "fields in the order of their names", {"properties": {"b": text, "\u00e4": text, "a": text, "B": text, "\U0001f600": text, "\uff5e": text}})
    yield whole("type", "all that a type can have", {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "t", "type": "object", "properties": {"a": text, "b": number},
        "required": ["b", "b"], "additionalProperties": False, "x-allod-check": "b>1", "x-allod-received": "refuse",
    })  # fmt: skip
    yield whole("open", "other fields may be there", {"properties": {"a": text}, "additionalProperties": True, "required": []})
    yield whole("required-default", "required, with a default", {"properties": {"a": text | {"default": "x"}}, "required": ["a"]})

    bad = [
        ("no-type", "a field without a type", {}),
        ("true", "a schema for anything", True),
        ("types", "one of two types", {"type": ["string", "null"]}),
        ("null", "null", {"type": "null"}),
        ("object", "an object in a field", {"type": "object", "properties": {}}),
        ("any-of", "one of some schemas", text | {"anyOf": [text]}),
        ("reference", "a schema elsewhere", {"$ref": "#/$defs/a"}),
        ("pattern", "a pattern", text | {"pattern": "^a"}),
        ("multiple", "a multiple", number | {"multipleOf": 2}),
        ("format", "another format", text | {"format": "email"}),
        ("format-number", "a format of a number", number | {"format": "date-time"}),
        ("encoding", "another encoding", text | {"contentEncoding": "base16"}),
        ("both", "a date and bytes", text | {"format": "date-time", "contentEncoding": "base64"}),
        ("kind-string", "a kind that its type says", text | {"x-allod-kind": "string"}),
        ("kind", "another kind", number | {"x-allod-kind": "decimal"}),
        ("kind-text", "a text as a float", text | {"x-allod-kind": "float"}),
        ("ref-name", "a reference to what is no name", text | {"x-allod-ref": "a b"}),
        ("ref-number", "a number that is a reference", number | {"x-allod-ref": "user"}),
        ("read-only", "what nobody keeps", text | {"readOnly": True}),
        ("content-schema", "a schema of content", text | {"contentSchema": text}),
        ("extension", "what begins with x-allod- and is not there", text | {"x-allod-secret": True}),
        ("list-items", "a list of anything", {"type": "array"}),
        ("list-items-true", "a list of anything", {"type": "array", "items": True}),
        ("list-list", "a list of lists", {"type": "array", "items": {"type": "array", "items": text}}),
        ("list-unique", "elements that differ", {"type": "array", "items": text, "uniqueItems": True}),
        ("list-minimum", "a bound of elements", {"type": "array", "items": number | {"minimum": 1}}),
        ("list-bound", "a bound of a list", {"type": "array", "items": number, "minimum": 1}),
        ("list-const", "one text as a list", {"type": "array", "items": text, "const": "a"}),
        ("list-format", "a format of a list", {"type": "array", "items": text, "format": "date-time"}),
        ("list-kind", "a kind of a list", {"type": "array", "items": number, "x-allod-kind": "float"}),
        ("items", "elements of a string", text | {"items": text}),
        ("minimum-text", "a bound that is a text", number | {"minimum": "1"}),
        ("minimum-null", "a bound that is null", number | {"maximum": None}),
        ("minimum-of-text", "a bound of a string", text | {"minimum": 1}),
        ("minimum-of-date", "a bound of a timestamp", text | {"format": "date-time", "exclusiveMinimum": 1}),
        ("length-fraction", "a length with a fraction", text | {"minLength": 0.5}),
        ("length-minus", "a length below 0", text | {"maxLength": -1}),
        ("length-text", "a length that is a text", text | {"maxLength": "1"}),
        ("length-of-number", "a length of a number", number | {"minLength": 1}),
        ("length-of-bytes", "a length of bytes, as its text has another", text | {"contentEncoding": "base64", "maxLength": 4}),
        ("enum-null", "null among others", text | {"enum": ["a", None]}),
        ("enum-none", "one of none", text | {"enum": []}),
        ("enum-list", "a list among others", text | {"enum": [["a"]]}),
        ("enum-text", "no list of values", text | {"enum": "a"}),
        ("enum-kind", "a value of another kind among others", text | {"enum": ["a", 1]}),
        ("const-null", "null", text | {"const": None}),
        ("const-object", "an object", text | {"const": {}}),
        ("const-kind", "a value of another kind", number | {"const": True}),
        ("const-date", "a timestamp", text | {"format": "date-time", "const": "2026-11-26T08:00:00Z"}),
        ("const-bytes", "bytes", text | {"contentEncoding": "base64", "const": "AA=="}),
        ("default-kind", "a default of another kind", text | {"default": 1}),
        ("unique", "uniqueness that is no boolean", text | {"x-allod-unique": 1}),
        ("check", "a check that is no text", text | {"x-allod-check": True}),
        ("check-expression", "a check that is no expression", text | {"x-allod-check": "a >"}),
        ("check-brackets", "a check that is two halves of one", text | {"x-allod-check": "TRUE) OR (TRUE", "const": "a"}),
        ("check-field", "a check that names another field", text | {"x-allod-check": "b = 1"}),
        ("check-large", "a check that is too long", text | {"enum": ["x" * 2000, "y" * 2100]}),
        ("was", "a former name that is no list", text | {"x-allod-was": "b"}),
        ("was-number", "a former name that is none", text | {"x-allod-was": [1]}),
        ("was-own", "a former name that it has", text | {"x-allod-was": ["a"]}),
    ]
    for name, comment, schema in bad:
        yield one(f"field-{name}", comment, schema, "E_TYPE")
    of = {"properties": {"a": text}}
    for name, comment, schema in (
        ("array", "no object", []),
        ("true", "a schema for anything", True),
        ("no-properties", "no field", {"type": "object"}),
        ("properties", "fields that are a list", {"properties": []}),
        ("type", "a schema of an array", of | {"type": "array"}),
        ("name", "a name that is none", {"properties": {"a.b": text}}),
        ("name-quote", "a name with a quotation mark", {"properties": {'a"': text}}),
        ("one-of", "one of some schemas", of | {"oneOf": []}),
        ("definitions", "schemas for later", of | {"$defs": {}}),
        ("pattern-properties", "fields by pattern", of | {"patternProperties": {}}),
        ("min-properties", "a number of fields", of | {"minProperties": 1}),
        ("dependent", "fields that need others", of | {"dependentRequired": {}}),
        ("required", "a field that there is not", of | {"required": ["b"]}),
        ("required-text", "no list of names", of | {"required": "a"}),
        ("required-null", "required, and null by default", {"properties": {"a": text | {"default": None}}, "required": ["a"]}),
        ("additional", "a schema of other fields", of | {"additionalProperties": text}),
        ("check", "a check that is no expression", of | {"x-allod-check": "="}),
        ("check-null", "a check that is null", of | {"x-allod-check": None}),
        ("received", "another word for what is received", of | {"x-allod-received": "drop"}),
        ("const", "one object", of | {"const": {}}),
    ):
        yield whole(name, comment, schema, "E_TYPE")


def files():
    return [
        ("types/definition.json", definitions()),
        ("types/record.json", records()),
        ("types/change.json", changes()),
        ("types/schema.json", schemas()),
    ]
