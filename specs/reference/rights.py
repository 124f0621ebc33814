"""A second reading of rights over commits, REPO-100, REPO-101 and REPO-110 to REPO-116, from specs/22-repo.md alone.

Python 3.10 or later, standard library only. Commits are read by repo.py, requests answered by access.py beside this file. Whether
somebody may change all keys of a branch is asked of the keys that there are, and of a few that there are not.

    python3 specs/reference/rights.py specs/vectors            checks the vectors
    python3 specs/reference/rights.py --write specs/vectors    writes counting.json

`check(vectors_dir)` returns how many cases passed and a list of what failed.
"""

import functools
import re
import sys

import access
import repo
import statement as s
import vectors
from vectors import Fault

VERSION = re.compile(rb"[0-9a-f]{32}")
KEY_OPS = ("write", "delete")
# REPO-116: what changes a branch, or what is on it.
MOVES = ("write", "delete", "create", "merge")
# Keys that nobody has: of each some begin as keys of people do.
NOWHERE = (b"\0", b"!", b"nowhere/at all", b"user:nobody:x", b"\xff\xff")


@functools.cache
def verified(data, domain):
    """The parts of a grant, or of what takes one back; None if it is none. Each is looked at once."""
    try:
        return access.verify(data, domain)
    except s.Fault:
        return None


def asks_of_branch(it):
    """Whether a policy has a statement of `.branch`."""
    return it == ".branch" or isinstance(it, list) and any(map(asks_of_branch, it))


def may(world, who, op, branch, key, at):
    return world.answer(who, op, branch, key, at)["answer"] == "allow"


def may_key(world, who, op, branch, key, at):
    """ACCESS-20 as far as it is about the key."""
    if world.too_many:
        return "owner" in world.roles(who, at)
    ground = world.find("key", op, who, key, at)
    if ground in ("denied", "nobody"):
        return False
    return ground is not None or world.by_grants(who, op, branch, key, at)["answer"] == "allow"


def differ(world):
    """REPO-116: whether rights differ between branches."""
    for (on, _), versions in world.versions.items():
        for it in versions if on == "branch" else ():
            if any(access.names(it, op) or it["deny"].get(op) for op in ("write", "create", "merge")):
                return True
    for of, grant in world.grants.items():
        links = world.chain(of, None)
        if links and any(access.covers(grant["cmd"], access.COMMANDS[op]) for op in MOVES):
            if any(asks_of_branch(world.grants[it]["pol"]) for it in links):
                return True
    return False


