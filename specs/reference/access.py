"""A second reading of ACCESS: grants, rules, members, tokens, and the answer to a request, from the page alone.

Python 3.10 or later, standard library only. It shares no code with the crates.

    python3 specs/reference/access.py specs/vectors            checks the vectors
    python3 specs/reference/access.py --write specs/vectors    writes them again, byte for byte
"""

import base64
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import statement as s  # noqa: E402
import trust  # noqa: E402
import vectors  # noqa: E402

Link = s.Link
Fault = s.Fault

# --- Operations -------------------------------------------------------------------------------

COMMANDS = {
    "read": "/space/read", "write": "/space/write", "delete": "/space/delete",
    "create": "/branch/create", "merge": "/branch/merge", "drop": "/branch/delete",
    "admin": "/space/admin", "pin": "/pin", "events": "/events/read",
}  # fmt: skip
OF_KEYS = ("read", "write", "delete")
OF_BRANCHES = ("read", "write", "create", "merge", "drop")
OF_SPACE = ("admin", "pin", "events")


def is_command(text):
    """ACCESS-1."""
    if type(text) is not str or len(text.encode()) > 64:
        return False
    segments = text.split("/")
    return text == "/" or (segments[0] == "" and 2 <= len(segments) <= 5 and all(map(is_name, segments[1:])))


def is_name(text):
    return type(text) is str and text != "" and trust.is_name(text)


def covers(outer, inner):
    return outer in ("/", inner) or inner.startswith(outer + "/")


# --- Policies ---------------------------------------------------------------------------------

COMPARISONS = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


def is_like(text):
    """ACCESS-4: a backslash is before a star or another one."""
    return type(text) is str and "\\" not in text.replace("\\\\", "").replace("\\*", "")


def policy_shape(statements):
    """ACCESS-3."""
    if type(statements) is not list:
        raise Fault("E_SHAPE")
    for it in statements:
        if type(it) is not list or not it or type(it[0]) is not str:
            raise Fault("E_SHAPE")
        kind, rest = it[0], it[1:]
        if kind in ("and", "or") and len(rest) == 1:
            policy_shape(rest[0])
        elif kind == "not" and len(rest) == 1:
            policy_shape(rest)
        else:
            good = len(rest) == 2 and rest[0] in (".key", ".branch") and (
                is_like(rest[1]) if kind == "like" else kind in COMPARISONS and type(rest[1]) in (str, bytes)
            )
            if not good:
                raise Fault("E_SHAPE")


def to_bytes(value):
    return value.encode() if type(value) is str else value


def policy_check(statements, depth=1):
    """ACCESS-3: how many statements there are, if they are not too many and too large."""
    count = 0
    for kind, *rest in statements:
        inner = rest if kind == "not" else rest[0]
        is_list = kind in ("not", "and", "or")
        count += 1 + (policy_check(inner, depth + 1) if is_list else 0)
        too_large = (inner == []) if is_list else len(to_bytes(rest[1])) > 256
        if too_large or depth > 8 or count > 64:
            raise Fault("E_GRANT_POLICY")
    return count


class Exhausted(Exception):
    """ACCESS-24."""


class Steps:
    def __init__(self):
        self.left = 65536

    def take(self, count):
        self.left -= count
        if self.left < 0:
            raise Exhausted


def pieces_of(pattern):
    """What is between the stars."""
    pieces, at = [b""], 0
    data = pattern.encode()
    while at < len(data):
        if data[at : at + 1] == b"*":
            pieces.append(b"")
        else:
            at += data[at : at + 1] == b"\\"
            pieces[-1] += data[at : at + 1]
        at += 1
    return pieces


def matches_like(pieces, data):
    """Places that the pattern can have come to, piece by piece."""
    places = {len(pieces[0])} if data.startswith(pieces[0]) else set()
    for piece in pieces[1:]:
        least = min(places, default=len(data) + 1)
        places = {at + len(piece) for at in range(least, len(data) + 1) if data.startswith(piece, at)}
    return len(data) in places


def holds(it, branch, key, steps):
    """ACCESS-4: None is open."""
    steps.take(1)
    kind, *rest = it
    if kind == "not":
        inner = holds(rest[0], branch, key, steps)
        return None if inner is None else not inner
    if kind in ("and", "or"):
        return together(rest[0], branch, key, steps, kind == "or")
    data = key if rest[0] == ".key" else branch.encode()
    if data is None:
        return None
    if kind == "like":
        pieces = pieces_of(rest[1])
        steps.take(len(data) * (len(pieces) - 1))
        return matches_like(pieces, data)
    return COMPARISONS[kind](data, to_bytes(rest[1]))


