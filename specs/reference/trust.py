"""A second reading of TRUST: records, which of them count, policies and decisions, from the page alone.

Python 3.10 or later, standard library only. It shares no code with the crates.

    python3 specs/reference/trust.py specs/vectors            checks the vectors
    python3 specs/reference/trust.py --write specs/vectors    writes them again, byte for byte
"""

import base64
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import statement as s  # noqa: E402
import vectors  # noqa: E402

RECORD_BYTES_MAX = 1024
LEVELS = ["network", "association", "community", "extended", "family"]
DISTANCE_MAX = 8
SMALL = set("abcdefghijklmnopqrstuvwxyz")
LETTERS = SMALL | set("0123456789.-")

Link = s.Link
Fault = s.Fault

# --- Records ----------------------------------------------------------------------------------

SHAPES = {
    "attest": {"at": int, "by": bytes, "from": int, "about": dict, "claim": str, "category": str},
    "witness": {"at": int, "by": bytes, "of": Link},
    "revoke": {"at": int, "by": bytes, "of": Link},
    "relation": {"at": int, "by": bytes, "from": int, "kind": str, "with": bytes, "level": str},
    "circle": {"at": int, "by": bytes, "name": str, "roles": dict},
    "belong": {"at": int, "by": bytes, "from": int, "role": str, "circle": Link, "member": bytes},
    "keep": {"at": int, "by": bytes, "of": list},
}
OPTIONAL = {
    "attest": {"until": int, "evidence": list},
    "revoke": {"reason": str},
    "relation": {"until": int},
    "belong": {"until": int},
}
ABOUT = {"agent": bytes, "device": bytes, "space": Link, "cid": Link}


def is_name(text):
    return 1 <= len(text) <= 32 and text[0] in SMALL and set(text) <= LETTERS


def is_line(text, most=256):
    size = len(text.encode())
    return 1 <= size <= most and text.strip(s.BLANKS) == text and not any(map(s.is_unprintable, text))


def ascends(items):
    return all(a < b for a, b in zip(items, items[1:]))


def shape_of(domain):
    """TRUST-2."""

    def shape(payload):
        if domain == "attest":
            about = payload.get("about")
            if isinstance(about, dict) and len(about) == 1 and next(iter(about)) not in ABOUT:
                raise Fault("E_KIND")
        more = {name: kind for name, kind in OPTIONAL.get(domain, {}).items() if name in payload}
        s.members(payload, SHAPES[domain] | more)
        keys = [payload[name] for name in ("by", "with", "member") if name in payload]
        if domain == "attest":
            if len(payload["about"]) != 1:
                raise Fault("E_SHAPE")
            s.members(payload["about"], {next(iter(payload["about"])): ABOUT[next(iter(payload["about"]))]})
            keys += [value for value in payload["about"].values() if type(value) is bytes]
        if not all(map(s.is_key, keys)) or payload.get("evidence") == []:
            raise Fault("E_SHAPE")
        links = payload.get("evidence", []) + (payload["of"] if domain == "keep" else [])
        if not all(type(link) is Link for link in links):
            raise Fault("E_SHAPE")
        if domain == "relation" and payload["level"] not in LEVELS:
            raise Fault("E_SHAPE")
        for role in payload.get("roles", {}).values():
            if type(role) is not list or not all(type(name) is str for name in role):
                raise Fault("E_SHAPE")

    return shape


