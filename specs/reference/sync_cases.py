"""The cases of the SYNC vectors: each message, and rejects with one fault."""

import repo_cases as r
import statement as s
import sync

KEY = r.KEY
LINK = s.cid(b"a")
OTHER = s.cid(b"b")
STATEMENT = s.make(r.OWNER, "example", {"say": "hello"})


def files():
    return [
        ("sync/frame.json", list(frames())),
        ("sync/join.json", list(joins())),
        ("sync/ticket.json", list(tickets())),
    ]


def hello(**members):
    honest = {
        "agent": KEY[r.OWNER],
        "branches": [["meta", []], ["main", [LINK]]],
        "events": [],
        "logs": [[KEY[r.OWNER], bytes(range(16))]],
        "samples": [OTHER],
        "slices": False,
        "space": s.cid(r.SPACE),
        "version": 1,
        "wants": None,
    }
    return [1, honest | members]


def without(message, name):
    return [message[0], {key: value for key, value in message[1].items() if key != name}]


def case(page_rule, name, value, comment, error=None):
    data = value if isinstance(value, bytes) else s.encode(value)
    kind = "invalid" if error else "valid"
    return (f"{page_rule}/{kind}/{name}", comment, {"bytes": data.hex()}, error)


def frames():
    def good(name, value, comment):
        return case("SYNC-1", name, value, comment)

    def bad(name, value, comment):
        return case("SYNC-1", name, value, comment, "E_FRAME")

    yield good("hello", hello(), "a hello")
    yield good("hello-empty", hello(branches=[], logs=[], samples=[]), "a hello of a replica without anything")
    yield good("hello-events", hello(events=[STATEMENT]), "a hello with a key log")
    yield good("hello-version", hello(version=2), "a hello of another version decodes, and is answered by E_VERSION")
    yield good("hello-nothing", hello(branches=[], wants=[]), "a hello of one who neither offers nor wants anything")
    yield good("hello-slices", hello(slices=True), "a hello of one who keeps a part")
    yield good("hello-parts", hello(parts=[["main", [b"a/", b"b"]]]), "a hello that offers a branch in two parts")
    yield good("hello-wants", hello(wants=["main", "a/b"]), "a hello that asks for two branches")
    yield good("key-events", [2, KEY[r.OWNER], [STATEMENT]], "key events")
    yield good("commit", [3, STATEMENT, 1, 0], "a commit whose changes follow")
    yield good("commit-walk", [3, STATEMENT, 0, 1], "a commit whose tree is walked")
    yield good("changes", [4, [b"a", b"\x82\x01\x40", b"b", b"\x82\x01\xf6"], False], "two changes, and more to come")
    yield good("changes-none", [4, [], True], "no changes")
    yield good("want", [5, [OTHER], [LINK, OTHER]], "two blocks wanted, one opened")
    yield good("blocks", [6, [b"a", b""], [OTHER]], "two blocks and one that is not served")
    yield good("done", [7], "done")
    yield good("refuse", [8, LINK, "E_ROOT", "the changes do not give the tree"], "a refusal")
    yield good("ack", [9], "ack")
    yield good("credit", [10, 65536], "credit")
    yield good("credit-most", [10, 2**64 - 1], "the greatest credit")
    yield good("close", [11, "E_LIMIT", ""], "a close without words")
    yield good("close-long", [11, "E_LIMIT", "r" * 505], "code and reason of 512 bytes")

    yield good("projection", [12, LINK, OTHER], "a question for the tree of a projection")
    yield good("tree", [13, OTHER], "the root of a tree")
    yield good("tree-none", [13, None], "no such tree")

    yield good("compare", [14, LINK, 5000, bytes(16), bytes(128), 0], "a question about a tree")
    yield good("compare-more", [14, LINK, 5000, b"", b"", 300], "a question for more symbols")
    yield good("compare-long", [14, LINK, 2**64 - 1, bytes(160), bytes(1280), 0], "estimates of 10 bytes a counter")
    yield good("sketch", [15, 5000, 300, bytes(26), True], "two symbols, which are the last")
    yield good("sketch-none", [15, 0, 0, b"", True], "an answer that says to walk")
    yield good("pick", [16, bytes(range(16)), False], "two elements, and more to come")
    yield good("entries", [17, [b"a", b"\x82\x01\x40", b"b", b"\x82\x01\xf6"], True], "two entries")

    yield bad("nothing", b"", "no bytes")
    yield bad("one-byte", b"\x81", "one byte")
    yield bad("no-number", [], "an empty array")
    yield bad("number-0", [0], "number 0")
    yield bad("number-18", [18], "number 18")
    yield bad("number-text", ["7"], "a number that is a text")
    yield bad("map", {"7": 7}, "a map")
    yield bad("trailing", s.encode([7]) + b"\0", "a byte follows")
    yield bad("long-head", b"\x98\x01\x07", "an array head that is not the shortest")
    yield bad("indefinite", b"\x9f\x07\xff", "an array of indefinite length")
    yield bad("long-number", b"\x81\x18\x07", "a number that is not the shortest")
    for number, (name, reader) in sync.MESSAGES.items():
        arity = reader.__code__.co_argcount
        yield bad(f"{name}-more", [number] + [0] * (arity + 1), f"{name} with an item too many")
        if arity:
            yield bad(f"{name}-fewer", [number] + [0] * (arity - 1), f"{name} with an item too few")
    honest = hello()
    for name in sorted(honest[1]):
        yield bad(f"hello-no-{name}", without(honest, name), f"a hello without {name}")
    for name, members, comment in (
        ("unknown", {"x": 1}, "an unknown member"),
        ("agent-short", {"agent": bytes(31)}, "an agent of 31 bytes"),
        ("agent-small", {"agent": b"\x01" + bytes(31)}, "an agent that is a key of small order"),
        ("branch-name", {"branches": [["a//b", []]]}, "a malformed branch name"),
        ("branch-three", {"branches": [["main", [], 1]]}, "a branch of three items"),
        ("branch-one", {"branches": [["main"]]}, "a branch without heads"),
        ("head-bytes", {"branches": [["main", [bytes(36)]]]}, "a head that is no link"),
        ("heads-257", {"branches": [["main", [LINK] * 257]]}, "257 heads"),
        ("branches-1025", {"branches": [["a", []]] * 1025}, "1,025 branches"),
        ("logs-257", {"logs": [[KEY[r.OWNER], bytes(16)]] * 257}, "257 logs"),
        ("logs-short", {"logs": [[KEY[r.OWNER], bytes(15)]]}, "a mark of 15 bytes"),
        ("samples-513", {"samples": [LINK] * 513}, "513 samples"),
        ("events-text", {"events": ["a"]}, "an event that is a text"),
        ("parts-none", {"parts": []}, "no branches in parts, said all the same"),
        ("parts-null", {"parts": None}, "null for branches in parts"),
        ("parts-text", {"parts": [["main", ["a"]]]}, "a prefix that is a text"),
        ("parts-name", {"parts": [["a//b", [b"a"]]]}, "a malformed name of a branch in parts"),
        ("parts-empty", {"parts": [["main", [b""]]]}, "a prefix of no bytes"),
        ("parts-long", {"parts": [["main", [b"a" * 257]]]}, "a prefix of 257 bytes"),
        ("parts-1025", {"parts": [["main", [b"a"] * 1025]]}, "1,025 prefixes"),
        ("space-null", {"space": None}, "no space"),
        ("slices-null", {"slices": None}, "neither a part nor all"),
        ("slices-one", {"slices": 1}, "a number for a part"),
        ("wants-text", {"wants": "main"}, "a text instead of wanted branches"),
        ("wants-name", {"wants": ["a//b"]}, "a malformed name of a wanted branch"),
        ("wants-bytes", {"wants": [b"main"]}, "a wanted branch that is no text"),
        ("wants-1025", {"wants": ["a"] * 1025}, "1,025 wanted branches"),
        ("version-text", {"version": "1"}, "a version that is a text"),
    ):
        yield bad(f"hello-{name}", hello(**members), comment)
    yield bad("key-events-agent", [2, bytes(32), []], "an agent that is no key")
    yield bad("key-events-text", [2, KEY[r.OWNER], ["a"]], "an event that is a text")
    yield bad("commit-mode", [3, STATEMENT, 0, 2], "mode 2")
    yield bad("commit-branch", [3, STATEMENT, -1, 0], "a negative branch")
    yield bad("commit-text", [3, "a", 0, 0], "a statement that is a text")
    yield bad("changes-odd", [4, [b"a"], True], "a key without an entry")
    yield bad("changes-order", [4, [b"b", b"", b"a", b""], True], "keys that descend")
    yield bad("changes-twice", [4, [b"a", b"", b"a", b""], True], "a key twice")
    yield bad("changes-last", [4, [], 1], "a last that is a number")
    yield bad("want-bytes", [5, [], [bytes(36)]], "a name that is no link")
    yield bad("blocks-text", [6, ["a"], []], "a block that is a text")
    yield bad("refuse-null", [8, None, "E_ROOT", ""], "a refusal of nothing")
    yield bad("projection-null", [12, LINK, None], "a question without a state")
    yield bad("tree-bytes", [13, bytes(36)], "a root that is no link")
    yield bad("compare-text", [14, LINK, 1, "", b"", 0], "an estimate that is a text")
    yield bad("compare-leaves", [14, LINK, 1, bytes(161), b"", 0], "an estimate of leaves of 161 bytes")
    yield bad("compare-entries", [14, LINK, 1, b"", bytes(1281), 0], "an estimate of entries of 1,281 bytes")
    yield bad("compare-bytes", [14, LINK[:4], 1, b"", b"", 0], "a tree that is no link")
    yield bad("sketch-negative", [15, 1, -1, b"", True], "a negative index")
    yield bad("sketch-last", [15, 1, 0, b"", 1], "a last that is a number")
    yield bad("pick-odd", [16, bytes(9), True], "an element of one byte")
    yield bad("pick-many", [16, bytes(8 * 65_537), True], "65,537 elements")
    yield bad("entries-order", [17, [b"b", b"", b"a", b""], True], "keys that descend")
    yield bad("credit-negative", [10, -1], "a negative credit")
    yield bad("credit-float", b"\x82\x0a\xfb" + bytes.fromhex("3ff0000000000000"), "a credit that is a float")
    yield bad("close-bytes", [11, b"E_LIMIT", ""], "a code that is bytes")
    yield bad("close-long", [11, "E_LIMIT", "r" * 506], "code and reason of 513 bytes")
    link = b"\x83\x05\x80\x81\xd8\x2a\x58\x26\x00" + LINK + b"\0"
    yield bad("want-long-link", link, "a byte after a link")
    short = s.Link(LINK[:3] + b"\x14" + LINK[4:24])
    yield bad("want-0x98", b"\x83\x05\x98\x00\x80", "a list head that is not the shortest")
    yield good("want-short", [5, [], [short]], "a name with a shorter digest decodes; no block has it")


