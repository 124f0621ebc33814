"""The cases of the vectors of counting: small worlds of commits, rules, members, grants and what takes them back."""

import random

import access  # noqa: F401, whose statements are made here
import repo
import repo_cases as base
import rights
import statement as s

OWNER, MEMBER, STRANGER = base.OWNER, base.MEMBER, base.STRANGER
WRITER, CLERK, ADMIN, EDITOR = (bytes([n]) * 32 for n in range(41, 45))
NAMES = {OWNER: "owner", MEMBER: "member", WRITER: "writer", CLERK: "clerk", ADMIN: "admin", EDITOR: "editor", STRANGER: "stranger"}
KEY = {seed: s.public(seed) for seed in NAMES}
ALL = {"read": ["member"], "write": ["member"], "delete": ["member"]}


def files():
    return [("repo/counting.json", list(worlds()) + list(refused()) + list(by_chance()))]


def like(prefix):
    return ["like", ".key", prefix + "*"]


def on(branch):
    return ["==", ".branch", branch]


class Story(base.Line):
    """A space in which things happen one after the other, a millisecond each."""

    def __init__(self):
        super().__init__()
        self.ms, self.meta, self.heads, self.grants = 0, [], {}, {}

    def begin(self):
        """A member, a writer of docs/, a clerk of notes/, an admin; and the first commit, by the owner."""
        self.member(MEMBER, "member")
        self.member(EDITOR, "editor", "member")
        self.grant(OWNER, WRITER, "/space", [like("docs/")])
        self.grant(OWNER, CLERK, "/space", [like("notes/")])
        self.grant(OWNER, ADMIN, "/")
        self.put(OWNER, "docs/a", "0")
        return self

    # --- what meta says ---

    def say(self, by, pairs, parents=None):
        self.ms += 1
        parents = self.meta if parents is None else parents
        changes = [(key, base.entry(value, self.ms)) for key, value in pairs]
        policy = self.meta[0] if self.meta else None
        name = self.add(changes, parents, ms=self.ms, signer=by, author=KEY[by], branch="meta", policy=policy)
        self.meta = [it for it in self.meta if it not in parents] + [name]
        return name

    def member(self, who, *roles, by=OWNER, name=None, parents=None):
        version = b"%032x" % (self.ms + 1)
        of = b"member/" + s.to_did(KEY[who]).encode() + b"/"
        tree = repo.join(*(self.trees[it] for it in self.meta))
        gone = [(key, None) for key in tree if key.startswith(of) and repo.read_entry(tree[key])[1] is not None]
        said = s.encode({"name": name, "roles": sorted(roles)})
        return self.say(by, [*gone, (of + version, said)], parents)

    def rule(self, of, pattern, allow=None, deny=None, owner=None, by=OWNER, parents=None):
        said = {"on": of, "allow": allow or {}, "deny": deny or {}, "owner": owner, "pattern": pattern}
        return self.say(by, [(b"rule/%032x" % (self.ms + 1), s.encode(said))], parents)

    def grant(self, by, to, command, policy=(), prf=None, nbf=None, exp=None, parents=None):
        it = {"iss": KEY[by], "aud": KEY[to], "sub": s.cid(base.SPACE), "cmd": command, "pol": list(policy), "prf": prf,
              "nbf": nbf, "exp": exp, "nonce": bytes([self.ms]) * 16}  # fmt: skip
        data = s.make(by, "grant", it)
        self.grants[s.cid(data)] = it
        self.say(by, [(b"grant/" + s.cid_text(s.cid(data)).encode(), data)], parents)
        return s.cid(data)

    def ungrant(self, by, of, parents=None):
        data = s.make(by, "ungrant", {"at": base.NOW, "by": KEY[by], "of": of})
        return self.say(by, [(b"ungrant/" + s.cid_text(s.cid(data)).encode(), data)], parents)

    def to(self, who):
        """The first grant to somebody."""
        return next(of for of, it in self.grants.items() if it["aud"] == KEY[who])

    # --- what people write ---

    def put(self, who, key, value, branch="main", parents=None, ms=None, policy=None, onto=None):
        """A key with a value, or none, by somebody on top of a branch; `onto` is the branch that it is offered for."""
        self.ms += 1
        parents = self.heads.get(branch, []) if parents is None else parents
        value = None if value is None else value.encode()
        ms = self.ms if ms is None else ms
        policy = self.meta[0] if policy is None else policy
        changes = [(key.encode(), base.entry(value, ms))] if key else []
        name = self.add(changes, parents, ms=ms, signer=who, author=KEY[who], branch=branch, policy=policy, on=onto)
        kept = [it for it in self.heads.get(branch, []) if it not in parents]
        self.heads[branch] = [*kept, name]
        return name