def check_of(domain):
    """TRUST-3 to TRUST-6, in their order."""

    def check(payload):
        roles = payload.get("roles", {})
        names = [payload[name] for name in ("category", "kind", "role") if name in payload] + list(roles)
        if not all(map(is_name, names)):
            raise Fault("E_TRUST_NAME")
        if not all(is_line(payload[name]) for name in ("claim", "reason", "name") if name in payload):
            raise Fault("E_TRUST_LINE")
        if max(payload.get(name, 0) for name in ("at", "from", "until")) > s.TIME_MS_MAX:
            raise Fault("E_TIME")
        if "until" in payload and payload["until"] <= payload["from"]:
            raise Fault("E_TRUST_TIMES")
        evidence = payload.get("evidence", [])
        if len(evidence) > 8 or not ascends([bytes(link) for link in evidence]):
            raise Fault("E_TRUST_LIST")
        if domain == "keep" and not (1 <= len(payload["of"]) <= 16 and ascends([bytes(link) for link in payload["of"]])):
            raise Fault("E_TRUST_LIST")
        if domain == "circle":
            good = all(ascends([name.encode() for name in role]) and set(role) <= set(roles) for role in roles.values())
            if not 1 <= len(roles) <= 16 or not good:
                raise Fault("E_TRUST_LIST")
        if domain == "relation" and payload["by"] == payload["with"]:
            raise Fault("E_TRUST_SELF")

    return check


for _domain in SHAPES:
    s.PAYLOADS[_domain] = (shape_of(_domain), check_of(_domain))
    s.SIZES[_domain] = RECORD_BYTES_MAX


def any_record(data):
    """A record of whichever domain its bytes claim."""
    if len(data) > RECORD_BYTES_MAX:
        raise Fault("E_SIZE")
    value = s.decode(data)
    domain = value[0] if isinstance(value, list) and value else None
    if not isinstance(domain, str):
        raise Fault("E_SHAPE")
    parts = s.verify(data, domain if domain in SHAPES else "attest")
    return {"domain": domain, "cid": s.cid(data), "signer": parts["signer"]} | {"payload": parts["payload"]}


# --- Which records count ----------------------------------------------------------------------


class World:
    """A set of records with the logs of agents."""

    def __init__(self, logs, records):
        self.logs, self.records = logs, {record["cid"]: record for record in records}
        self.said = {cid for cid, record in self.records.items() if self.is_said(record)}
        self.counting = {cid for cid in self.said if not self.is_revoked(self.records[cid])}

    def is_frozen(self, agent):
        return self.logs.get(agent, {}) is None

    def speaks(self, agent, key):
        """IDENT-15, TRUST-11."""
        if self.is_frozen(agent):
            return False
        log = self.logs.get(agent, {"key": agent, "devices": []})
        return key == log["key"] or key in log["devices"]

    def is_said(self, record):
        """TRUST-10."""
        by = record["payload"]["by"]
        if self.is_frozen(by):
            return False
        if self.speaks(by, record["signer"]):
            return True
        return record["domain"] != "keep" and any(
            keep["payload"]["by"] == by and record["cid"] in keep["payload"]["of"] and self.speaks(by, keep["signer"])
            for keep in self.of("keep", self.records)
        )

    def of(self, domain, among=None):
        among = self.counting if among is None else among
        return [self.records[cid] for cid in sorted(among) if self.records[cid]["domain"] == domain]

    def is_revoked(self, record):
        """TRUST-12."""
        if record["domain"] in ("revoke", "keep"):
            return False
        payload = record["payload"]
        may = {payload["by"]}
        if record["domain"] == "belong":
            may.add(payload["member"])
            circle = self.records.get(payload["circle"])
            if circle is not None and circle["domain"] == "circle":
                may.add(circle["payload"]["by"])
        return any(
            revoke["payload"]["of"] == record["cid"] and revoke["payload"]["by"] in may
            for revoke in self.of("revoke", self.said)
        )

    def valid(self, domain, now):
        """TRUST-4."""
        return [
            record for record in self.of(domain)
            if record["payload"]["from"] <= now < record["payload"].get("until", 1 << 64)
        ]

    def relationships(self, now):
        """TRUST-20, TRUST-21."""
        halves = {}
        for record in self.valid("relation", now):
            payload = record["payload"]
            rank = (LEVELS.index(payload["level"]), bytes(record["cid"]))
            place = (payload["by"], payload["with"], payload["kind"])
            if place not in halves or rank < halves[place][0]:
                halves[place] = (rank, payload)
        found = []
        for (a, b, kind), (rank, mine) in halves.items():
            if a < b and (b, a, kind) in halves:
                other, theirs = halves[b, a, kind]
                ends = [half["until"] for half in (mine, theirs) if "until" in half]
                level = LEVELS[min(rank[0], other[0])]
                found.append((a, b, kind, level, max(mine["from"], theirs["from"]), min(ends, default=None)))
        return sorted(found, key=lambda it: it[:3])

    def members(self, now):
        """TRUST-30, TRUST-31: (circle, member, role)."""
        circles = {circle["cid"]: circle["payload"] for circle in self.of("circle")}
        valid = [
            record["payload"] for record in self.valid("belong", now)
            if record["payload"]["circle"] in circles and not self.is_frozen(record["payload"]["member"])
        ]
        found = set()
        while True:
            more = set()
            for it in valid:
                circle = circles[it["circle"]]
                if it["role"] not in circle["roles"]:
                    continue
                may = it["by"] == circle["by"] or any(
                    (it["circle"], it["by"], role) in found and it["role"] in admits
                    for role, admits in circle["roles"].items()
                )
                if may:
                    more.add((it["circle"], it["member"], it["role"]))
            if more <= found:
                return found
            found |= more

    def steps(self, now):
        """TRUST-22: (from, to, level)."""
        for a, b, _, level, _, _ in self.relationships(now):
            yield a, b, level
            yield b, a, level
        for record in self.valid("attest", now):
            payload = record["payload"]
            about = payload["about"].get("agent")
            if payload["category"] == "vouch" and about is not None and not self.is_frozen(about):
                yield payload["by"], about, "network"

    def witnesses(self, cid):
        """TRUST-15."""
        author = self.records[cid]["payload"]["by"]
        return {it["payload"]["by"] for it in self.of("witness") if it["payload"]["of"] == cid} - {author}