class Space(repo.Replica):
    """All that came to a replica, judged by what is known at last."""

    def __init__(self, genesis, logs=()):
        super().__init__(genesis, logs)
        # The commits that came, by the branch that they were offered for; and who signed them.
        self.came, self.signer, self.order = {}, {}, []

    # --- what meta says (REPO-110, REPO-111) ---

    def said(self, domain, name, entry):
        """A grant, or what takes one back, under its name, if its signer speaks for its issuer."""
        state = repo.read_entry(entry)[1]
        parts = verified(state, domain) if isinstance(state, bytes) else None
        if parts is None or s.cid_text(s.cid(state)).encode() != name:
            return None
        it = parts["payload"]
        if domain == "grant" and it["sub"] != self.space:
            return None
        by = it["iss"] if domain == "grant" else it["by"]
        return (s.cid(state), it) if self.speaks(by, parts["signer"]) else None

    def world(self, states, beside=()):
        rules, members, grants, ungrants = {}, {}, {}, []
        meta = repo.join(*states)
        for key, entry in meta.items():
            kind, _, name = key.partition(b"/")
            state = repo.read_entry(entry)[1]
            if not isinstance(state, bytes):
                continue
            try:
                if kind == b"rule" and VERSION.fullmatch(name):
                    rules[name.decode()] = access.read_rule(state)
                agent, _, version = name.partition(b"/")
                if kind == b"member" and VERSION.fullmatch(version):
                    members.setdefault(s.from_did(agent.decode()), []).append(access.read_member(state))
            except (Fault, s.Fault):
                continue
        for tree in (meta, *beside):
            for key, entry in tree.items():
                kind, _, name = key.partition(b"/")
                if kind == b"grant" and (found := self.said("grant", name, entry)):
                    grants[found[0]] = found[1]
                if kind == b"ungrant" and (found := self.said("ungrant", name, entry)):
                    ungrants.append(found[1])
        return access.World(self.owner, self.space, rules, members, grants, ungrants)

    # --- what a commit does (REPO-114) ---

    def own(self, said):
        return [it for it in said["parents"] if self.commits[it]["branch"] == said["branch"]]

    def rests(self, said):
        """REPO-112."""
        return self.own(said) or said["parents"]

    def changes(self, said, entries):
        base = repo.join(*(self.trees[it] for it in self.rests(said)))
        return {key: (entry, key in base) for key, entry in entries.items() if base.get(key) != entry}

    def may_do(self, world, agent, said, entries, at):
        who, branch = access.who_of(s.to_did(agent)), said["branch"]
        changes = self.changes(said, entries)
        if branch == "meta":
            return may(world, who, "admin", branch, None, at) or self.passes_on(world, agent, changes, at)
        own = self.own(said)
        op = "create" if not own else "merge" if len(own) < len(said["parents"]) else "write"
        if not may(world, who, op, branch, None, at):
            return False
        ask = may if op == "write" else may_key
        for key, (entry, _) in changes.items():
            is_live = repo.is_live(repo.read_entry(entry)[1])
            if not ask(world, who, KEY_OPS[not is_live], branch, key, at):
                return False
        return True

    def passes_on(self, world, agent, changes, at):
        for key, (entry, is_there) in changes.items():
            kind, _, name = key.partition(b"/")
            found = self.said(kind.decode(), name, entry) if kind in (b"grant", b"ungrant") else None
            if is_there or found is None:
                return False
            it = found[1]
            if kind == b"grant":
                of = it["prf"]
                holds = of in world.grants and world.grants[of]["aud"] == agent and world.chain(of, at)
                if it["iss"] != agent or not holds:
                    return False
            elif it["by"] != agent or not self.takes_back(world, agent, it["of"]):
                return False
        return bool(changes)

    def takes_back(self, world, agent, of):
        """ACCESS-6."""
        if of not in world.grants:
            return False
        link, issuers = of, []
        while link in world.grants and len(issuers) < 8:
            issuers.append(world.grants[link]["iss"])
            link = world.grants[link]["prf"]
        return agent in issuers or agent == world.grants[of]["aud"]

    # --- what arrives (REPO-113) ---

    def review_rights(self, said):
        """Judged when it is known what changes."""

    def accept(self, data, changes, branch, now):
        said = self.review(data, now)
        entries, policy, author = self.with_changes(said, changes), said["policy"], said["author"]
        if author != self.owner:
            if policy is not None and self.commits.get(policy, {}).get("branch") != "meta":
                raise Fault("E_COMMIT_POLICY")
            world, at = self.world([self.trees[policy]] if policy else []), said["stamp"] >> 16
            if not self.may_do(world, author, said, entries, at):
                reads = world.reads(access.who_of(s.to_did(author)), at)
                raise Fault("E_NOT_OWNER" if said["branch"] == "meta" else "E_RIGHTS" if reads else "E_NOT_MEMBER")
        name = s.cid(data)
        self.commits[name], self.trees[name] = said, entries
        self.signer[name] = s.decode(data)[1]
        self.came.setdefault(branch, set()).update({name} | self.ancestors(name))
        self.order.append(name)
        return name, said

    # --- what counts (REPO-100, REPO-112) ---

    def stands(self, world, name):
        said = self.commits[name]
        author = said["author"]
        if not self.speaks(author, self.signer[name]):
            return False
        return author == self.owner or self.may_do(world, author, said, self.trees[name], said["stamp"] >> 16)

    def answers_for_all(self, world, name):
        said = self.commits[name]
        branch, at, author = said["branch"], said["stamp"] >> 16, said["author"]
        if author == self.owner:
            return True
        who = access.who_of(s.to_did(author))
        keys = set(NOWHERE).union(*self.trees.values())
        return (
            all(may(world, who, op, branch, key, at) for op in KEY_OPS for key in keys)
            and all(may(world, who, op, branch, None, at) for op in ("create", "merge"))
            and (not differ(world) or may(world, who, "admin", branch, None, at))
        )

    def counting(self, world, names):
        """Of all commits of `meta`, or of all others, those that count."""
        standing = {name for name in names if self.stands(world, name)}
        rests = {name: self.rests(self.commits[name]) for name in names}

        def below(name, seen):
            for it in rests[name]:
                if it not in seen:
                    seen.add(it)
                    below(it, seen)
            return seen

        def vouches(name, of):
            said, its = self.commits[name], self.commits[of]
            at = said["stamp"] >> 16
            author = said["author"]
            return name in standing and (
                self.answers_for_all(world, name)
                or self.may_do(world, author, its, self.trees[of], at)
            )  # fmt: skip

        def is_way(name, of):
            """Whether there is a way down on which nobody vouches for it."""
            return name == of or not vouches(name, of) and any(is_way(it, of) for it in rests[name])

        counting = {
            name for name in standing
            if not any(is_way(name, of) for of in below(name, set()) - standing)
        }  # fmt: skip
        while True:
            before = len(counting)
            for name in names:
                if name in standing and all(it in counting for it in rests[name]):
                    counting.add(name)
                if name in counting:
                    counting.update(rests[name])
                    if name in standing and self.answers_for_all(world, name):
                        counting.update(self.ancestors(name))
            if len(counting) == before:
                return counting

    # --- where branches stand (REPO-101, REPO-116) ---

    def newest(self, names):
        return names - {it for name in names for it in self.ancestors(name)}

    def stand(self, world, branch, counting):
        came = self.came.get(branch, set())
        is_free = branch == "meta" or not differ(world)
        heads = self.newest({it for it in came & counting if is_free or self.commits[it]["branch"] == branch})
        led_to = heads | {it for head in heads for it in self.ancestors(head)}
        return heads, self.newest(came - led_to)

    def settle(self):
        """What counts, and where all branches stand: `meta` first, until what it says of itself is so (REPO-115)."""
        of_meta = {name for name in self.order if self.commits[name]["branch"] == "meta"}
        heads, beside = self.newest(of_meta), set()
        for _ in range(16):
            world = self.world([self.trees[it] for it in heads], [self.trees[it] for it in beside])
            counting = self.counting(world, of_meta)
            stand = self.stand(world, "meta", counting)
            if stand == (heads, beside):
                break
            heads, beside = stand
        else:
            raise SystemExit("a world that does not come to rest")
        counting |= self.counting(world, set(self.order) - of_meta)
        branches = {branch: self.stand(world, branch, counting) for branch in sorted(self.came)}
        return world, counting, branches


def run_counting(given):
    logs = [(agent, [bytes.fromhex(event) for event in events]) for agent, events in given["logs"]]
    here = Space(bytes.fromhex(given["genesis"]), logs)
    for it in given["commits"]:
        here.accept(bytes.fromhex(it["bytes"]), repo.pairs(it["changes"]), it["branch"], given["now"])
    world, counting, branches = here.settle()
    return {
        "stands": [here.stands(world, name) for name in here.order],
        "counts": [name in counting for name in here.order],
        "branches": {
            branch: {"heads": sorted(map(s.cid_text, heads)), "beside": sorted(map(s.cid_text, beside))}
            for branch, (heads, beside) in branches.items()
        },
    }


RUNNERS = {"repo/counting.json": run_counting}


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    import rights_cases  # beside this file

    vectors.write(vectors_dir, "REPO", RUNNERS, rights_cases.files())


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