def case(name, comment, story, error=None):
    rule, name = name.split(" ")
    kind = "invalid" if error else "valid"
    given = {"genesis": base.SPACE.hex(), "logs": base.LOGS, "now": base.NOW, "commits": list(story.known)}
    return (f"{rule}/{kind}/{name}", comment, given, error)


def worlds():
    it = Story().begin()
    it.put(MEMBER, "a", "1")
    it.put(WRITER, "docs/b", "1")
    it.put(ADMIN, "b", "1")
    yield case("REPO-112 all", "whoever may", it)

    it = Story().begin()
    it.put(WRITER, "docs/b", "1")
    it.ungrant(OWNER, it.to(WRITER))
    yield case("REPO-112 taken", "a right that was taken back: the commit is beside", it)
    it.put(OWNER, "x", "1", parents=[it.heads["main"][0]])
    yield case("REPO-112 taken-in", "the owner commits on top of it", it)

    for who, name, key in ((OWNER, "owner", "x"), (MEMBER, "member", "x"), (ADMIN, "admin", "x"), (CLERK, "clerk", "notes/b")):
        it = Story().begin()
        it.put(WRITER, "docs/b", "1")
        it.put(who, key, "1")
        it.ungrant(OWNER, it.to(WRITER))
        yield case(f"REPO-112 on-top-{name}", f"the {name} has built on it", it)

    it = Story().begin()
    it.grant(OWNER, EDITOR, "/space", [like("docs/")])
    it.member(EDITOR)
    it.put(WRITER, "docs/b", "1")
    it.put(CLERK, "notes/b", "1")
    it.put(EDITOR, "docs/c", "1")
    it.ungrant(OWNER, it.to(WRITER))
    yield case("REPO-112 peer", "somebody with the same right, with one between who has another", it)

    it = Story().begin()
    first = it.heads["main"]
    lost = it.put(WRITER, "docs/b", "1")
    it.put(CLERK, "notes/b", "1", parents=[lost])
    it.put(MEMBER, "x", "1", parents=[lost])
    it.ungrant(OWNER, it.to(WRITER))
    yield case("REPO-100 elsewhere", "what somebody vouched for counts below others too", it)

    it = Story().begin()
    lost = it.put(WRITER, "docs/b", "1")
    innocent = it.put(CLERK, "notes/b", "1", parents=[lost])
    other = it.put(MEMBER, "x", "1", parents=first)
    it.ungrant(OWNER, it.to(WRITER))
    yield case("REPO-101 two", "one head counts, what is below the other one does", it)
    it.put(OWNER, "y", "1", parents=[innocent, other])
    yield case("REPO-101 joined", "and both once the owner has joined them", it)

    it = Story().begin()
    it.grant(OWNER, EDITOR, "/", [on("side")])
    it.put(OWNER, None, None, branch="side", parents=it.heads["main"])
    lost = it.put(WRITER, "docs/b", "1")
    it.put(EDITOR, None, None, branch="side", parents=[*it.heads["side"], lost])
    it.ungrant(OWNER, it.to(WRITER))
    yield case("REPO-112 lent", "who has other rights on another branch lends none", it)
    it.put(OWNER, None, None, branch="side", parents=[*it.heads["side"], lost])
    yield case("REPO-100 answers", "the owner answers for all that is below, wherever it was made", it)

    it = Story().begin()
    it.put(MEMBER, "a", "1")
    it.put(EDITOR, "b", "1")
    it.put(MEMBER, "c", "1")
    it.member(MEMBER)
    yield case("REPO-112 removed", "a member who was removed: what another built on stays", it)
    it.member(MEMBER, "member")
    yield case("REPO-112 again", "and is one again", it)

    it = Story().begin()
    friend = it.grant(WRITER, STRANGER, "/space/write", [like("docs/x")], prf=it.to(WRITER))
    it.put(STRANGER, "docs/x1", "1")
    yield case("REPO-114 passed-on", "a right that was passed on", it)
    it.put(STRANGER, "docs/x2", "1", parents=[*it.heads["main"]])
    it.ungrant(WRITER, friend)
    yield case("REPO-114 passed-back", "who passed it on takes it back", it)
    it.ungrant(OWNER, it.to(WRITER))
    yield case("REPO-112 rests", "what it rests on goes too", it)

    it = Story().begin()
    it.grant(OWNER, STRANGER, "/space/write", [like("docs/")], exp=base.NOW + it.ms + 5)
    old = it.put(STRANGER, "docs/s", "1")
    it.ms += 10
    it.put(STRANGER, "docs/t", "1", parents=[old], ms=it.ms - 9)
    yield case("REPO-112 ended", "a right that ended: the time is that of the stamp", it)

    it = Story().begin()
    it.put(MEMBER, "notes/m", "1")
    it.put(OWNER, "log/a", "1", parents=it.heads["main"])
    it.put(MEMBER, "log/b", "1")
    it.rule("key", "log/*", {"write": [], "delete": []})
    it.rule("key", "*", ALL)
    yield case("REPO-112 nobody", "a rule for nobody takes nothing from the owner, and from others", it)

    it = Story().begin()
    apart = list(it.meta)
    it.rule("key", "pages/*", {"write": ["editor"]}, parents=apart)
    it.rule("key", "pages/*", {"write": ["member"]}, by=ADMIN, parents=apart)
    it.put(EDITOR, "pages/a", "1", policy=it.meta[0])
    it.put(MEMBER, "pages/b", "1", policy=it.meta[1])
    yield case("REPO-112 versions", "of two versions of a rule the stricter holds", it)

    it = Story().begin()
    it.rule("key", "user:{id}:*", owner="{id}")
    did = s.to_did(KEY[MEMBER])
    it.put(MEMBER, f"user:{did[8:]}:x", "1")
    it.member(MEMBER, "member", name="mia")
    it.put(MEMBER, "user:mia:x", "1")
    it.member(EDITOR, "editor", "member", name="mia")
    yield case("REPO-112 handle", "a handle that two have is nobody's", it)

    it = Story().begin()
    kept = list(it.meta)
    it.member(STRANGER, "member", by=ADMIN)
    it.put(STRANGER, "s", "1")
    it.ungrant(OWNER, it.to(ADMIN), parents=kept)
    yield case("REPO-112 admin", "what an admin said goes with the right", it)
    it.say(OWNER, [(b"note", b"1")], parents=list(it.meta))
    yield case("REPO-112 admin-kept", "unless the owner has built on it", it)

    it = Story().begin()
    it.rule("branch", "*", {"write": ["member"], "create": ["member"], "merge": ["member"]})
    it.put(MEMBER, "s", "1", branch="side", parents=it.heads["main"], onto="side")
    it.put(MEMBER, "t", "1", branch="side", onto="main")
    yield case("REPO-116 made-elsewhere", "where rights differ between branches no branch has a head of another one", it)

    it = Story().begin()
    it.put(MEMBER, "s", "1", branch="side", parents=it.heads["main"], onto="side")
    it.put(MEMBER, "t", "1", branch="side", onto="main")
    yield case("REPO-116 alike", "where they do not, it has", it)

    it = Story().begin()
    it.grant(OWNER, WRITER, "/branch")
    it.put(OWNER, "docs/s", "1", branch="side", parents=it.heads["main"])
    it.put(OWNER, "docs/m", "1")
    it.put(WRITER, "docs/w", "1", parents=[*it.heads["main"], *it.heads["side"]])
    yield case("REPO-114 merge", "a merge of who may merge, and write what it brings", it)

    it = Story().begin()
    old = list(it.meta)
    it.put(MEMBER, "a", "1")
    it.member(MEMBER)
    it.put(MEMBER, "b", "1", policy=old[0])
    yield case("REPO-113 old", "who names the meta of before has a commit that is kept, and does not count", it)