def distances(steps, start, least="network"):
    """TRUST-23: of each agent the distance and the level of the best path."""
    found, edge = {start: (0, LEVELS[-1])}, [start]
    for distance in range(1, DISTANCE_MAX + 1):
        best = {}
        for a, b, level in steps:
            if a in edge and b not in found and LEVELS.index(level) >= LEVELS.index(least):
                weakest = min(LEVELS.index(level), LEVELS.index(found[a][1]))
                best[b] = max(weakest, best.get(b, 0))
        found |= {agent: (distance, LEVELS[level]) for agent, level in best.items()}
        edge = list(best)
    return found


# --- Policies ---------------------------------------------------------------------------------

OUTCOMES = ("accept", "quarantine", "refuse")
CONDITIONS = ("author", "device", "attested", "related", "member", "custom", "all", "any", "not")


def want(good):
    if not good:
        raise Fault("E_POLICY")


def only(value, required, optional=()):
    want(isinstance(value, dict) and set(required) <= set(value) <= set(required) | set(optional))


def agents(value):
    want(isinstance(value, list) and len(value) <= 256)
    try:
        return [s.from_did(text) if isinstance(text, str) else want(False) for text in value]
    except Fault:
        raise Fault("E_POLICY") from None


def link_text(text):
    want(isinstance(text, str) and text[:1] == "b" and text == text.lower())
    try:
        link = base64.b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8))
    except ValueError:
        raise Fault("E_POLICY") from None
    want(s.is_cid(link) and s.cid_text(link) == text)


class Counter:
    def __init__(self):
        self.conditions = 0


def check_condition(it, counter, depth, below_not):
    """TRUST-40, TRUST-41."""
    counter.conditions += 1
    want(counter.conditions <= 256 and depth <= 16)
    want(isinstance(it, dict) and len(it) == 1)
    [(kind, body)] = it.items()
    want(kind in CONDITIONS)
    if kind in ("author", "device"):
        want(agents(body) or not below_not)
    elif kind == "attested":
        only(body, ("category", "by"), ("claim",))
        want(isinstance(body["category"], str) and is_name(body["category"]))
        want("claim" not in body or (isinstance(body["claim"], str) and is_line(body["claim"])))
        if isinstance(body["by"], list):
            want(agents(body["by"]) or not below_not)
        else:
            check_condition(body["by"], counter, depth + 1, below_not)
    elif kind == "related":
        only(body, ("within",), ("level",))
        want(type(body["within"]) is int and 1 <= body["within"] <= DISTANCE_MAX)
        want("level" not in body or body["level"] in LEVELS)
    elif kind == "member":
        only(body, ("circle",), ("role",))
        link_text(body["circle"])
        want("role" not in body or (isinstance(body["role"], str) and is_name(body["role"])))
    elif kind == "custom":
        want(isinstance(body, str) and is_name(body))
    elif kind == "not":
        check_condition(body, counter, depth + 1, True)
    else:
        want(isinstance(body, list) and len(body) <= 256 and (body or not below_not))
        for inner in body:
            check_condition(inner, counter, depth + 1, below_not)


