"""The cases of the ACCESS vectors: each reject with one fault; worlds with requests and what is answered."""

import base64
import random

import access
import statement as s

SEEDS = [bytes([n]) * 32 for n in range(61, 72)]
KEYS = [s.public(seed) for seed in SEEDS]
DIDS = [s.to_did(key) for key in KEYS]
SEED_OF = dict(zip(KEYS, SEEDS))
OWNER, ANNA, BEN, CARA, DORA = range(5)
DEVICE = bytes([80]) * 32
NOW = 1_800_000_000_000
SPACE, ELSEWHERE = (s.cid(bytes([n])) for n in (1, 2))
HOUR = 60 * 60 * 1000


def files():
    return [
        ("access/statement.json", list(statements())),
        ("access/token.json", list(tokens())),
        ("access/pattern.json", list(patterns())),
        ("access/rule.json", list(rules())),
        ("access/policy.json", list(policies())),
        ("access/world.json", list(worlds())),
    ]


# --- Statements -------------------------------------------------------------------------------


def grant(by=OWNER, to=ANNA, **more):
    return {"iss": KEYS[by], "aud": KEYS[to], "sub": SPACE, "cmd": "/space/write", "pol": [], "prf": None, "nbf": None,
            "exp": None, "nonce": bytes(16)} | more  # fmt: skip


def ungrant(by, of, **more):
    return {"at": NOW, "by": KEYS[by], "of": of} | more


def token(**more):
    return {"aud": s.public(DEVICE), "user": "anna", "roles": ["editor"], "can": ["/space/read", "/space/write"],
            "space": None, "began": NOW, "at": NOW, "exp": NOW + HOUR, "nonce": bytes(range(16))} | more  # fmt: skip


def like(pattern, of=".key"):
    return ["like", of, pattern]


def nots(count):
    it = like("a*")
    for _ in range(count):
        it = ["not", it]
    return it


LATE = 1 << 48
GOOD = {
    "grant": [
        ("minimal", grant(), "without conditions"),
        ("all", grant(cmd="/", pol=[like("notes/*"), ["==", ".branch", "main"]], prf=ELSEWHERE, nbf=1, exp=2, nonce=bytes(range(16))),
         "with all members"),
        ("statements", grant(pol=[[op, ".key", "a"] for op in ("==", "!=", "<", "<=", ">", ">=")] + [
            ["not", like("\\*\\\\*")], ["and", [like("")]], ["or", [like("*"), ["==", ".branch", b"\xff"]]]]),
         "each kind of statement"),
        ("sixty-four", grant(pol=[["and", [like("a")] * 63]]), "64 statements"),
        ("eight-deep", grant(pol=[nots(7)]), "8 in each other"),
        ("longest", grant(pol=[["==", ".key", "a" * 256], like("*" * 256)]), "values of 256 bytes"),
        ("never", grant(exp=0), "that has ended before it began"),
        ("last", grant(nbf=LATE - 1), "from the last time on"),
        ("unknown", grant(cmd="/org.example/do"), "a command of nobody yet"),
        ("four", grant(cmd="/a/b/c/d"), "four segments"),
    ],
    "ungrant": [
        ("minimal", ungrant(OWNER, ELSEWHERE), "without a reason"),
        ("reason", ungrant(OWNER, ELSEWHERE, reason="device lost"), "with one"),
    ],
    "token": [
        ("minimal", token(), "of a handle"),
        ("agent", token(user=DIDS[ANNA], roles=[], can=[], space=SPACE), "of an agent, for a space and nothing"),
        ("session", token(began=NOW + HOUR - 24 * HOUR), "at the end of a session"),
        ("longest", token(roles=[f"r{n:02}" for n in range(16)], can=[f"/c{n:02}" for n in range(16)]), "16 of each"),
    ],
}  # fmt: skip

