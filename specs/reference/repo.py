"""A second reading of REPO: entries, commits, branches and join, from specs/22-repo.md alone.

Python 3.10 or later, standard library only. It shares no code with the crates; statements are read
by statement.py and trees by tree.py beside this file.

    python3 specs/reference/repo.py specs/vectors            checks the vectors
    python3 specs/reference/repo.py --write specs/vectors    writes commit.json and history.json

`check(vectors_dir)` returns how many cases passed and a list of what failed.
"""

import base64
import re
import sys

import crdt
import statement as s
import tree
import vectors
from vectors import Fault

KEY_BYTES_MAX = 4096
VALUE_INLINE_BYTES_MAX = 1024
MESSAGE_BYTES_MAX = 4096
PARENTS_MAX = 64
DRIFT_MS_MAX = 5 * 60 * 1000


# --- entries (REPO-1 to REPO-4) -----------------------------------------------------------------


def is_value_link(link):
    """Raw or dag-pb, sha2-256 or blake3, 32 bytes."""
    head = link[:4]
    return len(link) == 36 and head[0] == 1 and head[1] in (0x55, 0x70) and head[2] in (0x12, 0x1E) and head[3] == 32


def is_state_link(link):
    """Raw, sha2-256."""
    return is_value_link(link) and link[1] == 0x55 and link[2] == 0x12


def is_rule(key, state):
    """REPO-42: whether an entry of meta says how keys join."""
    return key.startswith(b"joins/") and type(state) is bytes and state.decode(errors="replace") in crdt.KINDS


class Joining:
    """A joining state: the name of its kind, and bytes or a Link."""

    def __init__(self, code, state):
        if type(code) is not int or not 1 <= code <= len(crdt.KINDS):
            raise Fault("E_ENTRY")
        self.kind, self.state = crdt.KINDS[code - 1], state
        fits = is_state_link(state) if isinstance(state, s.Link) else is_inline(state)
        if not fits:
            raise Fault("E_ENTRY")

    def read(self):
        return crdt.decode(self.kind, self.state)

    def order(self):
        """What decides before the states join (REPO-4)."""
        return self.read()[0] or (), crdt.KINDS.index(self.kind)

    def newest(self):
        """The greatest stamp in it (REPO-16)."""
        epoch, body = self.read()
        stamps = [0] if epoch is None else [epoch[0]]
        if self.kind in ("lww-register", "lww-map"):
            stamps += [write[0] for write in (body or {}).values()]
        return max(stamps)


def is_live(state):
    """Whether a key has a value; a state in a block is not empty."""
    if isinstance(state, Joining) and not isinstance(state.state, s.Link):
        return state.read()[1] is not None
    return state is not None


def is_inline(state):
    return type(state) is bytes and len(state) <= VALUE_INLINE_BYTES_MAX


def read_entry(data):
    """(stamp, state); the state is bytes, a Link, None or Joining."""
    try:
        value = s.decode(data)
    except s.Fault:
        raise Fault("E_ENTRY") from None
    if not isinstance(value, list) or len(value) != 2 or type(value[0]) is not int or value[0] < 0:
        raise Fault("E_ENTRY")
    stamp, state = value
    if isinstance(state, list) and len(state) == 2:
        return stamp, Joining(*state)
    if isinstance(state, s.Link):
        fits = is_value_link(state)
    else:
        fits = state is None or is_inline(state)
    if not fits:
        raise Fault("E_ENTRY")
    return stamp, state


def rank(entry):
    """REPO-4: what decides which of two entries wins."""
    return read_entry(entry)[0], entry


def join_entries(one, two):
    """REPO-4."""
    (first, ours), (second, theirs) = read_entry(one), read_entry(two)
    stamp = max(first, second)
    if not isinstance(ours, Joining) or not isinstance(theirs, Joining):
        if not isinstance(ours, Joining) and not isinstance(theirs, Joining):
            return max(one, two, key=rank)
        wins = ours if isinstance(ours, Joining) else theirs
    elif ours.order() != theirs.order():
        wins = max(ours, theirs, key=Joining.order)
    else:
        both = crdt.join(ours.kind, ours.read(), theirs.read())
        wins = Joining(crdt.KINDS.index(ours.kind) + 1, crdt.encode(ours.kind, both))
    return s.encode([stamp, [crdt.KINDS.index(wins.kind) + 1, wins.state]])