def check_policy(policy):
    only(policy, ("rules", "otherwise"))
    want(policy["otherwise"] in OUTCOMES and isinstance(policy["rules"], list) and len(policy["rules"]) <= 64)
    counter = Counter()
    for rule in policy["rules"]:
        only(rule, ("when", "then", "because"))
        want(rule["then"] in OUTCOMES and isinstance(rule["because"], str) and is_line(rule["because"]))
        check_condition(rule["when"], counter, 1, False)


# The device of whoever attested something.
UNKNOWN = object()


class Exhausted(Exception):
    """TRUST-44."""


class Evaluation:
    """TRUST-42, over facts that are tables: what cannot be told is None."""

    def __init__(self, facts):
        self.facts, self.steps, self.routed = facts, 131072, set()

    def step(self, count=1):
        if self.steps < count:
            raise Exhausted
        self.steps -= count

    def holds(self, it, author, device):
        self.step()
        [(kind, body)] = it.items()
        facts = self.facts
        if kind == "author":
            return author in body
        if kind == "device":
            return None if device is UNKNOWN else device is not None and device in body
        if kind == "custom":
            self.step(32)
            return facts["custom"].get(body)
        if kind == "member":
            return any(
                (circle, member) == (body["circle"], author) and body.get("role", role) == role
                for circle, member, role in facts["members"]
            )
        if kind == "related":
            level = body.get("level", "network")
            self.step(0 if level in self.routed else 2048)
            self.routed.add(level)
            found = distances(facts["steps"], facts["reader"], level)
            return author in found and found[author][0] <= body["within"]
        if kind == "not":
            inner = self.holds(body, author, device)
            return None if inner is None else not inner
        if kind == "attested":
            return self.attested(body, author, device)
        # `any` is over with the first that holds, `all` with the first that does not.
        decides = kind == "any"
        result = not decides if body else False
        for inner in body:
            is_it = self.holds(inner, author, device)
            if is_it is decides:
                return is_it
            result = None if is_it is None else result
        return result

    def attested(self, body, author, device):
        result = False
        for about in (author, device):
            if about is None or about is UNKNOWN:
                continue
            said = [(by, claim) for by, of, category, claim in self.facts["attested"] if (of, category) == (about, body["category"])]
            named = isinstance(body["by"], list)
            for by in body["by"] if named else sorted({by for by, _ in said}, key=s.from_did):
                self.step()
                claims = any(who == by and body.get("claim", claim) == claim for who, claim in said)
                is_it = claims and (named or self.holds(body["by"], by, UNKNOWN))
                if is_it:
                    return True
                result = None if is_it is None else result
        return result


def evaluate(policy, facts, author, device):
    """TRUST-43."""
    evaluation, noted = Evaluation(facts), set()
    outcome, which = policy["otherwise"], None
    try:
        for at, rule in enumerate(policy["rules"]):
            is_it = evaluation.holds(rule["when"], author, device)
            if is_it:
                outcome, which = rule["then"], at
                break
            if is_it is None:
                noted.add(rule["then"])
    except Exhausted:
        return {"outcome": "quarantine", "rule": None}
    if noted - {outcome}:
        return {"outcome": "quarantine", "rule": None}
    return {"outcome": outcome, "rule": which}


# --- Decisions --------------------------------------------------------------------------------

DECISION = {"at": int, "who": (type(None), dict), "rule": (type(None), str), "what": dict, "words": str,
            "outcome": (str, dict), "evidence": list}  # fmt: skip