BAD = [
    ("ACCESS-1", "no-slash", "grant", grant(cmd="space"), "a command without a slash", "E_SHAPE"),
    ("ACCESS-1", "empty", "grant", grant(cmd=""), "an empty command", "E_SHAPE"),
    ("ACCESS-1", "end", "grant", grant(cmd="/space/"), "a slash at the end", "E_SHAPE"),
    ("ACCESS-1", "double", "grant", grant(cmd="//space"), "an empty segment", "E_SHAPE"),
    ("ACCESS-1", "five", "grant", grant(cmd="/a/b/c/d/e"), "five segments", "E_SHAPE"),
    ("ACCESS-1", "upper", "grant", grant(cmd="/Space"), "a segment that is no name", "E_SHAPE"),
    ("ACCESS-1", "long", "grant", grant(cmd="/" + "a" * 31 + "/" + "b" * 32), "65 bytes", "E_SHAPE"),
    ("ACCESS-2", "nbf", "grant", grant(nbf=LATE), "a beginning of 49 bits", "E_GRANT_TIMES"),
    ("ACCESS-2", "exp", "grant", grant(exp=LATE), "an end of 49 bits", "E_GRANT_TIMES"),
    ("ACCESS-2", "same", "grant", grant(nbf=5, exp=5), "valid for no time", "E_GRANT_TIMES"),
    ("ACCESS-2", "order", "grant", grant(nbf=5, exp=4), "an end before the beginning", "E_GRANT_TIMES"),
    ("ACCESS-2", "self", "grant", grant(ANNA, ANNA), "to oneself", "E_GRANT_SELF"),
    ("ACCESS-2", "type", "grant", grant(exp="never"), "a text for a time", "E_SHAPE"),
    ("ACCESS-3", "kind", "grant", grant(pol=[["all", ".key", like("a")]]), "a statement about lists", "E_SHAPE"),
    ("ACCESS-3", "selector", "grant", grant(pol=[["==", ".author", "a"]]), "another selector", "E_SHAPE"),
    ("ACCESS-3", "dot", "grant", grant(pol=[["==", "key", "a"]]), "a selector without its dot", "E_SHAPE"),
    ("ACCESS-3", "value", "grant", grant(pol=[["==", ".key", 1]]), "a number for a value", "E_SHAPE"),
    ("ACCESS-3", "null", "grant", grant(pol=[["==", ".key", None]]), "null for a value", "E_SHAPE"),
    ("ACCESS-3", "like-bytes", "grant", grant(pol=[["like", ".key", b"a"]]), "bytes for a pattern", "E_SHAPE"),
    ("ACCESS-3", "short", "grant", grant(pol=[["==", ".key"]]), "a statement that is cut short", "E_SHAPE"),
    ("ACCESS-3", "long", "grant", grant(pol=[like("a") + ["b"]]), "a statement that is too long", "E_SHAPE"),
    ("ACCESS-3", "nothing", "grant", grant(pol=[[]]), "an empty statement", "E_SHAPE"),
    ("ACCESS-3", "not-list", "grant", grant(pol=[["not", [like("a")]]]), "not of a list", "E_SHAPE"),
    ("ACCESS-3", "and-one", "grant", grant(pol=[["and", like("a")]]), "and of one that is in no list", "E_SHAPE"),
    ("ACCESS-3", "map", "grant", grant(pol={"==": "a"}), "a map for a list", "E_SHAPE"),
    ("ACCESS-3", "many", "grant", grant(pol=[like("a")] * 65), "65 statements", "E_GRANT_POLICY"),
    ("ACCESS-3", "many-inside", "grant", grant(pol=[["or", [like("a")] * 64]]), "65 with that around them", "E_GRANT_POLICY"),
    ("ACCESS-3", "deep", "grant", grant(pol=[nots(8)]), "9 in each other", "E_GRANT_POLICY"),
    ("ACCESS-3", "large", "grant", grant(pol=[["==", ".key", "a" * 257]]), "a value of 257 bytes", "E_GRANT_POLICY"),
    ("ACCESS-3", "large-like", "grant", grant(pol=[like("a" * 257)]), "a pattern of 257 bytes", "E_GRANT_POLICY"),
    ("ACCESS-3", "and", "grant", grant(pol=[["and", []]]), "an empty and", "E_GRANT_POLICY"),
    ("ACCESS-3", "or", "grant", grant(pol=[["not", ["or", []]]]), "an empty or, inside", "E_GRANT_POLICY"),
    ("ACCESS-4", "backslash", "grant", grant(pol=[like("a\\")]), "a backslash at the end", "E_SHAPE"),
    ("ACCESS-4", "escape", "grant", grant(pol=[like("\\n")]), "a backslash before a letter", "E_SHAPE"),
    ("ACCESS-4", "thrice", "grant", grant(pol=[like("\\\\\\")]), "three backslashes", "E_SHAPE"),
    ("ACCESS-6", "reason", "ungrant", ungrant(OWNER, SPACE, reason=""), "an empty reason", "E_TRUST_LINE"),
    ("ACCESS-6", "reason-long", "ungrant", ungrant(OWNER, SPACE, reason="r" * 257), "a reason of 257 bytes", "E_TRUST_LINE"),
    ("ACCESS-6", "reason-break", "ungrant", ungrant(OWNER, SPACE, reason="a\nb"), "a reason of two lines", "E_TRUST_LINE"),
    ("ACCESS-6", "reason-null", "ungrant", ungrant(OWNER, SPACE, reason=None), "a reason that is null", "E_SHAPE"),
    ("ACCESS-6", "time", "ungrant", ungrant(OWNER, SPACE, at=LATE), "a time of 49 bits", "E_TIME"),
    ("ACCESS-6", "of", "ungrant", ungrant(OWNER, KEYS[ANNA]), "a key for a link", "E_SHAPE"),
    ("ACCESS-31", "hour", "token", token(exp=NOW + HOUR + 1), "more than an hour", "E_TOKEN"),
    ("ACCESS-31", "day", "token", token(began=NOW + HOUR - 24 * HOUR - 1), "more than a day", "E_TOKEN"),
    ("ACCESS-31", "none", "token", token(exp=NOW), "valid for no time", "E_TOKEN"),
    ("ACCESS-31", "began", "token", token(began=NOW + 1), "a session that begins later", "E_TOKEN"),
    ("ACCESS-31", "late", "token", token(began=LATE - 1, at=LATE - 1, exp=LATE), "an end of 49 bits", "E_TOKEN"),
    ("ACCESS-32", "user", "token", token(user="Anna"), "a user that is no handle", "E_TOKEN"),
    ("ACCESS-32", "user-short", "token", token(user=DIDS[ANNA][8:]), "a key that is not spelled as a did:key", "E_TOKEN"),
    ("ACCESS-32", "user-empty", "token", token(user=""), "nobody", "E_TOKEN"),
    ("ACCESS-32", "roles", "token", token(roles=["s", "r"]), "roles that descend", "E_TOKEN"),
    ("ACCESS-32", "roles-twice", "token", token(roles=["r", "r"]), "a role twice", "E_TOKEN"),
    ("ACCESS-32", "roles-name", "token", token(roles=["a b"]), "a role that is no name", "E_TOKEN"),
    ("ACCESS-32", "roles-many", "token", token(roles=[f"r{n:02}" for n in range(17)]), "17 roles", "E_TOKEN"),
    ("ACCESS-32", "can", "token", token(can=["/pin", "/events"]), "commands that descend", "E_TOKEN"),
    ("ACCESS-32", "can-many", "token", token(can=[f"/c{n:02}" for n in range(17)]), "17 commands", "E_TOKEN"),
    ("ACCESS-32", "can-shape", "token", token(can=["read"]), "an operation for a command", "E_SHAPE"),
]  # fmt: skip