def together(statements, branch, key, steps, decides=False):
    result = not decides
    for it in statements:
        one = holds(it, branch, key, steps)
        if one is decides:
            return decides
        result = None if one is None else result
    return result


# --- Grants and tokens ------------------------------------------------------------------------

GRANT = {"iss": bytes, "aud": bytes, "sub": Link, "cmd": str, "pol": list, "prf": (type(None), Link),
         "nbf": (type(None), int), "exp": (type(None), int), "nonce": bytes}  # fmt: skip
UNGRANT = {"at": int, "by": bytes, "of": Link}
TOKEN = {"aud": bytes, "user": str, "roles": list, "can": list, "space": (type(None), Link), "began": int, "at": int,
         "exp": int, "nonce": bytes}  # fmt: skip
MINUTE = 60 * 1000


def want(good, code="E_SHAPE"):
    if not good:
        raise Fault(code)


def grant_shape(it):
    s.members(it, GRANT)
    want(s.is_key(it["iss"]) and s.is_key(it["aud"]) and is_command(it["cmd"]) and len(it["nonce"]) == 16)
    policy_shape(it["pol"])


def grant_check(it):
    """ACCESS-2, ACCESS-3."""
    times = [it[name] for name in ("nbf", "exp") if it[name] is not None]
    want(all(time <= s.TIME_MS_MAX for time in times) and (len(times) < 2 or times[0] < times[1]), "E_GRANT_TIMES")
    want(it["iss"] != it["aud"], "E_GRANT_SELF")
    policy_check(it["pol"])


def ungrant_shape(it):
    s.members(it, UNGRANT | ({"reason": str} if "reason" in it else {}))
    want(s.is_key(it["by"]))


def ungrant_check(it):
    """ACCESS-6."""
    want(it["at"] <= s.TIME_MS_MAX, "E_TIME")
    want("reason" not in it or trust.is_line(it["reason"]), "E_TRUST_LINE")


def token_shape(it):
    s.members(it, TOKEN)
    want(s.is_key(it["aud"]) and all(map(is_command, it["can"])) and len(it["nonce"]) == 16)
    want(all(type(role) is str for role in it["roles"]))


def is_agent(text):
    try:
        s.from_did(text)
    except Fault:
        return False
    return True


def token_check(it):
    """ACCESS-31, ACCESS-32."""
    good = (
        (is_agent(it["user"]) or is_name(it["user"]))
        and are_names(it["roles"]) and ascends(it["can"]) and len(it["can"]) <= 16
        and it["began"] <= it["at"] < it["exp"] <= s.TIME_MS_MAX
        and it["exp"] - it["at"] <= 60 * MINUTE and it["exp"] - it["began"] <= 24 * 60 * MINUTE
    )  # fmt: skip
    want(good, "E_TOKEN")


def ascends(texts):
    return all(a.encode() < b.encode() for a, b in zip(texts, texts[1:]))


def are_names(texts):
    return len(texts) <= 16 and all(map(is_name, texts)) and ascends(texts)


s.PAYLOADS |= {
    "grant": (grant_shape, grant_check),
    "ungrant": (ungrant_shape, ungrant_check),
    "token": (token_shape, token_check),
}
s.SIZES |= {"grant": 4096, "ungrant": 1024, "token": 2048}


def verify(data, domain):
    parts = s.verify(data, domain)
    # ACCESS-30: nobody issues for another device.
    want(domain != "token" or parts["payload"]["aud"] == parts["signer"], "E_TOKEN")
    return parts


def take_token(text, device, now):
    """ACCESS-30."""
    try:
        want(text.startswith("at1.") and len(text) <= 4 + 4096)
        data = base64.b64decode(text[4:] + "=" * (-len(text[4:]) % 4), altchars=b"-_", validate=True)
        want(base64.urlsafe_b64encode(data).decode().rstrip("=") == text[4:])
        it = verify(data, "token")["payload"]
    except (Fault, ValueError):
        raise Fault("E_TOKEN") from None
    want(it["aud"] == device and it["at"] - 5 * MINUTE <= now < it["exp"], "E_TOKEN")
    return it


# --- Rules and members ------------------------------------------------------------------------

LETTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def parse_pattern(text):
    """ACCESS-10: bytes, names of captures, and Ellipsis for a star."""
    want(type(text) is str and 1 <= len(text.encode()) <= 256, "E_RULE_PATTERN")
    is_open = text.endswith("*")
    rest, parts = text[: len(text) - is_open], []
    while rest:
        if rest[0] != "{":
            want(rest[0] not in "*}", "E_RULE_PATTERN")
            parts += list(rest[0].encode())
            rest = rest[1:]
            continue
        name, brace, rest = rest[1:].partition("}")
        good = brace and 1 <= len(name) <= 32 and name[0] in LETTERS and set(name) <= LETTERS | set("0123456789")
        want(good and (rest[0] in ":/" if rest else not is_open), "E_RULE_PATTERN")
        parts.append(name)
    want(sum(type(part) is str for part in parts) <= 4, "E_RULE_PATTERN")
    return parts + [...] * is_open


def match(parts, data):
    """What the captures have; None if it does not match."""
    bound = {}
    for part in parts:
        if part is ...:
            return bound
        if type(part) is int:
            if data[:1] != bytes([part]):
                return None
            data = data[1:]
            continue
        size = 0
        while size < len(data) and data[size] not in b":/":
            size += 1
        value, data = data[:size], data[size:]
        if not value or bound.setdefault(part, value) != value:
            return None
    return None if data else bound


def rank(parts):
    """ACCESS-11: the greater, the more specific."""
    return (
        sum(type(part) is int for part in parts),
        ... not in parts,
        -sum(type(part) is str for part in parts),
    )


def read(data, shape, check):
    """Bytes that are no rule or member are E_RULE, whatever is wrong with them."""
    try:
        want(len(data) <= 4096)
        it = s.decode(data)
        want(isinstance(it, dict))
        s.members(it, shape)
        want(check(it))
    except Fault:
        raise Fault("E_RULE") from None
    return it


def check_rule(it):
    """ACCESS-12, ACCESS-13."""
    allowed = {"key": OF_KEYS, "branch": OF_BRANCHES}.get(it["on"], ())
    parts = parse_pattern(it["pattern"])
    for lists in (it["allow"], it["deny"]):
        want(all(op in allowed and type(roles) is list and are_names(roles) for op, roles in lists.items()))
    owner = it["owner"]
    if owner is not None and not (owner[:1] == "{" and owner[-1:] == "}" and owner[1:-1] in parts):
        want(1 <= len(owner.encode()) <= 256 and not set(owner) & set("{}"))
    return it["on"] in ("key", "branch") and all(it["deny"].values())


def read_rule(data):
    shape = {"on": str, "allow": dict, "deny": dict, "owner": (type(None), str), "pattern": str}
    return read(data, shape, check_rule)


def read_member(data):
    def check(it):
        good = are_names(it["roles"]) and not set(it["roles"]) & {"owner", "admin", "anyone"}
        return good and (it["name"] is None or is_name(it["name"]))

    return read(data, {"name": (type(None), str), "roles": list}, check)


# --- The answer -------------------------------------------------------------------------------