VERDICTS = ("allow", "deny", "accept", "quarantine", "refuse")


def is_clean(text, most):
    return len(text.encode()) <= most and not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text)


def read_decision(data):
    """TRUST-50."""
    if len(data) > 4096:
        raise Fault("E_DECISION")
    try:
        it = s.decode(data)
        s.members(it if isinstance(it, dict) else {}, DECISION)
        s.members(it["what"], {"on": str, "act": str, "space": (type(None), Link)})
        if it["who"] is not None:
            [(kind, key)] = it["who"].items() if len(it["who"]) == 1 else [(None, None)]
            if kind not in ("agent", "device") or type(key) is not bytes or not s.is_key(key):
                raise Fault("E_SHAPE")
        if isinstance(it["outcome"], dict):
            s.members(it["outcome"], {"chose": str})
        elif it["outcome"] not in VERDICTS:
            raise Fault("E_SHAPE")
        if not all(type(link) is Link for link in it["evidence"]):
            raise Fault("E_SHAPE")
    except Fault:
        raise Fault("E_DECISION") from None
    chose = it["outcome"]["chose"] if isinstance(it["outcome"], dict) else ""
    texts = ((it["rule"] or "", 128), (it["what"]["on"], 512), (it["words"], 1024), (chose, 128))
    good = is_name(it["what"]["act"]) and it["at"] <= s.TIME_MS_MAX and len(it["evidence"]) <= 32
    if not good or not all(is_clean(text, most) for text, most in texts):
        raise Fault("E_DECISION")
    return it


# --- Vectors ----------------------------------------------------------------------------------


def run_record(given):
    return s.run_statement(given)


def run_counted(given):
    logs = {}
    for did, events in given["logs"].items():
        try:
            log = s.replay(s.from_did(did), [bytes.fromhex(event) for event in events])
            devices = [s.from_did(device) for device in log["devices"]]
            logs[s.from_did(did)] = {"key": s.from_did(log["key"]), "devices": devices}
        except Fault as fault:
            if fault.code != "E_EQUIVOCATION":
                raise
            logs[s.from_did(did)] = None
    world = World(logs, [any_record(bytes.fromhex(data)) for data in given["records"]])
    now, start = given["now"], s.from_did(given["from"])
    found = distances(list(world.steps(now)), start)
    attested = [
        [s.cid_text(it["cid"]), sorted(s.to_did(key) for key in world.witnesses(it["cid"]))]
        for it in world.valid("attest", now)
    ]
    return {
        "counts": sorted(s.cid_text(cid) for cid in world.counting),
        "attested": sorted(attested),
        "relationships": sorted(
            [s.to_did(a), s.to_did(b), *rest] for a, b, *rest in world.relationships(now)
        ),
        "members": sorted([s.cid_text(c), s.to_did(member), role] for c, member, role in world.members(now)),
        "distances": {
            s.to_did(agent): list(found[agent]) for agent in sorted(found) if agent != start
        },
    }


def run_policy(given):
    check_policy(given["policy"])
    return evaluate(given["policy"], given["facts"], given["author"], given["device"])


def run_decision(given):
    it = read_decision(bytes.fromhex(given["bytes"]))
    who = it["who"] and {kind: s.to_did(key) for kind, key in it["who"].items()}
    space = it["what"]["space"]
    what = {"act": it["what"]["act"], "on": it["what"]["on"], "space": space and s.cid_text(space)}
    return it | {"who": who, "what": what, "evidence": [s.cid_text(link) for link in it["evidence"]]}


RUNNERS = {
    "trust/record.json": run_record,
    "trust/counted.json": run_counted,
    "trust/policy.json": run_policy,
    "trust/decision.json": run_decision,
}


def check(vectors_dir):
    return vectors.check(vectors_dir, RUNNERS)


def write(vectors_dir):
    import trust_cases  # beside this file

    vectors.write(vectors_dir, "TRUST", RUNNERS, trust_cases.files())


if __name__ == "__main__":
    vectors.main(check, write, sys.argv[1:])