def signer(domain, payload):
    return DEVICE if domain == "token" else SEED_OF[payload["by" if domain == "ungrant" else "iss"]]


def faults(domain, good):
    """What every domain has: what is refused before the payload is looked at, and shapes."""
    seed = signer(domain, good)
    data, body = s.make(seed, domain, good), s.encode(good)
    other = ("ungrant", ungrant(OWNER, SPACE)) if domain != "ungrant" else ("grant", grant())
    yield "domain", s.make(seed, *other), "a good statement of another domain", "E_DOMAIN"
    yield "key", data.replace(s.public(seed), KEYS[CARA], 1), "another signer", "E_SIGNATURE"
    wrong = s.sign(seed, s.signature_input("example", s.public(seed), body))
    yield "context", data[:-64] + wrong, "signed for another purpose", "E_SIGNATURE"
    yield "cut", data[:-1], "the last byte is missing", "E_CBOR"
    yield "half", data[: len(data) // 2], "half of it", "E_CBOR"
    yield "trailing", data + b"\x00", "a byte follows", "E_TRAILING"
    name = "at" if domain != "grant" else "aud"
    member = s.encode(name) + s.encode(good[name])
    unsorted = body[:1] + body[1:].replace(member, b"", 1) + member
    signature = s.sign(seed, s.signature_input(domain, s.public(seed), unsorted))
    top = b"\x84" + s.encode(domain) + s.encode(s.public(seed))
    yield "canonical", top + unsorted + s.encode(signature), "members in another order", "E_CANONICAL"
    yield "size", s.make(seed, domain, good | {"note": "n" * s.SIZES[domain]}), "more bytes than there may be", "E_SIZE"
    yield "unknown", s.make(seed, domain, good | {"x": 1}), "an unknown member", "E_SHAPE"
    yield "missing", s.make(seed, domain, {k: v for k, v in good.items() if k != name}), f"without {name}", "E_SHAPE"
    if domain != "ungrant":
        yield "nonce", s.make(seed, domain, good | {"nonce": bytes(15)}), "a nonce of 15 bytes", "E_SHAPE"
        yield "small", s.make(seed, domain, good | {"aud": bytes(32)}), "for a key of small order", "E_SHAPE"


def statements():
    rules = {"grant": "ACCESS-2", "ungrant": "ACCESS-6", "token": "ACCESS-30"}

    def case(domain, data, case_id, comment, error=None):
        return (case_id, comment, {"domain": domain, "bytes": data.hex()}, error)

    for domain, cases in GOOD.items():
        for name, payload, comment in cases:
            data = s.make(signer(domain, payload), domain, payload)
            yield case(domain, data, f"{rules[domain]}/valid/{domain}-{name}", comment)
        for name, data, comment, error in faults(domain, cases[0][1]):
            yield case(domain, data, f"{rules[domain]}/invalid/{domain}-{name}", comment, error)
    for rule, name, domain, payload, comment, error in BAD:
        yield case(domain, s.make(signer(domain, payload), domain, payload), f"{rule}/invalid/{domain}-{name}", comment, error)
    yield case("grant", s.make(SEEDS[DORA], "grant", grant()), "ACCESS-7/valid/grant-signer", "signed by another than who grants")
    yield case("token", s.make(SEEDS[DORA], "token", token()), "ACCESS-30/invalid/token-signer", "signed for another device", "E_TOKEN")


def text_of(data):
    return "at1." + base64.urlsafe_b64encode(data).decode().rstrip("=")


def tokens():
    good = text_of(s.make(DEVICE, "token", token()))
    device = s.to_did(s.public(DEVICE))

    def case(case_id, comment, text=good, now=NOW, error="E_TOKEN", **more):
        return (f"ACCESS-30/{'invalid' if error else 'valid'}/{case_id}", comment, {"text": text, "device": device, "now": now} | more, error)

    yield case("now", "when it was issued", error=None)
    yield case("last", "a millisecond before its end", now=NOW + HOUR - 1, error=None)
    yield case("ahead", "5 minutes before it was issued", now=NOW - 5 * access.MINUTE, error=None)
    full = token(user=DIDS[BEN], roles=["admin", "owner"], can=["/"], space=SPACE)
    yield case("agent", "of an agent, for a space", text=text_of(s.make(DEVICE, "token", full)), error=None)
    yield case("ended", "at its end", now=NOW + HOUR)
    yield case("future", "5 minutes and a millisecond before it was issued", now=NOW - 5 * access.MINUTE - 1)
    yield case("device", "for another device", device=DIDS[DORA])
    yield case("stranger", "that another has signed", text=text_of(s.make(SEEDS[DORA], "token", token())))
    yield case("grant", "a statement of another domain", text=text_of(s.make(DEVICE, "grant", grant())))
    yield case("long", "that lasts longer than it may", text=text_of(s.make(DEVICE, "token", token(exp=NOW + HOUR + 1))))
    spare = good[:-1] + chr(ord(good[-1]) + 1)
    for name, text, comment in (
        ("empty", "", "no text"), ("prefix", good[4:], "without what it begins with"), ("version", "at2." + good[4:], "of another version"),
        ("case", "AT1." + good[4:], "in capitals"), ("padding", good + "=", "with padding"), ("blank", good + " ", "with a blank"),
        ("break", good + "\n", "with a line break"), ("cut", good[:-1], "cut short"), ("more", good + "A", "with a letter more"),
        ("plus", good.replace("at1.h", "at1.+"), "a letter of base64"), ("spare", spare, "spare bits that are set"),
        ("nothing", "at1.", "of no bytes"), ("accent", "at1.\u00e9", "a letter that is none of base64url"),
    ):  # fmt: skip
        yield case(name, comment, text=text)


# --- Patterns and policies --------------------------------------------------------------------

SUBJECTS = [
    b"", b"a", b"b", b"aa", b"a:", b"a/b", b":", b"/", b"user:", b"user:a", b"user:a:", b"user:a:b", b"user:a:b:c", b"user::b",
    b"user:A:", b"user:a/b:", b"USER:a:", b"user:\xd0\xb0:", b"user:a\x00:", b"user:\xff:", b"{id}", b"*", b"a*", b"x/y", b"x/x",
    b"x//y", b"x/y/", b"x:y:x/", b"x:y:y/",
]  # fmt: skip


def patterns():
    def case(case_id, comment, pattern, error=None):
        kind = "invalid" if error else "valid"
        return (f"ACCESS-10/{kind}/{case_id}", comment, {"pattern": pattern, "subjects": [it.hex() for it in SUBJECTS]}, error)

    for name, pattern in (
        ("text", "a"), ("star", "*"), ("prefix", "a*"), ("capture", "{id}"), ("user", "user:{id}"), ("users", "user:{userId}:*"),
        ("two", "{a}/{b}"), ("same", "{a}/{a}"), ("three", "{a}:{b}:{a}/*"), ("nul", "user:a\0:"), ("other", "user:\u0430:"),
        ("longest", "a" * 255 + "*"), ("name", "{" + "a" * 32 + "}"), ("four", "{a}/{b}/{c}/{d}"), ("digits", "{a1}:*"),
        ("blank", " "), ("trailing", "x/{b}/"),
    ):  # fmt: skip
        yield case(name, f"the pattern {pattern[:24]!r}", pattern)
    for name, pattern in (
        ("empty", ""), ("stars", "**"), ("star-first", "*a"), ("star-inside", "a*b"), ("star-twice", "a**"), ("open", "{"),
        ("close", "}"), ("no-name", "{}"), ("unclosed", "{a"), ("unopened", "a}"), ("capture-star", "{a}*"), ("captures", "{a}{b}"),
        ("capture-text", "{a}b"), ("digit", "{1a}"), ("dash", "{a-b}"), ("blank", "{a b}"), ("nested", "{{a}}"), ("colon", "{a:b}"),
        ("star-name", "{*}"), ("accent", "{\u00e4}"), ("five", "{a}/{b}/{c}/{d}/{e}"), ("long", "a" * 257), ("name", "{" + "a" * 33 + "}"),
    ):  # fmt: skip
        yield case(name, f"{pattern[:24]!r} is none", pattern, "E_RULE_PATTERN")


def policies():
    def case(case_id, policy, branch="main", key=None, error=None, comment=None):
        kind = "invalid" if error else "valid"
        shown = comment or f"{policy} of {branch} and {'no key' if key is None else key!r}"
        return (f"ACCESS-4/{kind}/{case_id}", shown, {"policy": policy, "branch": branch, "key": None if key is None else key.hex()}, error)

    is_a, main, other = ["==", ".key", "a"], ["==", ".branch", "main"], ["==", ".branch", "other"]
    table = [
        [], [is_a], [main], [other], [["not", is_a]], [["not", main]], [["and", [is_a, other]]], [["and", [other, is_a]]],
        [["and", [is_a, main]]], [["or", [is_a, other]]], [["or", [is_a, main]]], [["not", ["or", [is_a, main]]]],
        [["not", ["and", [is_a, other]]]], [["or", [["not", is_a], is_a]]], [is_a, other], [like("a*"), ["!=", ".key", "ab"]],
    ]  # fmt: skip
    for at, policy in enumerate(table):
        for key in (None, b"a", b"b", b"ab", b""):
            yield case(f"{at}-{'none' if key is None else key.decode() or 'empty'}", policy, key=key)
    for at, (pattern, key) in enumerate((
        ("", b""), ("", b"a"), ("*", b""), ("*", b"\xff\x00"), ("a*c*", b"abcb"), ("a*c*", b"ab"), ("*ab", b"abab"), ("*ab", b"aba"),
        ("a*a", b"aa"), ("a*a", b"a"), ("\\*", b"*"), ("\\*", b"a"), ("\\\\*", b"\\a"), ("\\\\*", b"a"), ("**", b""), ("a*b*c", b"aXbXbXc"),
        ("a*b*c", b"acb"), ("*a*a*", b"aba"), ("*aab*", b"aaab"),
    )):  # fmt: skip
        yield case(f"like-{at}", [like(pattern)], key=key)
    for how in ("==", "!=", "<", "<=", ">", ">="):
        for key in (b"a", b"b", b"b\x00", b"c", b"\xff", b""):
            yield case(f"compare-{how}-{key.hex() or 'empty'}", [[how, ".key", "b"]], key=key)
    for name, policy in (
        ("number", [["==", ".key", 1]]), ("selector", [["==", ".keys", "a"]]), ("kind", [["=", ".key", "a"]]), ("short", [["not"]]),
        ("long", [["not", is_a, is_a]]), ("text", ["like"]), ("map", [{"==": 1}]), ("escape", [like("\\a")]), ("inside", [["and", [1]]]),
    ):  # fmt: skip
        yield case(name, policy, error="E_SHAPE", comment=f"{policy} is none")
    for name, policy in (("empty", [["and", []]]), ("deep", [nots(8)]), ("many", [is_a] * 65), ("large", [like("a" * 257)])):
        yield case(name, policy, error="E_GRANT_POLICY", comment=f"{name}: beyond a limit")


# --- Rules and members ------------------------------------------------------------------------


def rule(on, pattern, allow=None, deny=None, owner=None):
    return {"on": on, "allow": allow or {}, "deny": deny or {}, "owner": owner, "pattern": pattern}


def member(*roles, name=None):
    return {"name": name, "roles": list(roles)}


USERS = rule("key", "user:{userId}:*", {op: ["admin"] for op in access.OF_KEYS}, owner="{userId}")
SHARED = rule("key", "shared:*", {"read": ["editor", "viewer"], "write": ["editor"]})
MAIN = rule("branch", "main", {"merge": ["admin"], "drop": [], "write": ["member"], "read": ["anyone"]})
OWN = rule("branch", "{user}/*", owner="{user}")
OPEN = rule("branch", "*", {op: ["anyone"] for op in access.OF_BRANCHES})


def rules():
    def case(kind, case_id, comment, data, error=None):
        number = "13" if kind == "rule" else "14"
        data = data if isinstance(data, bytes) else s.encode(data)
        return (f"ACCESS-{number}/{'invalid' if error else 'valid'}/{kind}-{case_id}", comment, {"kind": kind, "bytes": data.hex()}, error)

    for name, it in (("users", USERS), ("shared", SHARED), ("main", MAIN), ("own", OWN), ("removed", rule("key", "a"))):
        yield case("rule", name, f"the rule of {it['pattern']}", it)
    yield case("rule", "deny", "that only denies", rule("branch", "*", deny={"create": ["anyone"]}))
    yield case("rule", "owner", "whose owner is a text", rule("key", "a", owner="a" * 256))
    data = s.encode(USERS)
    many = [f"r{n:02}" for n in range(17)]
    unsorted = s.encode(MAIN).replace(s.encode("on") + s.encode("branch"), b"") + s.encode("on") + s.encode("branch")
    for name, it, comment in (
        ("cut", data[:-1], "cut short"), ("trailing", data + b"\x00", "with a byte more"), ("canonical", unsorted, "in another order"),
        ("on", rule("keys", "a"), "about nothing"), ("merge", rule("key", "a", {"merge": ["r"]}), "keys are not merged into"),
        ("delete", rule("branch", "a", {"delete": ["r"]}), "branches are dropped"), ("admin", rule("key", "a", {"admin": ["r"]}), "no rule is asked"),
        ("order", rule("key", "a", {"read": ["s", "r"]}), "roles that descend"), ("twice", rule("key", "a", {"read": ["r", "r"]}), "a role twice"),
        ("name", rule("key", "a", {"read": ["R"]}), "a role that is no name"), ("many", rule("key", "a", {"read": many}), "17 roles"),
        ("deny", rule("key", "a", deny={"read": []}), "denied to nobody"), ("pattern", rule("key", "a*b"), "no pattern"),
        ("capture", rule("key", "{a}:*", owner="{b}"), "owned by another capture"), ("brace", rule("key", "{a}:*", owner="{a"), "an open brace"),
        ("empty", rule("key", "a", owner=""), "owned by no name"), ("long", rule("key", "a", owner="a" * 257), "a name of 257 bytes"),
        ("more", USERS | {"x": 1}, "an unknown member"), ("less", {k: v for k, v in USERS.items() if k != "owner"}, "without an owner"),
        ("list", rule("key", "a", {"read": "r"}), "a text for a list"),
        ("size", rule("branch", "a", {op: ["r" * 30 + f"{n:02}" for n in range(16)] for op in access.OF_BRANCHES},
                      {op: ["r" * 30 + f"{n:02}" for n in range(16)] for op in access.OF_BRANCHES}), "more than 4096 bytes"),
    ):  # fmt: skip
        yield case("rule", name, comment, it, "E_RULE")
    for name, it, comment in (("plain", member("member"), "a member"), ("removed", member(), "one no more"),
                              ("full", member("editor", "member", name="anna"), "with a handle and roles"),
                              ("many", member(*many[:16]), "16 roles")):  # fmt: skip
        yield case("member", name, comment, it)
    for name, it, comment in (
        ("owner", member("owner"), "owner is not given"), ("admin", member("admin"), "nor is admin"), ("anyone", member("anyone"), "nor anyone"),
        ("order", member("s", "r"), "roles that descend"), ("twice", member("r", "r"), "a role twice"), ("many", member(*many), "17 roles"),
        ("name", member(name="Anna"), "no handle"), ("name-empty", member(name=""), "an empty handle"), ("cut", s.encode(member())[:-1], "cut short"),
        ("trailing", s.encode(member()) + b"\x00", "a byte more"), ("list", [None, []], "a list"), ("more", member() | {"x": 1}, "an unknown member"),
    ):  # fmt: skip
        yield case("member", name, comment, it, "E_RULE")


# --- Worlds -----------------------------------------------------------------------------------


def chain(*grants):
    """Grants that rest each on the one before."""
    made, before = [], None
    for it in grants:
        made.append(it | {"prf": before})
        before = cid_of("grant", made[-1])
    return made


def cid_of(domain, payload):
    return s.cid(s.make(signer(domain, payload), domain, payload))


def world(case_id, comment, requests, rules=(), members=None, grants=(), ungrants=()):
    def statements(domain, payloads):
        return [s.make(signer(domain, it), domain, it).hex() for it in payloads]

    given = {
        "owner": DIDS[OWNER],
        "space": s.cid_text(SPACE),
        "rules": {f"{n:03}": it.hex() if isinstance(it, bytes) else s.encode(it).hex() for n, it in enumerate(rules)},
        "members": {DIDS[who]: [s.encode(it).hex() for it in its] for who, its in (members or {}).items()},
        "grants": statements("grant", grants),
        "ungrants": statements("ungrant", ungrants),
        "requests": [
            [who if who is None or isinstance(who, dict) else DIDS[who], op, branch, key if key is None else key.hex(), at]
            for who, op, branch, key, at in requests
        ],
    }
    return (case_id, comment, given, None)


def each(whose, ops, keys, branch="main", at=NOW):
    return [(who, op, branch, key, at) for who in whose for op in ops for key in keys]


def bearer(user="anna", roles=(), can=("/",), space=None):
    return {"user": user, "roles": list(roles), "can": list(can), "space": space and s.cid_text(space)}


TEAM = {ANNA: [member("member", name="anna")], BEN: [member("editor", "member", name="ben")], CARA: [member("viewer")]}
ALL = tuple(access.COMMANDS)


def worlds():
    yield world("ACCESS-20/valid/plain", "without rules members may", each(range(5), ALL, [b"a", None]) + each([None], ALL, [b"a"]), members=TEAM)
    admin = grant(to=DORA, cmd="/space/admin")
    keys = [b"user:anna:a", b"user:anna:", b"user:anna", b"user:Anna:a", b"shared:a", b"other", None]
    yield world("ACCESS-20/valid/users", "keys of users, of admins, and shared ones", each(range(5), access.OF_KEYS, keys),
                rules=[USERS, SHARED, MAIN, OWN], members=TEAM, grants=[admin])  # fmt: skip
    branches = [request for branch in ("main", "anna/work", "ben/work", "elsewhere", "meta")
                for request in each(range(5), access.OF_BRANCHES, [None], branch)]  # fmt: skip
    yield world("ACCESS-20/valid/branches", "main, and branches of users", branches, rules=[USERS, SHARED, MAIN, OWN], members=TEAM, grants=[admin])
    denies = [OPEN, rule("key", "*", {op: ["anyone"] for op in access.OF_KEYS}), rule("key", "s*", deny={"write": ["editor"], "read": ["anyone"]})]
    yield world("ACCESS-20/valid/deny", "deny beats allow, the owner and grants", each(range(4), access.OF_KEYS, [b"a", b"s"]), rules=denies,
                members=TEAM, grants=[grant(to=BEN, cmd="/")])  # fmt: skip
    order = ["*", "{x}:{y}", "a:*", "a:{y}", "a:b"]
    for count in range(1, 6):
        ladder = [OPEN] + [rule("key", it, {"read": [("editor", "viewer")[n % 2]]}) for n, it in enumerate(order[:count])]
        yield world(f"ACCESS-11/valid/{count}", "the most specific rule decides", each([BEN, CARA], ["read"], [b"a:b", b"a:c", b"c"]),
                    rules=ladder, members=TEAM)  # fmt: skip
    yield from versions()
    yield from chains()
    yield from others()
    yield from random_worlds()


def versions():
    asks = each(range(4), ["read", "write"], [b"a", b"b"])
    one, two = rule("key", "a", {"read": ["editor", "viewer"]}), rule("key", "a", {"read": ["editor"], "write": ["viewer"]})
    below, none = rule("key", "*", {"write": ["viewer"], "read": ["anyone"]}), rule("key", "a")
    for name, its in (("one", [one]), ("both", [one, two]), ("below", [one, two, below]), ("removed", [one, none, below]),
                      ("gone", [none, below]), ("none", [none]), ("nobody", [one, rule("key", "a", {"read": []})])):  # fmt: skip
        yield world(f"ACCESS-14/valid/rule-{name}", "versions of a rule", asks, rules=[OPEN, *its], members=TEAM)
    named = [OPEN, rule("key", "*", {"read": ["r"], "write": ["q"]}, {"write": ["s"]}, owner="anna")]
    for name, members in (
        ("agree", {ANNA: [member("q", "r", name="anna"), member("r", name="anna")]}),
        ("names", {ANNA: [member("r", name="anna"), member("r", name="ann")]}),
        ("removed", {ANNA: [member("r", name="anna"), member()]}),
        ("taken", {ANNA: [member("q", name="anna")], BEN: [member("r", name="ben"), member("r", name="anna")]}),
        ("denied", {ANNA: [member("q", "s"), member("q")]}),
        ("bare", {ANNA: [member(name="anna")]}),
    ):
        yield world(f"ACCESS-14/valid/member-{name}", "versions of members", each([ANNA, BEN], ["read", "write"], [b"a"]), rules=named, members=members)
    many = [OPEN] + [rule("key", f"{n}*", {"read": ["anyone"]}) for n in range(256)]
    asks = each([OWNER, ANNA], ["read", "pin"], [b"1"]) + each([OWNER, ANNA], ["read", "write"], [None], "meta")
    yield world("ACCESS-15/valid/most", "256 versions", asks, rules=many[:-1], members=TEAM)
    yield world("ACCESS-15/valid/too-many", "257 versions", asks, rules=many, members=TEAM)
    yield world("ACCESS-15/valid/no-rules", "what is no rule is passed over", each([ANNA], ["read"], [b"a"]),
                rules=[OPEN, b"\x00", b"\xa0", s.encode(rule("key", "**"))], members=TEAM)  # fmt: skip


def chains():
    good = [grant(to=ANNA, cmd="/space", pol=[["==", ".branch", "main"]]), grant(ANNA, BEN, pol=[like("a*")]), grant(BEN, CARA, exp=NOW + 9)]
    asks = each(range(4), access.OF_KEYS, [b"a", b"b", None]) + each([CARA], ["write"], [b"a"], at=NOW + 9) + each([CARA], ["write"], [b"a"], "other")
    held = chain(*good)
    yield world("ACCESS-5/valid/chain", "each gives what they have or less", asks, grants=held)
    for name, at, more in (
        ("audience", 1, {"aud": KEYS[DORA]}), ("issuer", 1, {"iss": KEYS[DORA]}), ("owner", 0, {"iss": KEYS[DORA]}),
        ("space", 2, {"sub": ELSEWHERE}), ("proof-space", 0, {"sub": ELSEWHERE}), ("command", 1, {"cmd": "/"}),
        ("early", 0, {"nbf": NOW + 1}), ("late", 1, {"exp": NOW}),
    ):  # fmt: skip
        yield world(f"ACCESS-5/valid/{name}", "a link that does not fit", asks, grants=chain(*[it | (more if n == at else {}) for n, it in enumerate(good)]))
    yield world("ACCESS-5/valid/missing", "a proof that is missing", asks, grants=held[::2])
    yield world("ACCESS-5/valid/alone", "without a proof, and not of the owner", asks, grants=good)
    long = chain(*(grant(n, n + 1) for n in range(9)))
    yield world("ACCESS-5/valid/nine", "eight links and nine", each(range(7, 10), ["write"], [b"a"]), grants=long)
    for by in range(5):
        for at in range(3):
            back = [ungrant(by, cid_of("grant", held[at]))]
            yield world(f"ACCESS-6/valid/{by}-{at}", "taken back by somebody", each([ANNA, BEN, CARA], ["write"], [b"a"]), grants=held, ungrants=back)
    both = [grant(pol=[["==", ".branch", "main"]]), grant(pol=[["==", ".branch", "b"], like("a*")], nonce=bytes([1]) * 16)]
    asks = [request for branch in ("main", "b", "c") for request in each([ANNA], ["write"], [b"a", b"c", None], branch)]
    yield world("ACCESS-21/valid/together", "one chain allows key and branch", asks, grants=both)
    yield world("ACCESS-21/valid/apart", "unless rules allow one", asks, rules=[rule("branch", "c", {"write": ["anyone"]})], grants=both)
    stars = [like("*" * 255)]
    asks = each([ANNA], ["write"], [b"a" * 257, b"a" * 256])
    yield world("ACCESS-24/valid/steps", "a policy that takes all steps", asks, grants=[grant(pol=stars)])
    yield world("ACCESS-24/valid/behind", "and one behind it", asks, grants=[grant(pol=stars), grant(exp=NOW + 1)])
    yield world("ACCESS-24/valid/before", "and one before it", asks, grants=[grant(pol=stars, exp=NOW + 1), grant()])
    of_branch = [grant(pol=[like("*" * 255, ".branch")])]
    asks = [(ANNA, "write", "b" * size, b"a", NOW) for size in (257, 256)]
    yield world("ACCESS-24/valid/branch", "a long name of a branch", asks, grants=of_branch)
    opened = [grant(pol=[like("a*")], exp=NOW + end) for end in (1, 5, 3)]
    yield world("ACCESS-24/valid/first", "of chains that leave it open the first is named", each([ANNA], ["write"], [None, b"a", b"b"]), grants=opened)
    many = [grant(pol=[like(f"{n:02}*")], exp=NOW + 1 + n) for n in range(65)]
    yield world("ACCESS-5/valid/many", "65 grants of an audience", each([ANNA], ["write"], [b"00", b"01", b"64"]), grants=many)


def others():
    one = rule("key", "{x}:*", {"write": ["editor"]}, owner="{x}")
    rules = [one, rule("branch", "*", {"write": ["anyone"]})]
    people = [bearer(), bearer(roles=["editor"]), bearer(DIDS[BEN]), bearer(DIDS[DORA]), bearer(DIDS[OWNER]), bearer(can=[]), bearer(can=["/space/read"]),
              bearer(can=["/space"]), bearer(space=SPACE), bearer(space=ELSEWHERE), bearer(roles=["admin"]), bearer(roles=["owner"]),
              bearer(DIDS[OWNER], can=["/space/write"]), bearer(DIDS[OWNER], can=["/space/admin"]), bearer(roles=["member"])]  # fmt: skip
    asks = [request for branch in ("main", "meta") for request in each(people, ["read", "write", "admin", "pin"], [b"anna:a", b"ben:a"], branch)]
    yield world("ACCESS-32/valid/tokens", "what bearers of tokens may", asks, rules=rules, members=TEAM, grants=[grant(to=DORA, cmd="/space")])
    narrow = [like("a*")]
    for command in ("/", "/space", "/space/admin", "/pin", "/events/read", "/space/read"):
        grants = [grant(cmd=command), grant(to=BEN, cmd=command, pol=narrow)]
        asks = each([ANNA, BEN, CARA], access.OF_SPACE, [None]) + each([ANNA, BEN, CARA], ["read", "write"], [b"a"], "meta")
        yield world(f"ACCESS-22/valid{command.replace('/', '-')}", "what is of the space as a whole", asks, grants=grants)
    bare = rule("key", f"{DIDS[ANNA][8:]}*", owner=DIDS[ANNA])
    short = rule("key", "user:{x}", owner="{x}")
    names = [b"user:" + it.encode() for it in (DIDS[ANNA][8:], DIDS[ANNA][8:].lower(), DIDS[ANNA][8:] + "1", DIDS[BEN][8:])]
    yield world("ACCESS-12/valid/keys", "agents are called by their keys", each([ANNA, BEN], ["write"], [DIDS[ANNA][8:].encode(), *names]),
                rules=[OPEN, bare, short])  # fmt: skip


def random_worlds():
    """Small ones, in which names and letters meet."""
    dice = random.Random(15)
    some = ("anyone", "member", "admin", "owner", "r", "s")

    def roles(of, most=2):
        return sorted(set(dice.choices(of, k=dice.randint(0, most))))

    def a_rule(made):
        on, pattern = dice.choice(("key", "branch")), "".join(dice.choices(("a", "b", ":", "/", "{x}:", "{x}", "{y}/"), k=dice.randint(0, 3))) + dice.choice(("", "*"))
        if made and dice.random() < 0.3:
            on, pattern = dice.choice([(it["on"], it["pattern"]) for it in made])
        try:
            access.parse_pattern(pattern)
        except s.Fault:
            pattern = "*"
        ops = access.OF_KEYS if on == "key" else access.OF_BRANCHES
        lists = {op: roles(some) for op in ops if dice.random() < 0.4}
        deny = {op: its for op in ops if dice.random() < 0.1 and (its := roles(some))}
        owner = dice.choice((None, None, "anna", "{x}" if "{x}" in pattern else None))
        return rule(on, pattern, *(({}, {}, None) if dice.random() < 0.1 else (lists, deny, owner)))

    def a_statement():
        value = dice.choice(("a", "b", "a:", "main"))
        it = dice.choice((like(dice.choice(("a*", "*b", "*", "a*b"))), [dice.choice(list(access.COMPARISONS)), dice.choice((".key", ".branch")), value]))
        return dice.choice((it, it, ["not", it], ["or", [it, like("b*")]], ["and", [it, like("*", ".branch")]]))

    for number in range(50):
        made, grants = [], []
        for _ in range(dice.randint(0, 5)):
            made.append(a_rule(made))
        members = {who: [member(*roles(("member", "r", "s")), name=dice.choice((None, "anna", "ben"))) for _ in range(dice.choice((0, 1, 1, 2)))]
                   for who in range(4)}  # fmt: skip
        for n in range(dice.randint(0, 4)):
            before = dice.choice(grants) if grants and dice.random() < 0.6 else None
            by = KEYS.index(before["aud"]) if before else OWNER
            to = dice.choice([who for who in range(4) if who != by])
            command = before["cmd"] if before and dice.random() < 0.6 else dice.choice(("/", "/space", "/space/write", "/space/read", "/branch", "/space/admin"))
            grants.append(grant(by, to, cmd=command, pol=[a_statement() for _ in range(dice.choice((0, 0, 1, 2)))], nonce=bytes([n]) * 16,
                                prf=before and cid_of("grant", before), exp=dice.choice((None, None, 2)), nbf=dice.choice((None, None, 1))))  # fmt: skip
        ungrants = [ungrant(dice.randrange(4), cid_of("grant", dice.choice(grants))) for _ in range(dice.choice((0, 0, 1))) if grants]
        asks = []
        for _ in range(24):
            who = dice.choice((0, 1, 2, 3, 1, 2, 3, None, bearer("anna", roles(some[1:]), sorted(set(dice.choices(("/", "/space", "/branch/merge", "/pin"), k=2))))))
            key = "".join(dice.choices("ab:/", k=dice.randint(0, 3))).encode()
            asks.append((who, dice.choice(ALL), dice.choice(("main", "a", "b", "a/b", "a:b", "meta")), dice.choice((key, key, None)), dice.randrange(3)))
        yield world(f"ACCESS-20/valid/random-{number}", "a small world by chance", asks, made, members, grants, ungrants)