def refused():
    for name, who, key, error in (
        ("key", WRITER, "notes/x", "E_RIGHTS"), ("stranger", STRANGER, "docs/x", "E_NOT_MEMBER"), ("clerk", CLERK, "docs", "E_RIGHTS"),
    ):  # fmt: skip
        it = Story().begin()
        it.put(who, key, "1")
        yield case(f"REPO-113 {name}", "a key that its author may not write", it, error)
    it = Story().begin()
    it.grant(OWNER, STRANGER, "/space/write")
    it.put(STRANGER, "docs/a", None)
    yield case("REPO-114 delete", "a key that its author may write, and not delete", it, "E_NOT_MEMBER")
    it = Story().begin()
    it.put(WRITER, "docs/x", "1", branch="new", parents=[])
    yield case("REPO-114 create", "a branch that its author may not begin", it, "E_RIGHTS")
    it = Story().begin()
    it.grant(OWNER, WRITER, "/branch/merge")
    it.put(OWNER, "notes/s", "1", branch="side", parents=it.heads["main"])
    it.put(OWNER, "docs/m", "1")
    it.put(WRITER, None, None, parents=[*it.heads["main"], *it.heads["side"]])
    yield case("REPO-114 merge", "a merge that brings what its author may not write", it, "E_RIGHTS")
    it = Story().begin()
    it.say(MEMBER, [(b"reach", b"public")])
    yield case("REPO-114 meta", "meta, by a member", it, "E_NOT_OWNER")
    it = Story().begin()
    it.grant(WRITER, STRANGER, "/space/write", prf=it.to(ADMIN))
    yield case("REPO-114 foreign", "a grant that rests on somebody else's", it, "E_NOT_OWNER")
    it = Story().begin()
    it.ungrant(CLERK, it.to(WRITER))
    yield case("REPO-114 ungrant", "a grant of somebody else, taken back", it, "E_NOT_OWNER")
    it = Story().begin()
    it.put(MEMBER, "x", "1", policy=it.heads["main"][0])
    yield case("REPO-113 policy", "a policy that is no commit of meta", it, "E_COMMIT_POLICY")
    it = Story().begin()
    it.grant(OWNER, STRANGER, "/space/write", [like("docs/")], exp=base.NOW + it.ms + 2)
    it.put(OWNER, "x", "1")
    it.ms += 5
    it.put(STRANGER, "docs/x", "1")
    yield case("REPO-113 ended", "a right that ended before", it, "E_NOT_MEMBER")