class World:
    """What a space says of who may do what."""

    def __init__(self, owner, space, rules, members, grants, ungrants):
        self.owner, self.space, self.members = owner, space, members
        self.grants, self.ungrants = grants, ungrants
        self.too_many = len(rules) > 256
        self.versions = {}
        for _, rule in sorted(rules.items(), key=lambda it: it[0].encode())[:256]:
            self.versions.setdefault((rule["on"], rule["pattern"]), []).append(rule)
        self.versions = {
            of: versions for of, versions in self.versions.items()
            if any(it["allow"] or it["deny"] or it["owner"] is not None for it in versions)
        }  # fmt: skip

    def chain(self, cid, at):
        """ACCESS-5, ACCESS-6: the links from a grant to the owner, if they hold; at None, if nobody took them back."""
        links, of = [], cid
        while True:
            grant = self.grants.get(of)
            if grant is None or len(links) == 8 or grant["sub"] != self.space:
                return None
            if links:
                after = self.grants[links[-1]]
                if grant["aud"] != after["iss"] or not covers(grant["cmd"], after["cmd"]):
                    return None
            links.append(of)
            if grant["prf"] is None:
                break
            of = grant["prf"]
        if grant["iss"] != self.owner:
            return None
        for place, of in enumerate(links):
            may = {self.grants[it]["iss"] for it in links[place:]} | {self.grants[of]["aud"]}
            if any(it["of"] == of and it["by"] in may for it in self.ungrants):
                return None
        is_early = any(at is not None and at < (self.grants[of]["nbf"] or 0) for of in links)
        return None if is_early or at is not None and at >= self.end(links) else links

    def end(self, links):
        ends = [self.grants[of]["exp"] for of in links]
        return min((end for end in ends if end is not None), default=1 << 64)

    def chains(self, agent, op, at):
        """In the order of ACCESS-24; of an audience 64 are looked at, those that end last."""
        of_agent = [self.chain(of, None) for of, grant in self.grants.items() if grant["aud"] == agent]
        of_agent = sorted(filter(None, of_agent), key=lambda it: (-self.end(it), [bytes(of) for of in it]))[:64]
        return [
            links for links in of_agent
            if self.chain(links[0], at) and covers(self.grants[links[0]]["cmd"], COMMANDS[op])
        ]  # fmt: skip

    def free_chain(self, agent, op, at):
        """A chain without conditions."""
        for links in self.chains(agent, op, at):
            if not any(self.grants[of]["pol"] for of in links):
                return links
        return None

    def roles(self, who, at, to_deny=False):
        """ACCESS-13, ACCESS-14."""
        roles = set(who["roles"]) | {"anyone"}
        versions = [set(it["roles"]) for it in self.members.get(who["agent"], [])]
        if versions:
            roles |= set.union(*versions) if to_deny else set.intersection(*versions)
        if who["agent"] == self.owner or "owner" in roles:
            roles |= {"owner", "admin", "member"}
        if self.free_chain(who["agent"], "admin", at):
            roles.add("admin")
        return roles

    def is_called(self, who, name):
        """ACCESS-12, ACCESS-14."""
        if who["agent"] is None:
            return who["user"] is not None and name == who["user"].encode()
        did = s.to_did(who["agent"])
        versions = self.members.get(who["agent"], [])
        handles = {it["name"] for it in versions}
        others = {it["name"] for agent, its in self.members.items() if agent != who["agent"] for it in its}
        names = {did, did[len("did:key:") :]} | (handles - others if len(handles) == 1 else set()) - {None}
        return name in {it.encode() for it in names}

    def level(self, rules, who, op, data, roles):
        """ACCESS-14, ACCESS-20: `no`, `yes` or `nobody`; None where no rule names it."""
        naming = [it for it in rules if any(names(version, op) for version in it[1])]
        if not naming:
            return None
        top = max(rank(parts) for parts, _ in naming)
        found = []
        for parts, versions in naming:
            for version in versions if rank(parts) == top else ():
                if not names(version, op):
                    less = [it for it in rules if rank(it[0]) < top]
                    found.append(self.level(less, who, op, data, roles) or "no")
                    continue
                listed, owner = version["allow"].get(op, []), version["owner"]
                if owner is None and not listed:
                    found.append("nobody")
                    continue
                name = owner and (match(parts, data)[owner[1:-1]] if owner[0] == "{" else owner.encode())
                is_owned = owner is not None and self.is_called(who, name)
                found.append("yes" if is_owned or roles & set(listed) else "no")
        return "nobody" if "nobody" in found else "no" if "no" in found else "yes"

    def find(self, on, op, who, data, at):
        """ACCESS-20, without grants: a ground, or None where a chain has to allow it."""
        all_rules = [(parse_pattern(text), versions) for (of, text), versions in self.versions.items() if of == on]
        rules = [it for it in all_rules if match(it[0], data) is not None]
        denied_by, roles = self.roles(who, at, True), self.roles(who, at)
        if any(denied_by & set(version["deny"].get(op, [])) for _, versions in rules for version in versions):
            return "denied"
        level = self.level(rules, who, op, data, roles)
        if level == "nobody":
            return "nobody"
        if "owner" in roles:
            return "owner"
        if level == "yes":
            return "rule"
        return "member" if not all_rules and "member" in roles else None

    def reads(self, who, at):
        """ACCESS-22: whether there is a right to read."""
        roles = self.roles(who, at)
        by_rule = any(all(roles & set(it["allow"].get("read", [])) for it in of) for of in self.versions.values())
        return "member" in roles or by_rule or self.chains(who["agent"], "read", at) != []

    def of_space(self, who, op, at):
        roles = self.roles(who, at)
        if "owner" in roles:
            return allow("owner")
        links = self.free_chain(who["agent"], op, at)
        if links:
            return allow("grant", links)
        if op == "admin":
            return allow("rule") if "admin" in roles else deny("nothing")
        return allow("member") if "member" in roles else deny("nothing")

    def answer(self, who, op, branch, key, at):
        is_of_meta = branch == "meta" and op not in OF_SPACE
        asked = "admin" if is_of_meta and op != "read" else op
        if who["can"] is not None:
            is_here = who["space"] in (None, self.space)
            if not is_here or not any(covers(it, COMMANDS[asked]) for it in who["can"]):
                return deny("token")
        if asked in OF_SPACE:
            return self.of_space(who, asked, at)
        if is_of_meta:
            return allow("known") if self.reads(who, at) else deny("nothing")
        if self.too_many:
            return allow("owner") if "owner" in self.roles(who, at) else deny("too-many-rules")
        key = key if op in OF_KEYS else None
        found = [self.find("branch", "write" if op == "delete" else op, who, branch.encode(), at)]
        if key is not None:
            found.append(self.find("key", op, who, key, at))
        for ground in found:
            if ground in ("denied", "nobody"):
                return deny(ground)
        return allow(found[-1]) if None not in found else self.by_grants(who, op, branch, key, at)

    def by_grants(self, who, op, branch, key, at):
        """ACCESS-21, ACCESS-24."""
        steps, opened = Steps(), None
        try:
            for links in self.chains(who["agent"], op, at):
                statements = [it for of in links for it in self.grants[of]["pol"]]
                said = together(statements, branch, key, steps)
                if said:
                    return allow("grant", links)
                opened = links if said is None and opened is None else opened
        except Exhausted:
            return deny("steps")
        return allow("grant", opened) if opened and key is None else deny("nothing")