def join(*trees):
    """REPO-5, over dictionaries of entries by key."""
    joined = {}
    for one in trees:
        for key, entry in one.items():
            joined[key] = join_entries(joined[key], entry) if key in joined else entry
    return joined


def root_of(entries):
    return tree.build(sorted(entries.items()))["root"]


# --- statements ---------------------------------------------------------------------------------

GENESIS = {"at": int, "class": str, "name": str, "nonce": bytes, "owner": bytes}
COMMIT = {
    "author": bytes, "branch": str, "gen": int, "message": str, "parents": list,
    "policy": (type(None), s.Link), "space": s.Link, "stamp": int, "tree": s.Link,
}


def is_branch(name):
    """The rule for branch names, under Commits."""
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    return (
        1 <= len(name.encode()) <= 128
        and name != "HEAD"
        and all(
            part and part[0] not in ".-" and not part.endswith(".lock") and ".." not in part and set(part) <= letters
            for part in name.split("/")
        )
    )


def genesis_shape(payload):
    s.members(payload, GENESIS)
    if payload["class"] != "convergent" or len(payload["nonce"]) != 16 or not s.is_key(payload["owner"]):
        raise s.Fault("E_SHAPE")


def genesis_check(payload):
    name = payload["name"]
    if not 1 <= len(name.encode()) <= 128 or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name):
        raise s.Fault("E_GENESIS")


def commit_shape(payload):
    s.members(payload, COMMIT | ({"parts": s.Link} if "parts" in payload else {}))
    if not s.is_key(payload["author"]) or not is_branch(payload["branch"]):
        raise s.Fault("E_SHAPE")
    if not all(isinstance(parent, s.Link) for parent in payload["parents"]):
        raise s.Fault("E_SHAPE")


def commit_check(payload):
    parents, generation = payload["parents"], payload["gen"]
    if (
        len(payload["message"].encode()) > MESSAGE_BYTES_MAX
        or len(parents) > PARENTS_MAX
        or any(a >= b for a, b in zip(parents, parents[1:]))
        or generation == 0
        or (generation == 1) != (not parents)
    ):
        raise s.Fault("E_COMMIT")


s.PAYLOADS["space"] = (genesis_shape, genesis_check)
s.PAYLOADS["commit"] = (commit_shape, commit_check)


# --- parts --------------------------------------------------------------------------------------


def declared(meta, branch):
    """PART-20: the prefixes that a state of meta declares for a branch."""
    found = []
    for key, entry in sorted(meta.items()):
        state = read_entry(entry)[1]
        prefix = key[len(b"part/"):]
        if not key.startswith(b"part/") or not 1 <= len(prefix) <= 256 or not isinstance(state, bytes):
            continue
        try:
            branches = s.decode(state)
        except s.Fault:
            continue
        if not isinstance(branches, list) or not 1 <= len(branches) <= 16:
            continue
        if not all(isinstance(name, str) and is_branch(name) and name != "meta" for name in branches):
            continue
        # The bytes of names, which are ASCII.
        if all(a < b for a, b in zip(branches, branches[1:])):
            found.append((prefix, branches))
    return [prefix for prefix, branches in found[:1024] if branch in branches]


def parts_of(entries, prefixes):
    """PART-21: the root of the tree of parts; none without prefixes."""
    if not prefixes:
        return None
    slices = {}
    for prefix in prefixes:
        root = root_of({key: entry for key, entry in entries.items() if key.startswith(prefix)})
        slices[prefix] = cid_bytes(root)
    return cid_bytes(root_of(slices))


def cid_bytes(text):
    padded = text[1:].upper()
    return s.Link(base64.b32decode(padded + "=" * (-len(padded) % 8)))


# --- a replica ----------------------------------------------------------------------------------


