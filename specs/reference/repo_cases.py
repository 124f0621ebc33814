"""The cases of the REPO vectors: each accept in full, each reject with one fault."""

import crdt
import repo
import statement as s

NOW = 1_700_000_000_000
OWNER, NEXT, LAPTOP, MEMBER, STRANGER, PHONE = (bytes([n]) * 32 for n in range(1, 7))
KEY = {seed: s.public(seed) for seed in (OWNER, NEXT, LAPTOP, MEMBER, STRANGER, PHONE)}
HELLO = s.Link(bytes.fromhex("015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"))


def files():
    return [
        ("repo/entry.json", list(entries())),
        ("repo/commit.json", list(commits())),
        ("repo/history.json", list(histories())),
    ]


ENTRIES = [
    ("valid/value/empty", "value: empty", "820140"),
    ("valid/value/short", "value: short", "82181843616263"),
    ("valid/value/longest", "value: longest", "821b8000000000000000590400" + "76" * 1024),
    ("valid/link/raw", "link: raw", "82190100d82a582500015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
    ("valid/link/file", "link: file", "821a00010000d82a582500017012202d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),
    ("valid/tombstone", "tombstone", "8200f6"),
    ("invalid/empty", "no bytes", ""),
    ("invalid/array-of-three", "three items", "83014040"),
    ("invalid/array-of-one", "one item", "8101"),
    ("invalid/long-array-head", "head not shortest", "98020140"),
    ("invalid/long-stamp", "stamp head not shortest", "82181740"),
    ("invalid/long-stamp-16", "stamp head not shortest", "821900ff40"),
    ("invalid/long-stamp-64", "stamp head not shortest", "821b00000000ffffffff40"),
    ("invalid/negative-stamp", "stamp is negative", "822040"),
    ("invalid/text-stamp", "stamp is text", "82613140"),
    ("invalid/text-value", "state is text", "82016161"),
    ("invalid/int-state", "state is a number", "820101"),
    ("invalid/true-state", "state is true", "8201f5"),
    ("invalid/undefined-state", "state is undefined", "8201f7"),
    ("invalid/cut-value", "value cut off", "8201436162"),
    ("invalid/cut-stamp", "stamp cut off", "821901"),
    ("invalid/trailing", "a byte follows", "82014000"),
    ("invalid/trailing-tombstone", "a byte follows", "8201f6f6"),
    ("invalid/too-long", "value of 1,025 bytes", "8201590401" + "76" * 1025),
    ("invalid/indefinite", "indefinite length", "82015f40ff"),
    ("invalid/link-to-statement", "link to dag-cbor", "8201d82a582500017112202d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),
    ("invalid/link-cut", "link cut off", "8201d82a582500015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b98"),
    ("invalid/link-without-zero", "no identity multibase prefix", "8201d82a582501015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
    ("invalid/link-other-tag", "tag 43", "8201d82b582500015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
    ("invalid/link-sha1", "hash sha-1", "8201d82a581900015511140000000000000000000000000000000000000000"),    ("invalid/link-short-digest", "a digest of 31 bytes and a byte after it",
     "8201d82a58250001551f1f" + "00" * 32),
    ("invalid/link-no-digest", "a digest of no bytes and 32 bytes after it",
     "8201d82a58250001551200" + "00" * 32),
    ("invalid/link-json", "link to codec json", "8201d82a58260001800412" + "20" + "00" * 32),
    ("invalid/link-v0", "link without a version", "8201d82a58230012" + "20" + "00" * 32),
    ("invalid/stamp-65", "stamp over 64 bits, as a tag", "82c249010000000000000000" + "40"),
    ("valid/joining/inline", "joining: a state", "820182024582f6f60000"),
    ("valid/joining/longest", "joining: 1,024 bytes", "82018206590400" + "76" * 1024),
    ("valid/joining/block", "joining: in a block", "8201820ad82a582500015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
    ("invalid/joining-kind-0", "a kind with code 0", "820182004382f6f6"),
    ("invalid/joining-kind-11", "a kind that is not known", "8201820b4382f6f6"),
    ("invalid/joining-kind-long", "a kind whose head is not the shortest", "82018218024382f6f6"),
    ("invalid/joining-kind-text", "a kind that is a text", "82018261324382f6f6"),
    ("invalid/joining-three", "three items", "820183024382f6f640"),
    ("invalid/joining-one", "one item", "82018102"),
    ("invalid/joining-text", "a state that is a text", "820182026161"),
    ("invalid/joining-null", "a state that is null", "82018202f6"),
    ("invalid/joining-array", "a state that is not bytes", "8201820282f6f6"),
    ("invalid/joining-cut", "a state that is cut off", "820182024382f6"),
    ("invalid/joining-trailing", "a byte follows", "820182024382f6f600"),
    ("invalid/joining-too-long", "a state of 1,025 bytes", "82018202590401" + "76" * 1025),
    ("invalid/joining-file", "a state in a file", "82018202d82a582500017012202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
    ("invalid/joining-blake3", "a state in a block with another hash", "82018202d82a58250001551e202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
    ("invalid/joining-block-cut", "a link that is cut off", "82018202d82a582500015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b98"),
]


def entries():
    for name, comment, data in ENTRIES:
        error = "E_ENTRY" if name.startswith("invalid") else None
        yield (f"REPO-1/{name}", comment, {"bytes": data}, error)


# --- spaces and commits to build with -----------------------------------------------------------


def genesis(signer=OWNER, **members):
    payload = {"at": NOW, "class": "convergent", "name": "notes", "nonce": bytes(16), "owner": KEY[OWNER]}
    return s.make(signer, "space", payload | members)


def log(agent, *devices):
    """An agent's key log with these devices."""
    events, prev = [], None
    bodies = [{"inception": {"next": bytes(32)}}]
    bodies += [{"add-device": {"at": NOW, "name": "device", "device": KEY[device]}} for device in devices]
    for seq, body in enumerate(bodies):
        events.append(s.make(agent, "keylog", {"seq": seq, "prev": prev, "agent": KEY[agent], "event": body}))
        prev = s.cid(events[-1])
    return [s.to_did(KEY[agent]), [event.hex() for event in events]]


SPACE = genesis()
LOGS = [log(OWNER, LAPTOP)]


def stamp(ms=0, counter=0):
    return (NOW + ms) << 16 | counter


def entry(state, ms=0, counter=0):
    return s.encode([stamp(ms, counter), state])


WRITERS = [bytes([n]) * 8 for n in (1, 2)]


def state(kind, body, ms=0, epoch=None):
    """An entry with a state that joins."""
    data = s.encode([epoch, body])
    return entry([crdt.KINDS.index(kind) + 1, data], ms)


def counter(*slots, ms=0, epoch=None):
    return state("pn-counter", [[name, up, 0] for name, up in zip(WRITERS, slots) if up], ms, epoch)


def defined(kind="pn-counter", key=b"joins/n*"):
    return [(key, entry(kind.encode(), 0))]


def link(text_or_root):
    import base64

    text = text_or_root[1:].upper()
    return s.Link(base64.b32decode(text + "=" * (-len(text) % 8)))


class Line:
    """Commits that build on each other, with what each changes."""

    def __init__(self):
        self.known, self.trees, self.said = [], {}, {}

    def payload(self, changes, parents=(), ms=1, **members):
        """What an honest author says of these changes on these parents."""
        parents = sorted(parents)
        base = repo.join(*(self.trees[parent] for parent in parents))
        tree = base | dict(changes)
        honest = {
            "author": KEY[OWNER],
            "branch": "main",
            "gen": 1 + max((self.said[parent]["gen"] for parent in parents), default=0),
            "message": "",
            "parents": parents,
            "policy": None,
            "space": s.cid(SPACE),
            "stamp": stamp(ms),
            "tree": link(repo.root_of(tree)),
        }
        return honest | members, tree

    def add(self, changes, parents=(), ms=1, signer=OWNER, on=None, **members):
        payload, tree = self.payload(changes, parents, ms, **members)
        data = s.make(signer, "commit", payload)
        self.trees[s.cid(data)], self.said[s.cid(data)] = tree, payload
        self.known.append({
            "bytes": data.hex(),
            "branch": on or payload["branch"],
            "changes": as_hex(changes),
        })
        return s.cid(data)


def as_hex(changes):
    return [[key.hex(), value.hex()] for key, value in sorted(changes)]


def may_write(seed, roles=("member",), ms=0, version=1):
    said = s.encode({"name": None, "roles": list(roles)})
    return [(b"member/" + s.to_did(KEY[seed]).encode() + b"/" + b"%032x" % version, entry(said, ms))]


A, B = (b"a", entry(b"1", 1)), (b"b", entry(b"2", 1))


def kept_commit(line, parent, value):
    payload, _ = line.payload([(b"grant/x", value)], [parent], 5, branch="meta")
    return s.make(OWNER, "commit", payload)


def commits():
    line = Line()
    first = line.add([A], ms=1)
    second = line.add([B], ms=1)
    rule = line.add(may_write(MEMBER), branch="meta", ms=2)

    def case(name, comment, error=None, changes=(), parents=(), ms=5, signer=OWNER, on=None, now=NOW,
             space=SPACE, data=None, known=None, **members):
        payload, _ = line.payload(changes, parents, ms)
        data = s.make(signer, "commit", payload | members) if data is None else data
        needs = parents or "author" in members or "policy" in members
        known = (line.known if needs else []) if known is None else known
        given = {
            "genesis": space.hex(), "logs": LOGS, "now": now,
            "known": known,
            "bytes": data.hex(), "branch": on or members.get("branch", "main"), "changes": as_hex(changes),
        }
        rule_id, rest = name.split(" ")
        return (f"{rule_id}/{'invalid' if error else 'valid'}/{rest}", comment, given, error)

    links = [s.cid(bytes([n])) for n in range(66)]
    ordered = sorted(links)
    yield case("REPO-10 first", "a first commit: no parents, the empty tree")
    yield case("REPO-10 changes", "two entries on a first commit", changes=[A, B])
    yield case("REPO-10 policy", "with the head of meta", policy=rule)
    yield case("REPO-10 message", "the longest message", message="m" * 4096)
    yield case("REPO-10 branch", "the longest branch name", branch="b" * 128)
    yield case("REPO-10 segments", "a branch name with all that it may have", branch="aZ/0.9_-/x.locks")
    yield case("REPO-12 second", "a commit on one parent", parents=[first], changes=[(b"c", entry(None, 2))])
    yield case("REPO-12 merge", "a commit on two parents, its tree is their join", parents=[first, second])
    yield case("REPO-13 device", "signed by a device of the owner", signer=LAPTOP)
    yield case("REPO-13 member", "by a member", author=KEY[MEMBER], signer=MEMBER, policy=rule)
    yield case("REPO-14 drift", "as far ahead as it may be", ms=300_000)
    yield case("REPO-17 meta", "the owner on meta", branch="meta", parents=[rule], changes=may_write(PHONE, ms=3))
    yield case("REPO-16 same-stamp", "an entry with the stamp of its commit", changes=[(b"c", entry(b"", 5))])
    yield case("REPO-19 tie", "an entry that wins by its bytes", parents=[first], changes=[(b"a", entry(b"2", 1))])

    honest, _ = line.payload([], [])
    good = s.make(OWNER, "commit", honest)
    shape = "E_COMMIT"
    yield case("REPO-10 signature", "a bit of the signature is flipped", "E_SIGNATURE",
               data=good[:-1] + bytes([good[-1] ^ 1]))
    other = s.make(MEMBER, "commit", honest)
    yield case("REPO-10 other-signature", "the signature of another key", "E_SIGNATURE", data=good[:-64] + other[-64:])
    body = s.encode(honest | {"message": "changed"})
    start = b"\x84" + s.encode("commit") + s.encode(KEY[OWNER])
    yield case("REPO-10 changed", "a payload that was changed", "E_SIGNATURE", data=start + body + good[-66:])
    cross = s.sign(OWNER, s.signature_input("space", KEY[OWNER], s.encode(honest)))
    yield case("REPO-10 context", "signed for another domain", "E_SIGNATURE", data=good[:-64] + cross)
    yield case("REPO-10 domain", "a statement of domain space", shape, data=SPACE)
    yield case("REPO-10 trailing", "a byte follows", shape, data=good + b"\0")
    yield case("REPO-10 cut", "the last byte is missing", shape, data=good[:-1])
    yield case("REPO-10 unknown", "an unknown member", shape, x=1)
    fields = dict(honest)
    for name in sorted(fields):
        less = {key: value for key, value in fields.items() if key != name}
        yield case(f"REPO-10 no-{name}", f"without {name}", shape, data=s.make(OWNER, "commit", less))
    for name, members, comment in (
        ("author-short", {"author": bytes(31)}, "an author of 31 bytes"),
        ("author-point", {"author": b"\x01" + bytes(31)}, "an author that is a key of small order"),
        ("branch-empty", {"branch": ""}, "an empty branch name"),
        ("branch-long", {"branch": "b" * 129}, "a branch name of 129 bytes"),
        ("branch-head", {"branch": "HEAD"}, "the branch HEAD"),
        ("branch-dot", {"branch": "a/.b"}, "a segment that begins with a dot"),
        ("branch-dash", {"branch": "-a"}, "a segment that begins with a dash"),
        ("branch-lock", {"branch": "a.lock"}, "a segment that ends with .lock"),
        ("branch-dots", {"branch": "a..b"}, "a segment with two dots"),
        ("branch-slash", {"branch": "a//b"}, "an empty segment"),
        ("branch-space", {"branch": "a b"}, "a blank in a branch name"),
        ("gen-text", {"gen": "1"}, "a generation that is a text"),
        ("gen-negative", {"gen": -1}, "a negative generation"),
        ("gen-0", {"gen": 0}, "generation 0"),
        ("gen-2", {"gen": 2}, "generation 2 without parents"),
        ("message-long", {"message": "m" * 4097}, "a message of 4,097 bytes"),
        ("message-bytes", {"message": b"m"}, "a message that is bytes"),
        ("parents-null", {"parents": None}, "no list of parents"),
        ("parents-text", {"parents": ["a"], "gen": 2}, "a parent that is a text"),
        ("parents-unsorted", {"parents": ordered[1::-1], "gen": 2}, "parents that descend"),
        ("parents-twice", {"parents": ordered[:1] * 2, "gen": 2}, "a parent twice"),
        ("parents-65", {"parents": ordered[:65], "gen": 2}, "65 parents"),
        ("gen-1", {"parents": [first]}, "generation 1 with a parent"),
        ("policy-text", {"policy": "meta"}, "a policy that is a text"),
        ("space-bytes", {"space": bytes(36)}, "a space that is no link"),
        ("stamp-null", {"stamp": None}, "no stamp"),
        ("tree-null", {"tree": None}, "no tree"),
    ):
        yield case(f"REPO-10 {name}", comment, shape, data=s.make(OWNER, "commit", honest | members))

    yield case("REPO-11 space", "another space", "E_WRONG_SPACE", space=genesis(name="other"), known=[])
    yield case("REPO-11 nonce", "a space that differs in its nonce", "E_WRONG_SPACE",
               space=genesis(nonce=bytes(15) + b"\1"), known=[])
    yield case("REPO-11 link", "a link to something else", "E_WRONG_SPACE", space=SPACE,
               data=s.make(OWNER, "commit", honest | {"space": HELLO}))
    yield case("REPO-12 unknown", "a parent that is not known", "E_PARENT", parents=[first], known=[])
    yield case("REPO-12 one-unknown", "one known parent and one that is not", "E_PARENT",
               parents=[first, second], known=line.known[1:])
    yield case("REPO-12 genesis", "the genesis as a parent", "E_PARENT",
               data=s.make(OWNER, "commit", honest | {"parents": [s.cid(SPACE)], "gen": 2}))
    yield case("REPO-12 gen-3", "generation 3 on a parent of generation 1", shape, parents=[first],
               data=s.make(OWNER, "commit", line.payload([], [first], 5)[0] | {"gen": 3}))
    yield case("REPO-12 stamp-equal", "the stamp of its parent", shape, parents=[first], ms=1)
    yield case("REPO-12 stamp-less", "a stamp before its parent's", shape, parents=[first], ms=0)
    yield case("REPO-13 device", "signed by a device of nobody", "E_DEVICE", signer=PHONE)
    yield case("REPO-13 other-device", "a member signs for the owner", "E_DEVICE", signer=MEMBER)
    yield case("REPO-13 not-mine", "the owner's device signs for a member", "E_DEVICE", signer=LAPTOP,
               author=KEY[MEMBER])
    yield case("REPO-13 stranger", "by an agent that is no member", "E_NOT_MEMBER", signer=STRANGER,
               author=KEY[STRANGER])
    yield case("REPO-13 before", "by a member, before the space says so", "E_NOT_MEMBER", signer=MEMBER,
               author=KEY[MEMBER], known=line.known[:2])
    read = Line()
    reader = read.add(may_write(MEMBER, ("reader",)), branch="meta", ms=2)
    yield case("REPO-13 read", "by an agent with another role", "E_NOT_MEMBER", signer=MEMBER,
               author=KEY[MEMBER], known=read.known, policy=reader)
    yield case("REPO-113 none", "by a member who names no head of meta", "E_NOT_MEMBER", signer=MEMBER,
               author=KEY[MEMBER])
    yield case("REPO-113 main", "by a member who names a commit of main", "E_COMMIT_POLICY", signer=MEMBER,
               author=KEY[MEMBER], policy=first)
    yield case("REPO-113 unknown", "by a member who names what is not here", "E_COMMIT_POLICY", signer=MEMBER,
               author=KEY[MEMBER], known=line.known[:2], policy=rule)
    apart = Line()
    apart.add(may_write(MEMBER), branch="meta", ms=2)
    both = apart.add(may_write(MEMBER, (), 3, 2), [s.cid(bytes.fromhex(apart.known[0]["bytes"]))], branch="meta", ms=4)
    yield case("REPO-113 removed", "by a member of two versions, of which one has no roles", "E_NOT_MEMBER",
               signer=MEMBER, author=KEY[MEMBER], known=apart.known, policy=both)
    kept = Line()
    granted = kept.add([(b"grant/x", entry(b"any", 2))], branch="meta", ms=2)
    yield case("REPO-111 changed", "a grant in meta that changes", "E_KEPT", known=kept.known,
               branch="meta", data=kept_commit(kept, granted, entry(b"other", 3)), changes=[(b"grant/x", entry(b"other", 3))])
    yield case("REPO-111 deleted", "a grant in meta that goes", "E_KEPT", known=kept.known,
               branch="meta", data=kept_commit(kept, granted, entry(None, 3)), changes=[(b"grant/x", entry(None, 3))])
    yield case("REPO-14 ahead", "a millisecond more than it may be ahead", "E_FUTURE", ms=300_001)
    yield case("REPO-14 far", "the last stamp of all", "E_FUTURE", stamp=2**64 - 1)
    yield case("REPO-14 clock", "the receiver's clock is late", "E_FUTURE", now=NOW - 400_000, known=[])
    yield case("REPO-15 root", "another tree than the changes give", "E_ROOT", tree=HELLO)
    yield case("REPO-15 fewer", "a change less than was signed", "E_ROOT", changes=[A],
               data=s.make(OWNER, "commit", line.payload([A, B], [], 5)[0]))
    yield case("REPO-15 base", "the tree of one parent instead of the join", "E_ROOT", parents=[first, second],
               data=s.make(OWNER, "commit", line.payload([], [first, second], 5)[0]
                           | {"tree": link(repo.root_of(line.trees[first]))}))
    yield case("REPO-16 entry", "an entry that does not decode", "E_ENTRY", changes=[(b"a", b"\x82\x01")])
    yield case("REPO-16 text", "an entry whose state is a text", "E_ENTRY", changes=[(b"a", s.encode([1, "a"]))])
    yield case("REPO-16 bare", "a value without a stamp", "E_ENTRY", changes=[(b"a", s.encode(b"1"))])
    yield case("REPO-16 later", "an entry stamped after its commit", "E_ENTRY_STAMP",
               changes=[(b"c", entry(b"", 5, 1))])
    yield case("REPO-19 older", "an older entry put back", "E_ENTRY_STAMP", parents=[first],
               changes=[(b"a", entry(b"9", 0))])
    yield case("REPO-19 loses", "an entry of equal stamp that loses by its bytes", "E_ENTRY_STAMP", parents=[first],
               changes=[(b"a", entry(b"0", 1))])
    yield case("REPO-19 same", "the entry that is there, sent as a change", "E_ENTRY_STAMP", parents=[first],
               changes=[A])
    joins = Line()
    joins.add(defined(), branch="meta", ms=1)
    joins.add(defined("lww-register", b"joins/r"), branch="meta", ms=2, parents=[s.cid(bytes.fromhex(joins.known[0]["bytes"]))])
    base = joins.add([(b"n", counter(5, ms=3))], ms=3)

    def on_base(name, comment, changes, error=None, **members):
        parents = members.pop("parents", [base])
        payload, _ = joins.payload(changes, parents, 5)
        data = s.make(OWNER, "commit", payload | members)
        return case(name, comment, error, changes, data=data, known=joins.known, **members)

    yield on_base("REPO-4 counts", "a counter that has what was there and more", [(b"n", counter(6, 2, ms=4))])
    yield on_base("REPO-4 epoch", "a later epoch without a value", [(b"n", state("pn-counter", None, 4, [7, WRITERS[0]]))])
    yield on_base("REPO-42 kind", "a state of another kind than the rule's, in a later epoch",
                  [(b"n", state("g-counter", [[WRITERS[0], 1]], 4, [7, WRITERS[0]]))])
    yield on_base("REPO-42 register", "a register, written with the stamp of its commit",
                  [(b"r", state("lww-register", [stamp(5), WRITERS[0], b"v"], 4))])
    yield on_base("REPO-19 less", "a counter that has lost an increment", [(b"n", counter(4, 9, ms=4))], "E_ENTRY_STAMP")
    yield on_base("REPO-19 none", "a counter that has nothing of it", [(b"n", counter(0, 9, ms=4))], "E_ENTRY_STAMP")
    yield on_base("REPO-19 stamp", "a counter with an older stamp than is there", [(b"n", counter(6, ms=2))], "E_ENTRY_STAMP")
    yield on_base("REPO-19 unchanged", "the state that is there, sent as a change", [(b"n", counter(5, ms=3))], "E_ENTRY_STAMP")
    yield on_base("REPO-19 plain", "a value over a state", [(b"n", entry(b"9", 4))], "E_ENTRY_STAMP")
    yield on_base("REPO-19 gone", "a tombstone over a state", [(b"n", entry(None, 4))], "E_ENTRY_STAMP")
    yield on_base("REPO-19 lesser-kind", "a kind of a lesser code in the same epoch",
                  [(b"n", state("g-counter", [[WRITERS[0], 9]], 4))], "E_ENTRY_STAMP")
    yield on_base("REPO-16 ahead", "a register, written later than its commit",
                  [(b"r", state("lww-register", [stamp(6), WRITERS[0], b"v"], 4))], "E_ENTRY_STAMP")
    yield on_base("REPO-16 epoch", "an epoch later than its commit",
                  [(b"n", state("pn-counter", None, 4, [stamp(6), WRITERS[0]]))], "E_ENTRY_STAMP")
    yield on_base("REPO-16 slots", "a counter with a slot of nothing",
                  [(b"n", state("pn-counter", [[WRITERS[0], 0, 0]], 4))], "E_CRDT")
    yield on_base("REPO-16 nonsense", "a state that does not decode", [(b"n", entry([2, b"\x80"], 4))], "E_CRDT")
    yield on_base("REPO-42 key", "under a key that no rule has", [(b"m", counter(1, ms=4))], "E_CRDT_KIND")
    yield on_base("REPO-42 longer", "under a key that only begins like a rule's", [(b"rr", counter(1, ms=4))], "E_CRDT_KIND")
    yield on_base("REPO-42 meta", "on meta", [(b"n", counter(1, ms=4))], "E_CRDT_KIND", branch="meta", parents=[])
    rules = [s.cid(bytes.fromhex(joins.known[1]["bytes"]))]
    for tag, comment, kind in [("same", "a rule, said again", "pn-counter"), ("other", "a rule that is changed", "or-set"),
                               ("none", "a rule that is no more", None)]:
        changes = [(b"joins/n*", entry(kind and kind.encode(), 4))]
        yield on_base(f"REPO-42 rule-{tag}", comment, changes, None if tag == "same" else "E_CRDT_KIND", branch="meta", parents=rules)
    yield case("REPO-2 key-empty", "the empty key", shape, changes=[(b"", entry(b"", 1))])
    yield case("REPO-17 member", "a member on meta", "E_NOT_OWNER", branch="meta", author=KEY[MEMBER], signer=MEMBER,
               changes=())
    yield case("REPO-17 stranger", "a stranger on meta", "E_NOT_OWNER", branch="meta", author=KEY[STRANGER],
               signer=STRANGER)
    yield case("REPO-17 from-main", "a commit on meta whose parent is on main", "E_BRANCH", branch="meta",
               parents=[first])
    yield case("REPO-17 from-meta", "a commit on main whose parent is on meta", "E_BRANCH", parents=[rule])
    yield case("REPO-17 shown", "a commit of main, shown on meta", "E_BRANCH", on="meta")
    def tag(commit, ms, message="", key=b"tag/v1"):
        value = s.encode({"at": ms, "by": KEY[OWNER], "commit": commit, "message": message})
        return [(key, entry(value, ms))]

    tagged = Line()
    target = tagged.add([A], ms=1)
    made = tagged.add(tag(target, 2), branch="meta", ms=2)
    gone = tagged.add([(b"tag/v1", entry(None, 3))], [made], branch="meta", ms=3)
    own = tagged.add(tag(target, 2), ms=2, parents=[target])

    def on_tags(name, comment, changes, parent, error=None, branch="meta"):
        payload, _ = tagged.payload(changes, [parent], 5, branch=branch)
        return case(name, comment, error, data=s.make(OWNER, "commit", payload), changes=changes,
                    known=tagged.known, branch=branch)

    yield on_tags("REPO-31 other", "another tag", tag(target, 4, key=b"tag/v2"), made)
    yield on_tags("REPO-31 deleted", "a tag is deleted", [(b"tag/v1", entry(None, 4))], made)
    yield on_tags("REPO-31 again", "a deleted tag is made again, for something else", tag(own, 4), gone)
    yield on_tags("REPO-31 same", "the same tag with a later stamp",
                  [(b"tag/v1", entry(s.encode({"at": 2, "by": KEY[OWNER], "commit": target, "message": ""}), 4))], made)
    yield on_tags("REPO-31 main", "a key like that of a tag, not on meta", tag(own, 4), own, branch="main")
    yield on_tags("REPO-31 moved", "a tag for another commit", tag(own, 4), made, "E_TAG")
    yield on_tags("REPO-31 said", "a tag with another message",
                  [(b"tag/v1", entry(s.encode({"at": 2, "by": KEY[OWNER], "commit": target, "message": "m"}), 4))],
                  made, "E_TAG")
    yield on_tags("REPO-31 nothing", "a tag that becomes an empty value", [(b"tag/v1", entry(b"", 4))], made, "E_TAG")
    yield on_tags("REPO-31 link", "a tag that becomes a link", [(b"tag/v1", entry(HELLO, 4))], made, "E_TAG")
    yield case("REPO-18 link", "a link to a block that is not there", "E_MISSING", changes=[(b"c", entry(HELLO, 1))])


    yield from parted()


def parted():
    """PART-20, PART-21: the parts that a commit signs."""
    line = Line()

    def declares(prefix, branches):
        return (b"part/" + prefix, entry(s.encode(branches), 2))

    first = line.add([A], ms=1)
    meta = line.add([
        declares(b"a", ["main"]), declares(b"ab", ["main", "side"]), declares(b"b/", ["side"]), declares(b"c", ["main"]),
        declares(b"d", ["meta"]), declares(b"e", ["side", "main"]), declares(b"f", []), declares(b"x" * 257, ["main"]),
        declares(b"", ["main"]), (b"part/g", entry(b"main", 2)), (b"part/h", entry(None, 2)),
    ], branch="meta", ms=2)
    changes = [(b"ab", entry(b"2", 3)), (b"abc", entry(None, 3)), (b"b/x", entry(b"3", 3)), (b"c", entry(b"4", 3))]

    def case(name, comment, error=None, parts=None, branch="main", policy=meta, parents=(first,), known=None):
        payload, tree = line.payload(changes, parents, 5, branch=branch, policy=policy)
        right = repo.parts_of(tree, repo.declared(line.trees.get(meta), branch))
        parts = right if parts is None else parts(right, tree)
        data = s.make(OWNER, "commit", payload | {"parts": parts})
        given = {
            "genesis": SPACE.hex(), "logs": LOGS, "now": NOW,
            "known": line.known if known is None else known,
            "bytes": data.hex(), "branch": branch, "changes": as_hex(changes),
        }
        return (f"PART-21/{'invalid' if error else 'valid'}/{name}", comment, given, error)

    yield case("main", "the parts that are declared for main, one of them without entries")
    yield case("side", "those that are declared for side", branch="side")
    yield case("first", "without a parent", parents=())
    empty = repo.cid_bytes(repo.root_of({}))
    yield case("null", "null for no parts", "E_COMMIT", lambda right, tree: None)
    yield case("none", "the tree of no parts", "E_PARTS", lambda right, tree: empty)
    yield case("tree", "the tree itself", "E_PARTS", lambda right, tree: repo.cid_bytes(repo.root_of(tree)))
    yield case("missing", "a part that is declared is left out", "E_PARTS",
               lambda right, tree: repo.parts_of(tree, [b"a", b"ab"]))
    yield case("other", "a part that is declared for another branch", "E_PARTS",
               lambda right, tree: repo.parts_of(tree, [b"a", b"ab", b"b/", b"c"]))
    yield case("before", "the parts of the state before", "E_PARTS",
               lambda right, tree: repo.parts_of(line.trees[first], [b"a", b"ab", b"c"]))
    yield case("no-policy", "parts where no policy is named", "E_PARTS", policy=None)
    yield case("not-meta", "a policy that is no commit of meta", "E_PARTS", policy=first)
    yield case("unknown-policy", "a policy that is not here", "E_COMMIT_POLICY", known=line.known[:1])
    yield case("on-another", "parts that nobody declared for the branch", "E_PARTS", branch="third",
               parts=lambda right, tree: repo.parts_of(tree, [b"a"]))


# --- histories ----------------------------------------------------------------------------------


def history(name, comment, line, error=None, logs=None, commits=None):
    given = {"genesis": SPACE.hex(), "logs": LOGS if logs is None else logs, "now": NOW,
             "commits": line.known if commits is None else commits}
    return (f"{name.split(' ')[0]}/{'invalid' if error else 'valid'}/{name.split(' ')[1]}", comment, given, error)


def text_pairs(numbers, value, ms):
    return [(f"key {n:04}".encode(), entry(f"{value} {n}".encode(), ms, n)) for n in numbers]


def concurrent():
    """The owner and a member write at once, over the same first commit."""
    line = Line()
    rule = line.add(may_write(MEMBER), branch="meta", ms=1)
    first = line.add(text_pairs(range(300), "first", 2), ms=3, policy=rule)
    left = line.add(text_pairs(range(0, 120, 2), "left", 10) + [(b"key 0200", entry(None, 10, 200))],
                    [first], ms=11, policy=rule)
    right = line.add(text_pairs(range(60, 180, 3), "right", 9) + text_pairs(range(300, 330), "right", 9)
                     + [(b"key 0200", entry(b"kept", 10, 199))],
                     [first], ms=12, signer=MEMBER, author=KEY[MEMBER], policy=rule)
    return line, rule, left, right


def histories():
    line, rule, left, right = concurrent()
    yield history("REPO-5 concurrent", "two concurrent commits: the state is the join of their trees", line)
    order = [line.known[index] for index in (0, 1, 3, 2)]
    yield history("REPO-5 order", "the same commits in another order: the same state", line, commits=order)
    joined = line.add([(b"key 0000", entry(b"both", 20))], [left, right], ms=21, policy=rule)
    late = line.add([(b"late", entry(b"", 20))], [right], ms=20, signer=LAPTOP, policy=rule)
    yield history("REPO-7 late", "a commit on one of the old heads, by a device: two heads again", line)
    line.add([], [joined, late], ms=30, policy=rule)
    yield history("REPO-7 empty", "a commit that changes nothing and joins the heads", line)

    ties = Line()
    ties.add([(b"a", entry(b"1", 1)), (b"b", entry(b"2", 1)), (b"c", entry(None, 1)), (b"d", entry(HELLO[:3], 1))], ms=1)
    ties.add([(b"a", entry(b"2", 1)), (b"b", entry(b"10", 1)), (b"c", entry(b"", 1)), (b"d", entry(b"", 2))], ms=2)
    yield history("REPO-4 ties", "equal stamps: the greater encoding wins, so a tombstone over a value", ties)
    apart = Line()
    apart.add(defined() + defined("or-set", b"joins/s"), branch="meta", ms=1)
    first = apart.add([(b"n", counter(5, ms=2))], ms=2)
    seen = [[WRITERS[0], 1]]
    apart.add([(b"n", counter(7, ms=4)), (b"s", state("or-set", [seen, [[b"a", seen]]], 4))], [first], ms=4)
    seen = [[WRITERS[1], 1]]
    apart.add([(b"n", counter(5, 3, ms=3)), (b"s", state("or-set", [seen, [[b"b", seen]]], 3))], [first], ms=5)
    yield history("REPO-4 joining", "states that were changed apart join", apart)
    yield history("REPO-4 joining-order", "in another order", apart, commits=[apart.known[n] for n in (0, 1, 3, 2)])
    begun = Line()
    begun.add(defined(), branch="meta", ms=1)
    first = begun.add([(b"n", counter(5, ms=2))], ms=2)
    begun.add([(b"n", counter(9, ms=6))], [first], ms=6)
    begun.add([(b"n", state("pn-counter", None, 4, [stamp(4), WRITERS[1]]))], [first], ms=5)
    yield history("REPO-4 begun", "a later epoch wins whatever the stamps say, and keeps the greater one", begun)
    kinds = Line()
    kinds.add(defined(), branch="meta", ms=1)
    kinds.add([(b"n", counter(5, ms=2)), (b"no", entry(b"plain", 9))], ms=9)
    kinds.add([(b"n", state("or-set", [[[WRITERS[0], 1]], []], 1)), (b"no", counter(1, ms=3))], ms=8)
    yield history("REPO-4 kinds", "of two kinds the greater code wins, and a state over a value", kinds)
    both = Line()
    both.add(text_pairs(range(5), "main", 1), ms=2)
    both.add(text_pairs(range(5), "draft", 1), ms=2, branch="draft/one")
    yield history("REPO-6 branches", "two branches do not join", both)
    yield history("REPO-6 none", "a space without commits", Line())

    line, rule, left, right = concurrent()
    yield history("REPO-12 order", "a child before its parent", line, "E_PARENT",
                  commits=[line.known[index] for index in (0, 2, 1, 3)])
    yield history("REPO-13 order", "a member's commit before the one that lets it write", line, "E_COMMIT_POLICY",
                  commits=[dict(known) for known in line.known[1:]])
    yield history("REPO-13 logs", "a device's commit without the key log", late_line(), "E_DEVICE", logs=[])
    swapped = [dict(known) for known in line.known]
    swapped[2]["changes"] = swapped[3]["changes"]
    yield history("REPO-15 swapped", "a commit with another one's changes", line, "E_ROOT", commits=swapped[:3])


def late_line():
    line = Line()
    line.add([], signer=LAPTOP)
    return line