def joins():
    honest = [1, {"agent": KEY[r.MEMBER], "events": [STATEMENT], "secret": bytes(range(16)), "space": LINK}]
    answer = [2, {"genesis": r.SPACE, "logs": [[KEY[r.OWNER], [STATEMENT]], [KEY[r.MEMBER], []]]}]

    def bad(name, value, comment):
        return case("SYNC-20", name, value, comment, "E_FRAME")

    yield case("SYNC-20", "request", honest, "a request to join")
    yield case("SYNC-20", "welcome", answer, "a welcome")
    yield case("SYNC-20", "refused", [3, "E_TICKET", "it has expired"], "a refusal")
    for message, which in ((honest, "request"), (answer, "welcome")):
        for name in sorted(message[1]):
            yield bad(f"{which}-no-{name}", without(message, name), f"a {which} without {name}")
        yield bad(f"{which}-unknown", [message[0], message[1] | {"x": 1}], f"a {which} with an unknown member")
        yield bad(f"{which}-more", message + [0], f"a {which} with an item too many")
        yield bad(f"{which}-trailing", s.encode(message) + b"\0", f"a byte after a {which}")
    for name, members, comment in (
        ("secret-15", {"secret": bytes(15)}, "a secret of 15 bytes"),
        ("secret-17", {"secret": bytes(17)}, "a secret of 17 bytes"),
        ("agent", {"agent": bytes(32)}, "an agent that is no key"),
        ("space", {"space": bytes(36)}, "a space that is no link"),
    ):
        yield bad(f"request-{name}", [1, honest[1] | members], comment)
    yield bad("number-0", [0], "number 0")
    yield bad("number-4", [4, "a", "b"], "number 4")
    yield bad("refused-fewer", [3, "E_TICKET"], "a refusal without a reason")
    yield bad("refused-bytes", [3, b"E_TICKET", ""], "a code that is bytes")