class Replica:
    def __init__(self, genesis, logs=()):
        parts = s.verify(genesis, "space")
        self.space, self.owner = s.cid(genesis), parts["payload"]["owner"]
        # Devices by agent.
        self.devices = {}
        for agent, events in logs:
            devices = s.replay(s.from_did(agent), events)["devices"]
            self.devices[s.from_did(agent)] = {s.from_did(did) for did in devices}
        if not self.speaks(self.owner, parts["signer"]):
            raise Fault("E_DEVICE")
        self.commits, self.trees, self.heads = {}, {}, {}
        self.blocks = set()

    def speaks(self, agent, signer):
        return signer == agent or signer in self.devices.get(agent, ())

    def ancestors(self, name):
        seen, open_names = set(), [name]
        while open_names:
            for parent in self.commits[open_names.pop()]["parents"]:
                if parent not in seen:
                    seen.add(parent)
                    open_names.append(parent)
        return seen

    def state(self, branch):
        """REPO-6."""
        return join(*(self.trees[head] for head in self.heads.get(branch, ())))

    def is_member(self, agent, policy):
        """REPO-113: by the meta that a commit names (ACCESS-14)."""
        if agent == self.owner:
            return True
        if policy is not None and self.commits.get(policy, {}).get("branch") != "meta":
            raise Fault("E_COMMIT_POLICY")
        prefix = b"member/" + s.to_did(agent).encode() + b"/"
        roles = None
        for key, entry in (self.trees[policy] if policy else {}).items():
            state = read_entry(entry)[1]
            if not key.startswith(prefix) or not isinstance(state, bytes):
                continue
            if not re.fullmatch(rb"[0-9a-f]{32}", key[len(prefix):]):
                continue
            try:
                said = s.decode(state)
            except s.Fault:
                continue
            if isinstance(said, dict) and set(said) == {"name", "roles"}:
                of_this = set(said["roles"])
                roles = of_this if roles is None else roles & of_this
        return "member" in (roles or ())

    def review(self, data, now):
        """REPO-10 to REPO-14."""
        try:
            parts = s.verify(data, "commit")
        except s.Fault as fault:
            raise Fault("E_SIGNATURE" if fault.code == "E_SIGNATURE" else "E_COMMIT") from None
        said = parts["payload"]
        if said["space"] != self.space:
            raise Fault("E_WRONG_SPACE")
        if said["stamp"] >> 16 > now + DRIFT_MS_MAX:
            raise Fault("E_FUTURE")
        generation = 0
        for name in said["parents"]:
            parent = self.commits.get(name)
            if parent is None:
                raise Fault("E_PARENT")
            generation = max(generation, parent["gen"])
            if parent["stamp"] >= said["stamp"]:
                raise Fault("E_COMMIT")
            if (parent["branch"] == "meta") != (said["branch"] == "meta"):
                raise Fault("E_BRANCH")
        if said["gen"] != generation + 1:
            raise Fault("E_COMMIT")
        if not self.speaks(said["author"], parts["signer"]):
            raise Fault("E_DEVICE")
        self.review_rights(said)
        return said

    def review_rights(self, said):
        """REPO-17, REPO-113, where members may do all; rights.py beside this file has the rest."""
        if said["branch"] == "meta" and said["author"] != self.owner:
            raise Fault("E_NOT_OWNER")
        if not self.is_member(said["author"], said["policy"]):
            raise Fault("E_NOT_MEMBER")

    def joins(self, key):
        """REPO-42: whether a pattern has the key."""
        for name, entry in self.state("meta").items():
            if not is_rule(name, read_entry(entry)[1]):
                continue
            pattern = name[len(b"joins/"):]
            if pattern == key or pattern.endswith(b"*") and key.startswith(pattern[:-1]):
                return True
        return False

    def with_changes(self, said, changes):
        """REPO-15, REPO-16, REPO-19, REPO-31."""
        base = join(*(self.trees[parent] for parent in said["parents"]))
        for key, entry in changes:
            if not 1 <= len(key) <= KEY_BYTES_MAX:
                raise Fault("E_COMMIT")
            stamp, state = read_entry(entry)
            if stamp > said["stamp"]:
                raise Fault("E_ENTRY_STAMP")
            if isinstance(state, Joining):
                # REPO-42
                if said["branch"] == "meta" or not self.joins(key):
                    raise Fault("E_CRDT_KIND")
                if state.newest() > said["stamp"]:
                    raise Fault("E_ENTRY_STAMP")
            if key in base and (base[key] == entry or join_entries(base[key], entry) != entry):
                raise Fault("E_ENTRY_STAMP")
            # REPO-31
            if said["branch"] == "meta" and key.startswith(b"tag/") and key in base:
                before = read_entry(base[key])[1]
                if before is not None and state is not None and before != state:
                    raise Fault("E_TAG")
            # REPO-111
            if said["branch"] == "meta" and key.startswith((b"grant/", b"ungrant/")) and key in base:
                if read_entry(base[key])[1] != state:
                    raise Fault("E_KEPT")
            # REPO-42
            if said["branch"] == "meta" and key in base:
                before = read_entry(base[key])[1]
                if is_rule(key, before) and before != state:
                    raise Fault("E_CRDT_KIND")
        entries = base | dict(changes)
        if root_of(entries) != s.cid_text(said["tree"]):
            raise Fault("E_ROOT")
        # PART-21
        if "parts" in said:
            if said["policy"] is not None and said["policy"] not in self.commits:
                raise Fault("E_COMMIT_POLICY")
            policy = self.commits.get(said["policy"], {}).get("branch") == "meta"
            meta = self.trees[said["policy"]] if policy else {}
            if parts_of(entries, declared(meta, said["branch"])) != said["parts"]:
                raise Fault("E_PARTS")
        for key, entry in changes:
            state = read_entry(entry)[1]
            if isinstance(state, s.Link) and state not in self.blocks:
                raise Fault("E_MISSING")
        return entries

    def accept(self, data, changes, branch, now):
        said = self.review(data, now)
        entries = self.with_changes(said, changes)
        if (branch == "meta") != (said["branch"] == "meta"):
            raise Fault("E_BRANCH")
        name = s.cid(data)
        self.commits[name], self.trees[name] = said, entries
        heads = self.heads.setdefault(branch, set())
        # REPO-7
        if not any(name in self.ancestors(head) for head in heads):
            heads.difference_update(self.ancestors(name))
            heads.add(name)
        return name, said