def accepted(story):
    here = rights.Space(base.SPACE)
    for it in story.known[:-1]:
        here.accept(bytes.fromhex(it["bytes"]), repo.pairs(it["changes"]), it["branch"], base.NOW)
    last = story.known[-1]
    try:
        here.accept(bytes.fromhex(last["bytes"]), repo.pairs(last["changes"]), last["branch"], base.NOW)
    except rights.Fault:
        return False
    return True


PEOPLE = list(NAMES)


def by_chance():
    """Histories by chance of commits that are taken: people write, merge and build on others, and rights come and go."""
    for seed in range(24):
        dice = random.Random(f"counting {seed}")
        it = Story().begin()
        for _ in range(12):
            state = (it.known[:], dict(it.trees), dict(it.said), list(it.meta), dict(it.heads), dict(it.grants))
            step(it, dice)
            if not accepted(it):
                it.known, it.trees, it.said, it.meta, it.heads, it.grants = state
        yield case(f"REPO-112 chance-{seed:02}", "a history by chance", it)


def step(it, dice):
    who, what = dice.choice(PEOPLE), dice.randrange(12)
    branch, key = dice.choice(["main", "main", "side"]), dice.choice(["docs/a", "docs/b", "notes/a", "user:mia:x", "z"])
    heads = [name for of in it.heads.values() for name in of]
    if what < 6:
        all_main = [name for name, said in it.said.items() if said["branch"] != "meta"]
        own = it.heads.get(branch, [])
        parents = dice.choice([own, own, [dice.choice(all_main)], sorted(set(dice.sample(heads, min(2, len(heads)))))])
        parents = [name for name in parents if not any(is_below(it, name, of) for of in parents if of != name)]
        it.put(who, key, dice.choice(["1", "2", None]), branch=branch, parents=parents)
    elif what == 6:
        it.member(dice.choice(PEOPLE[1:]), *dice.choice([(), ("member",), ("editor", "member")]), by=dice.choice([OWNER, ADMIN]))
    elif what == 7:
        policy = dice.choice([[], [like("docs/")], [on("side")], [like("notes/"), on("main")]])
        it.grant(OWNER, dice.choice(PEOPLE[1:]), dice.choice(["/", "/space", "/space/write", "/branch"]), policy)
    elif what == 8 and it.grants:
        of = dice.choice(list(it.grants))
        to = dice.choice(PEOPLE[1:])
        by = next(seed for seed in PEOPLE if KEY[seed] == it.grants[of]["aud"])
        if to != by:
            it.grant(by, to, it.grants[of]["cmd"], prf=of)
        else:
            it.put(OWNER, "z", "3")
    elif what < 11:
        of = dice.choice(list(it.grants))
        it.ungrant(dice.choice([OWNER, OWNER, ADMIN, WRITER]), of)
    else:
        ops, roles = dice.choice(["write", "delete"]), dice.choice([["editor"], ["member"], []])
        if dice.random() < 0.5:
            it.rule("key", dice.choice(["docs/*", "*"]), {ops: roles})
        else:
            it.rule("branch", dice.choice(["main", "*"]), {dice.choice(["write", "create", "merge"]): roles})


def is_below(it, name, of):
    return any(parent == name or is_below(it, name, parent) for parent in it.said[of]["parents"])