def names(version, op):
    """ACCESS-13."""
    return version["owner"] is not None or op in version["allow"]


def allow(ground, links=()):
    return {"answer": "allow", "ground": ground, "chain": [s.cid_text(of) for of in links]}


def deny(ground):
    return {"answer": "deny", "ground": ground, "chain": []}


# --- Vectors ----------------------------------------------------------------------------------


def run_statement(given):
    data = bytes.fromhex(given["bytes"])
    parts = verify(data, given["domain"])
    return {
        "signer": s.to_did(parts["signer"]),
        "payload": parts["body"].hex(),
        "signing_input": parts["signing"].hex(),
        "cid": s.cid_text(s.cid(data)),
    }


def run_token(given):
    it = take_token(given["text"], s.from_did(given["device"]), given["now"])
    space = it["space"] and s.cid_text(it["space"])
    return {name: it[name] for name in ("user", "roles", "can", "began", "at", "exp")} | {"space": space}


def run_pattern(given):
    parts = parse_pattern(given["pattern"])
    return [match(parts, bytes.fromhex(subject)) is not None for subject in given["subjects"]]


def run_rule(given):
    return {"rule": read_rule, "member": read_member}[given["kind"]](bytes.fromhex(given["bytes"]))


def run_policy(given):
    policy_shape(given["policy"])
    policy_check(given["policy"])
    key = given["key"] and bytes.fromhex(given["key"])
    key = b"" if given["key"] == "" else key
    said = together(given["policy"], given["branch"], key, Steps())
    return {"allowed": said is True or said is None and key is None}


def sound(read_one, all_bytes):
    """ACCESS-15: what is no rule or member is passed over."""
    found = []
    for data in all_bytes:
        try:
            found.append(read_one(bytes.fromhex(data)))
        except Fault:
            found.append(None)
    return found


def who_of(given):
    who = {"agent": None, "user": None, "roles": [], "can": None, "space": None}
    if given is None:
        return who
    if isinstance(given, str):
        return who | {"agent": s.from_did(given)}
    who |= {"roles": given["roles"], "can": given["can"], "space": given["space"] and space_of(given["space"])}
    return who | ({"agent": s.from_did(given["user"])} if is_agent(given["user"]) else {"user": given["user"]})


def space_of(text):
    return Link(base64.b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8)))


def run_world(given):
    texts = list(given["rules"])
    rules = {name: rule for name, rule in zip(texts, sound(read_rule, given["rules"].values())) if rule}
    members = {s.from_did(did): [it for it in sound(read_member, versions) if it] for did, versions in given["members"].items()}
    grants, ungrants = {}, []
    for domain, statements in (("grant", given["grants"]), ("ungrant", given["ungrants"])):
        for data in map(bytes.fromhex, statements):
            it = verify(data, domain)["payload"]
            if domain == "grant":
                grants[s.cid(data)] = it
            else:
                ungrants.append(it)
    world = World(s.from_did(given["owner"]), space_of(given["space"]), rules, members, grants, ungrants)
    answers = []
    for who, op, branch, key, at in given["requests"]:
        answers.append(world.answer(who_of(who), op, branch, None if key is None else bytes.fromhex(key), at))
    return answers


RUNNERS = {
    "access/statement.json": run_statement,
    "access/token.json": run_token,
    "access/pattern.json": run_pattern,
    "access/rule.json": run_rule,
    "access/policy.json": run_policy,
    "access/world.json": run_world,
}


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    import access_cases  # beside this file

    vectors.write(vectors_dir, "ACCESS", RUNNERS, access_cases.files())


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