def tickets():
    honest = {"addrs": ["192.0.2.1:4000"], "device": KEY[r.LAPTOP], "secret": bytes(range(16)), "space": LINK}
    text = sync.ticket_text(s.encode(honest))

    def ticket(name, given, comment, error=None):
        kind = "invalid" if error else "valid"
        return (f"SYNC-20/{kind}/{name}", comment, {"text": given}, error)

    def made(**members):
        return sync.ticket_text(s.encode(honest | members))

    yield ticket("one", text, "one address")
    yield ticket("blanks", f"  {text}\n", "blanks around it")
    yield ticket("none", made(addrs=[]), "no address")
    yield ticket("eight", made(addrs=[f"[2001:db8::{n}]:4000" for n in range(8)]), "eight addresses")
    bad = "E_TICKET"
    yield ticket("empty", "", "nothing", bad)
    yield ticket("prefix", text[len(sync.PREFIX):], "without its prefix", bad)
    yield ticket("only-prefix", sync.PREFIX, "only the prefix", bad)
    yield ticket("base", text.replace(":b", ":z", 1), "another multibase", bad)
    yield ticket("cut", text[:-2], "two letters are missing", bad)
    yield ticket("letter", text[:30] + ("a" if text[30] != "a" else "b") + text[31:], "a letter was changed", bad)
    yield ticket("swap", text[:40] + text[41] + text[40] + text[42:], "two letters changed places", bad)
    yield ticket("alphabet", text[:-1] + "0", "a letter that base32 does not have", bad)
    yield ticket("path", text + "/", "a letter more", bad)
    yield ticket("short", sync.PREFIX + "baaaa", "less than a checksum", bad)
    yield ticket("long", made(addrs=["a" * 2600]), "more than 4,096 letters", bad)
    yield ticket("nine", made(addrs=["a"] * 9), "nine addresses", bad)
    yield ticket("secret", made(secret=bytes(15)), "a secret of 15 bytes", bad)
    yield ticket("device", made(device=bytes(32)), "a device that is no key", bad)
    yield ticket("unknown", made(x=1), "an unknown member", bad)
    less = {key: value for key, value in honest.items() if key != "space"}
    yield ticket("no-space", sync.ticket_text(s.encode(less)), "no space", bad)
    yield ticket("trailing", sync.ticket_text(s.encode(honest) + b"\0"), "a byte after its content", bad)