# --- vectors ------------------------------------------------------------------------------------


def pairs(changes):
    return [(bytes.fromhex(key), bytes.fromhex(entry)) for key, entry in changes]


def replica(given):
    logs = [(agent, [bytes.fromhex(event) for event in events]) for agent, events in given["logs"]]
    return Replica(bytes.fromhex(given["genesis"]), logs)


def run_entry(given):
    stamp, state = read_entry(bytes.fromhex(given["bytes"]))
    if isinstance(state, s.Link):
        return {"stamp": stamp, "state": f"link {s.cid_text(state)}"}
    if isinstance(state, Joining):
        shown = f"link {s.cid_text(state.state)}" if isinstance(state.state, s.Link) else state.state.hex()
        return {"stamp": stamp, "state": f"{state.kind} {shown}"}
    text = "tombstone" if state is None else f"value {state.hex()}"
    return {"stamp": stamp, "state": text}


def run_commit(given):
    here = replica(given)
    for known in given["known"]:
        here.accept(bytes.fromhex(known["bytes"]), pairs(known["changes"]), known["branch"], given["now"])
    data = bytes.fromhex(given["bytes"])
    name, said = here.accept(data, pairs(given["changes"]), given["branch"], given["now"])
    return {
        "cid": s.cid_text(name),
        "author": s.to_did(said["author"]),
        "branch": said["branch"],
        "gen": said["gen"],
        "message": said["message"],
        "parents": [s.cid_text(parent) for parent in said["parents"]],
        "stamp": said["stamp"],
        "tree": s.cid_text(said["tree"]),
    } | ({"parts": s.cid_text(said["parts"])} if "parts" in said else {})


def run_history(given):
    here = replica(given)
    names = []
    for commit in given["commits"]:
        data, changes = bytes.fromhex(commit["bytes"]), pairs(commit["changes"])
        names.append(here.accept(data, changes, commit["branch"], given["now"])[0])
    branches = {}
    for branch, heads in sorted(here.heads.items()):
        state = here.state(branch)
        live = [is_live(read_entry(entry)[1]) for entry in state.values()]
        branches[branch] = {
            "heads": sorted(map(s.cid_text, heads)),
            "root": root_of(state),
            "entries": len(state),
            "live": sum(live),
        }
    return {
        "space": s.cid_text(here.space),
        "commits": list(map(s.cid_text, names)),
        "trees": [root_of(here.trees[name]) for name in names],
        "branches": branches,
    }


RUNNERS = {
    "repo/entry.json": run_entry,
    "repo/commit.json": run_commit,
    "repo/history.json": run_history,
}


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    import repo_cases

    vectors.write(vectors_dir, "REPO", RUNNERS, repo_cases.files())


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
