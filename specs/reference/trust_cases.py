"""The cases of the TRUST vectors: each reject with one fault; sets of records with what counts of them."""

import random

import statement as s

ANNA, NEXT, PHONE, BEN, CARA, DORA, EMIL, LAPTOP = (bytes([n]) * 32 for n in range(41, 49))
KEY = {seed: s.public(seed) for seed in (ANNA, PHONE, BEN, CARA, DORA, EMIL, LAPTOP)}
SEEDS, AFTER = s.chain(NEXT)
NOW = 1_800_000_000_000
LINKS = sorted(bytes(s.cid(bytes([n]))) for n in range(20))
LINKS = [s.Link(link) for link in LINKS]


def files():
    return [
        ("trust/record.json", list(records())),
        ("trust/counted.json", list(counted())),
        ("trust/policy.json", list(policies())),
        ("trust/decision.json", list(decisions())),
    ]


# --- Records ----------------------------------------------------------------------------------


def attest(**more):
    return {"at": NOW, "by": KEY[ANNA], "from": NOW, "about": {"agent": KEY[BEN]}, "claim": "plays the viola",
            "category": "skill"} | more  # fmt: skip


def relation(**more):
    return {"at": NOW, "by": KEY[ANNA], "from": NOW, "kind": "friend", "with": KEY[BEN], "level": "family"} | more


def circle(**more):
    return {"at": NOW, "by": KEY[ANNA], "name": "String quartet", "roles": {"host": ["guest", "host"], "guest": []}} | more


def belong(**more):
    return {"at": NOW, "by": KEY[ANNA], "from": NOW, "role": "guest", "circle": LINKS[0], "member": KEY[BEN]} | more


def mark(**more):
    return {"at": NOW, "by": KEY[ANNA], "of": LINKS[0]} | more


GOOD = {
    "attest": [("minimal", attest(), "a claim about an agent"),
               ("device", attest(about={"device": KEY[PHONE]}), "about a device"),
               ("space", attest(about={"space": LINKS[0]}, until=NOW + 1), "about a space, with an end"),
               ("cid", attest(about={"cid": LINKS[1]}, evidence=LINKS[:8]), "about a link, with 8 links as evidence"),
               ("longest", attest(category="c" * 32, claim="\u00e9" * 128, evidence=LINKS[:8], until=s.TIME_MS_MAX),
                "the longest of each")],
    "witness": [("minimal", mark(), "a claim that somebody else makes is true")],
    "revoke": [("minimal", mark(), "without a reason"), ("reason", mark(reason="wrong person"), "with one")],
    "relation": [("minimal", relation(), "one side of a relationship"),
                 ("until", relation(level="network", until=NOW + 1), "that ends"),
                 ("kind", relation(kind="org.example.team-2"), "of a kind with a namespace")],
    "circle": [("minimal", circle(), "a circle with two roles"),
               ("one", circle(roles={"member": []}), "with a role that admits nobody")],
    "belong": [("minimal", belong(), "a member"), ("until", belong(until=NOW + 9), "for some time")],
    "keep": [("one", mark(of=LINKS[:1]), "a record that is kept"), ("most", mark(of=LINKS[:16]), "16 of them")],
}  # fmt: skip


def faults(domain, good):
    """What every domain has: what is refused before the payload is looked at, and shapes."""
    data = s.make(ANNA, domain, good)
    body = s.encode(good)
    other = "revoke" if domain != "revoke" else "witness"
    yield "domain", s.make(ANNA, other, mark()), "a good record of another domain", "E_DOMAIN"
    yield "key", data.replace(KEY[ANNA], KEY[CARA], 1), "another signer", "E_SIGNATURE"
    yield "changed", s.make(ANNA, domain, good).replace(body, s.encode(good | {"at": NOW + 1})), "a changed time", "E_SIGNATURE"
    wrong = s.sign(ANNA, s.signature_input("example", KEY[ANNA], body))
    yield "context", data[:-64] + wrong, "signed for another purpose", "E_SIGNATURE"
    yield "cut", data[:-1], "the last byte is missing", "E_CBOR"
    yield "trailing", data + b"\x00", "a byte follows", "E_TRAILING"
    key = s.encode("at")
    unsorted = body[:1] + body[1:].replace(key + s.encode(good["at"]), b"", 1) + key + s.encode(good["at"])
    signature = s.sign(ANNA, s.signature_input(domain, KEY[ANNA], unsorted))
    head = b"\x84" + s.encode(domain) + s.encode(KEY[ANNA])
    yield "canonical", head + unsorted + s.encode(signature), "members in another order", "E_CANONICAL"
    yield "size", s.make(ANNA, domain, good | {"note": "n" * 1024}), "more than 1024 bytes", "E_SIZE"
    yield "unknown", s.make(ANNA, domain, good | {"x": 1}), "an unknown member", "E_SHAPE"
    yield "missing", s.make(ANNA, domain, {k: v for k, v in good.items() if k != "by"}), "without an author", "E_SHAPE"
    yield "type", s.make(ANNA, domain, good | {"at": -1}), "a time below zero", "E_SHAPE"
    yield "by", s.make(ANNA, domain, good | {"by": bytes(32)}), "an author of small order", "E_SHAPE"
    yield "time", s.make(ANNA, domain, good | {"at": 1 << 48}), "a time of 49 bits", "E_TIME"


BAD = [
    ("TRUST-2", "kind", "attest", attest(about={"house": LINKS[0]}), "about something of another version", "E_KIND"),
    ("TRUST-2", "two", "attest", attest(about={"cid": LINKS[0], "space": LINKS[0]}), "about two things", "E_SHAPE"),
    ("TRUST-2", "nothing", "attest", attest(about={}), "about nothing", "E_SHAPE"),
    ("TRUST-2", "about-type", "attest", attest(about={"cid": KEY[BEN]}), "a key for a link", "E_SHAPE"),
    ("TRUST-2", "about-key", "attest", attest(about={"agent": bytes(32)}), "a key of small order", "E_SHAPE"),
    ("TRUST-2", "empty-evidence", "attest", attest(evidence=[]), "a list that could be absent", "E_SHAPE"),
    ("TRUST-2", "null-until", "attest", attest(until=None), "an end that is null", "E_SHAPE"),
    ("TRUST-2", "evidence-type", "attest", attest(evidence=["x"]), "a text for a link", "E_SHAPE"),
    ("TRUST-2", "null-reason", "revoke", mark(reason=None), "a reason that is null", "E_SHAPE"),
    ("TRUST-2", "of", "witness", mark(of=KEY[BEN]), "a key for a link", "E_SHAPE"),
    ("TRUST-2", "of-list", "revoke", mark(of=LINKS[:1]), "a list for a link", "E_SHAPE"),
    ("TRUST-2", "level", "relation", relation(level="intimate"), "no level", "E_SHAPE"),
    ("TRUST-2", "with", "relation", relation(**{"with": bytes(32)}), "with a key of small order", "E_SHAPE"),
    ("TRUST-2", "roles", "circle", circle(roles={"host": "guest"}), "a text for a list", "E_SHAPE"),
    ("TRUST-2", "roles-list", "circle", circle(roles=["host"]), "a list for a map", "E_SHAPE"),
    ("TRUST-2", "member", "belong", belong(member=LINKS[0]), "a link for a key", "E_SHAPE"),
    ("TRUST-2", "keep-link", "keep", mark(of=LINKS[0]), "a link for a list", "E_SHAPE"),
    ("TRUST-3", "empty", "attest", attest(category=""), "an empty category", "E_TRUST_NAME"),
    ("TRUST-3", "long", "attest", attest(category="c" * 33), "a category of 33 bytes", "E_TRUST_NAME"),
    ("TRUST-3", "upper", "attest", attest(category="Skill"), "an upper-case letter", "E_TRUST_NAME"),
    ("TRUST-3", "digit", "relation", relation(kind="2friends"), "a digit in front", "E_TRUST_NAME"),
    ("TRUST-3", "blank", "relation", relation(kind="old friend"), "a blank in a kind", "E_TRUST_NAME"),
    ("TRUST-3", "role", "belong", belong(role="gue_st"), "a low line in a role", "E_TRUST_NAME"),
    ("TRUST-3", "roles", "circle", circle(roles={"": []}), "a role without a name", "E_TRUST_NAME"),
    ("TRUST-3", "claim", "attest", attest(claim=""), "an empty claim", "E_TRUST_LINE"),
    ("TRUST-3", "claim-long", "attest", attest(claim="c" * 257), "a claim of 257 bytes", "E_TRUST_LINE"),
    ("TRUST-3", "claim-break", "attest", attest(claim="a\nb"), "a claim of two lines", "E_TRUST_LINE"),
    ("TRUST-3", "claim-bidi", "attest", attest(claim="a\u202eb"), "a mark that turns the direction", "E_TRUST_LINE"),
    ("TRUST-3", "reason", "revoke", mark(reason=" wrong"), "a blank before a reason", "E_TRUST_LINE"),
    ("TRUST-3", "name", "circle", circle(name=""), "a circle without a name", "E_TRUST_LINE"),
    ("TRUST-4", "from", "attest", attest(**{"from": 1 << 48}), "a beginning of 49 bits", "E_TIME"),
    ("TRUST-4", "until", "relation", relation(until=1 << 48), "an end of 49 bits", "E_TIME"),
    ("TRUST-4", "order", "attest", attest(until=NOW - 1), "an end before the beginning", "E_TRUST_TIMES"),
    ("TRUST-4", "same", "relation", relation(until=NOW), "valid for no time", "E_TRUST_TIMES"),
    ("TRUST-4", "belong-order", "belong", belong(until=0), "an end in 1970", "E_TRUST_TIMES"),
    ("TRUST-5", "nine", "attest", attest(evidence=LINKS[:9]), "9 links as evidence", "E_TRUST_LIST"),
    ("TRUST-5", "order", "attest", attest(evidence=LINKS[1::-1]), "links that descend", "E_TRUST_LIST"),
    ("TRUST-5", "twice", "attest", attest(evidence=LINKS[:1] * 2), "a link twice", "E_TRUST_LIST"),
    ("TRUST-5", "empty", "keep", mark(of=[]), "nothing to keep", "E_TRUST_LIST"),
    ("TRUST-5", "seventeen", "keep", mark(of=LINKS[:17]), "17 records to keep", "E_TRUST_LIST"),
    ("TRUST-5", "keep-order", "keep", mark(of=LINKS[1::-1]), "links that descend", "E_TRUST_LIST"),
    ("TRUST-5", "no-roles", "circle", circle(roles={}), "a circle without roles", "E_TRUST_LIST"),
    ("TRUST-5", "many", "circle", circle(roles={f"r{n}": [] for n in range(17)}), "17 roles", "E_TRUST_LIST"),
    ("TRUST-5", "stranger", "circle", circle(roles={"host": ["guest"]}), "a role that is not there", "E_TRUST_LIST"),
    ("TRUST-5", "roles-order", "circle", circle(roles={"a": ["b", "a"], "b": []}), "roles that descend", "E_TRUST_LIST"),
    ("TRUST-6", "self", "relation", relation(**{"with": KEY[ANNA]}), "with oneself", "E_TRUST_SELF"),
]  # fmt: skip


def exact(size):
    """A `keep` of exactly so many bytes: links have hashes of up to 64 bytes, and the last one as many as are missing."""

    def links(last):
        long = [bytes([n]) * 64 for n in range(11)]
        return [s.Link(b"\x01\x71\x12" + bytes([len(it)]) + it) for it in (*long, b"\xfe" * last)]

    for last in range(24, 64):
        data = s.make(ANNA, "keep", mark(of=sorted(links(last))))
        if len(data) == size:
            return data
    raise ValueError(size)


def records():
    def case(domain, data, case_id, comment, error=None):
        return (case_id, comment, {"domain": domain, "bytes": data.hex()}, error)

    for domain, cases in GOOD.items():
        for name, payload, comment in cases:
            yield case(domain, s.make(ANNA, domain, payload), f"TRUST-2/valid/{domain}-{name}", comment)
        for name, data, comment, error in faults(domain, cases[0][1]):
            rule = {"E_SIZE": "TRUST-1", "E_SHAPE": "TRUST-2", "E_TIME": "TRUST-4"}.get(error, "STMT-9")
            rule = rule if rule.startswith("TRUST") else "TRUST-2"
            yield case(domain, data, f"{rule}/invalid/{domain}-{name}", comment, error)
    device = s.make(PHONE, "attest", attest())
    yield case("attest", device, "TRUST-2/valid/attest-device-signs", "signed by another key than that of the author")
    for rule, name, domain, payload, comment, error in BAD:
        yield case(domain, s.make(ANNA, domain, payload), f"{rule}/invalid/{name}", comment, error)
    yield case("keep", exact(1024), "TRUST-1/valid/exact", "1024 bytes")
    yield case("keep", exact(1025), "TRUST-1/invalid/one-more", "1025 bytes", "E_SIZE")


# --- What counts ------------------------------------------------------------------------------


def log_of(seed, *events, agent=None):
    """A log that begins with the agent's own key; events are (kind, body, signing seed)."""
    agent = KEY[agent or seed]
    first = {"agent": agent, "seq": 0, "prev": None, "event": {"inception": {"next": AFTER[0]}}}
    log = [s.make(seed, "keylog", first)]
    for kind, body, by in events:
        payload = {"agent": agent, "seq": len(log), "prev": s.cid(log[-1]), "event": {kind: body}}
        log.append(s.make(by, "keylog", payload))
    return log


def add(device, by, name="phone"):
    return ("add-device", {"device": KEY[device], "name": name, "at": 1}, by)


def remove(device, by):
    return ("remove-device", {"device": KEY[device], "at": 2}, by)


ROTATE = ("rotate", {"next": AFTER[1], "at": 3}, SEEDS[1])
PLAIN = log_of(ANNA, add(PHONE, ANNA))
REMOVED = log_of(ANNA, add(PHONE, ANNA), remove(PHONE, ANNA))
ROTATED = log_of(ANNA, add(PHONE, ANNA), ROTATE)
FROZEN = PLAIN + log_of(ANNA, add(LAPTOP, ANNA))[1:]


def said(by, domain, payload, agent=None):
    return s.make(by, domain, payload | {"by": KEY[agent or by]})


def half(by, other, level="community", agent=None, **more):
    return said(by, "relation", relation(level=level, **{"with": KEY[other]}) | more, agent)


def friends(a, b, level="community", other=None, **more):
    return [half(a, b, level, **more), half(b, a, other or level, **more)]


def counted():
    def case(case_id, comment, records, logs=None, now=NOW, start=ANNA, error=None, shuffle=True):
        records = list(records)
        if shuffle:
            random.Random(case_id).shuffle(records)
        logs = {s.to_did(KEY[seed]): [event.hex() for event in log] for seed, log in (logs or {}).items()}
        given = {"logs": logs, "records": [it.hex() for it in records], "now": now, "from": s.to_did(KEY[start])}
        return (case_id, comment, given, error)

    by_phone = said(PHONE, "attest", attest(), ANNA)
    by_anna = said(ANNA, "attest", attest())
    keep = said(ANNA, "keep", mark(of=[s.cid(by_phone)]))
    yield case("TRUST-10/valid/key", "signed by the agent's key, without a log", [by_anna])
    yield case("TRUST-10/valid/device", "signed by a device", [by_phone], {ANNA: PLAIN})
    yield case("TRUST-10/valid/stranger", "a key that never spoke for the author", [by_phone])
    yield case("TRUST-10/valid/removed", "a device that was removed", [by_phone], {ANNA: REMOVED})
    yield case("TRUST-10/valid/kept", "and what the agent keeps of it", [by_phone, keep], {ANNA: REMOVED})
    yield case("TRUST-10/valid/rotated", "a key that was changed", [by_anna, by_phone], {ANNA: ROTATED})
    new_keep = said(SEEDS[1], "keep", mark(of=[s.cid(by_anna)]), ANNA)
    yield case("TRUST-10/valid/rotated-kept", "kept by the new key", [by_anna, new_keep], {ANNA: ROTATED})
    chain = said(SEEDS[1], "keep", mark(of=[s.cid(keep)]), ANNA)
    yield case("TRUST-10/valid/keep-of-keep", "a keep is not kept", [by_phone, keep, chain],
               {ANNA: log_of(ANNA, add(PHONE, ANNA), remove(PHONE, ANNA), ROTATE)})
    foreign = said(BEN, "keep", mark(of=[s.cid(by_phone)]))
    yield case("TRUST-10/valid/foreign-keep", "kept by another agent", [by_phone, foreign], {ANNA: REMOVED})
    yield case("TRUST-11/valid/frozen", "nothing of an agent whose log ends in an equivocation",
               [by_anna, by_phone, keep, *friends(ANNA, BEN)], {ANNA: FROZEN})
    revoke = said(ANNA, "revoke", mark(of=s.cid(by_phone)))
    yield case("TRUST-12/valid/revoked", "revoked by the author with another key", [by_phone, revoke], {ANNA: PLAIN})
    yield case("TRUST-12/valid/foreign", "revoked by somebody else",
               [by_anna, said(BEN, "revoke", mark(of=s.cid(by_anna)))])
    by_removed = said(PHONE, "revoke", mark(of=s.cid(by_anna)), ANNA)
    yield case("TRUST-12/valid/by-removed", "revoked by a device that was removed", [by_anna, by_removed], {ANNA: REMOVED})
    kept_revoke = said(ANNA, "keep", mark(of=[s.cid(by_removed)]))
    yield case("TRUST-12/valid/revocation-kept", "and the agent keeps that", [by_anna, by_removed, kept_revoke], {ANNA: REMOVED})
    undo = said(ANNA, "revoke", mark(of=s.cid(revoke)))
    yield case("TRUST-12/valid/revoke-of-revoke", "a revocation is not revoked", [by_phone, revoke, undo], {ANNA: PLAIN})
    unkeep = said(ANNA, "revoke", mark(of=s.cid(keep)))
    yield case("TRUST-12/valid/revoke-of-keep", "nor is a keep", [by_phone, keep, unkeep], {ANNA: REMOVED})
    yield case("TRUST-12/valid/before", "a revocation of what is not known", [revoke], {ANNA: PLAIN})
    witness = [said(seed, "witness", mark(of=s.cid(by_anna))) for seed in (ANNA, BEN, CARA)]
    back = said(CARA, "revoke", mark(of=s.cid(witness[2])))
    yield case("TRUST-15/valid/witnessed", "by two others, of whom one took it back", [by_anna, *witness, back])
    ended = said(ANNA, "attest", attest(**{"from": NOW - 9, "until": NOW}))
    later = said(ANNA, "attest", attest(**{"from": NOW + 1}))
    yield case("TRUST-4/valid/times", "one that ended now, and one that begins later", [by_anna, ended, later])
    yield from related(case)
    yield from circles(case)
    good = by_anna
    yield case("TRUST-1/invalid/size", "a record that is too large among others",
               [good, said(ANNA, "attest", attest(note="n" * 1024))], error="E_SIZE", shuffle=False)
    yield case("TRUST-2/invalid/domain", "a statement that is no record",
               [good, s.make(ANNA, "example", {"say": "hello"})], error="E_DOMAIN", shuffle=False)
    yield case("TRUST-2/invalid/signature", "a record that was changed",
               [good.replace(b"viola", b"piano")], error="E_SIGNATURE", shuffle=False)


def related(case):
    yield case("TRUST-20/valid/half", "one side alone", [half(ANNA, BEN)])
    yield case("TRUST-20/valid/both", "both sides", friends(ANNA, BEN))
    yield case("TRUST-20/valid/kinds", "two halves of different kinds", [half(ANNA, BEN), half(BEN, ANNA, kind="colleague")])
    yield case("TRUST-20/valid/two-kinds", "two relationships",
               friends(ANNA, BEN) + friends(ANNA, BEN, "network", kind="colleague"))
    yield case("TRUST-20/valid/less", "who says less beside what was said before",
               friends(ANNA, BEN, "family") + [half(ANNA, BEN, "association", at=NOW - 5)])
    yield case("TRUST-21/valid/lesser", "the lesser level, the later beginning, the earlier end",
               [half(ANNA, BEN, "family", **{"from": NOW - 9, "until": NOW + 5}),
                half(BEN, ANNA, "community", **{"from": NOW - 5, "until": NOW + 9})])
    yield case("TRUST-21/valid/open", "an end on one side",
               [half(ANNA, BEN, until=NOW + 5), half(BEN, ANNA)])
    yield case("TRUST-21/valid/ended", "that ended on one side",
               [half(ANNA, BEN, **{"from": 1, "until": NOW}), half(BEN, ANNA)])
    pair = friends(ANNA, BEN)
    yield case("TRUST-20/valid/revoked", "a half that was revoked",
               [*pair, said(BEN, "revoke", mark(of=s.cid(pair[1])))])
    vouch = said(BEN, "attest", attest(about={"agent": KEY[CARA]}, category="vouch", claim="a good neighbour"))
    yield case("TRUST-22/valid/vouch", "somebody for whom a friend vouches", [*friends(ANNA, BEN, "family"), vouch])
    yield case("TRUST-22/valid/one-way", "seen from there", [*friends(ANNA, BEN), vouch], start=CARA)
    yield case("TRUST-22/valid/device", "a vouch for a device", [
        said(ANNA, "attest", attest(about={"device": KEY[CARA]}, category="vouch"))])
    web = friends(ANNA, BEN, "family") + friends(BEN, DORA, "network")
    web += friends(ANNA, CARA, "extended") + friends(CARA, DORA, "community") + friends(DORA, EMIL, "family")
    yield case("TRUST-23/valid/paths", "two ways as short, of which one is closer", web)
    shortcut = web + friends(ANNA, DORA, "network")
    yield case("TRUST-23/valid/shortest", "a shorter way that is less close", shortcut)
    seeds = [bytes([n]) * 32 for n in range(61, 71)]
    KEY.update({seed: s.public(seed) for seed in seeds})
    line = [it for a, b in zip(seeds, seeds[1:]) for it in friends(a, b)]
    yield case("TRUST-23/valid/far", "ten in a row, of whom the last is too far", line, start=seeds[0])


def circles(case):
    frozen = said(BEN, "attest", attest(about={"agent": KEY[ANNA]}, category="vouch", claim="a good neighbour"))
    yield case("TRUST-22/valid/frozen", "a vouch for an agent whose log ends in an equivocation", [frozen], {ANNA: FROZEN},
               start=BEN)
    quartet = said(ANNA, "circle", circle())
    name = s.cid(quartet)

    def joins(by, member, role="guest", agent=None, **more):
        return said(by, "belong", belong(circle=name, member=KEY[member], role=role) | more, agent)

    host = joins(ANNA, BEN, "host")
    guest = joins(BEN, CARA)
    yield case("TRUST-31/valid/owner", "admitted by the owner", [quartet, host])
    yield case("TRUST-31/valid/host", "admitted by a member who may", [quartet, host, guest])
    yield case("TRUST-31/valid/guest", "admitted by one who may not", [quartet, joins(ANNA, BEN), guest])
    choir = said(ANNA, "circle", circle(roles={"guest": [], "host": [], "usher": ["guest"]}))
    into = {"circle": s.cid(choir)}
    usher = joins(ANNA, BEN, "usher", **into)
    yield case("TRUST-31/valid/usher", "admitted by one who may to one of two roles", [
        choir, usher, joins(BEN, CARA, "guest", **into), joins(BEN, DORA, "host", **into)])
    yield case("TRUST-31/valid/stranger", "admitted by nobody's member", [quartet, guest])
    yield case("TRUST-31/valid/no-circle", "without the circle", [host])
    yield case("TRUST-31/valid/no-role", "a role that the circle does not have", [quartet, joins(ANNA, BEN, "chief")])
    ring = [joins(BEN, CARA, "host"), joins(CARA, BEN, "host")]
    yield case("TRUST-31/valid/ring", "two who admit each other", [quartet, *ring])
    out = said(ANNA, "revoke", mark(of=s.cid(host)))
    yield case("TRUST-31/valid/rests", "what rested on who was put out", [quartet, host, guest, out])
    yield case("TRUST-31/valid/ring-out", "a ring that began with one who was put out", [quartet, host, *ring, out])
    yield case("TRUST-31/valid/ended", "a host whose role has ended", [
        quartet, joins(ANNA, BEN, "host", **{"from": 1, "until": NOW}), guest])
    yield case("TRUST-12/valid/leave", "a member who leaves", [
        quartet, host, guest, said(CARA, "revoke", mark(of=s.cid(guest)))])
    yield case("TRUST-12/valid/owner-ends", "the owner ends what a host began", [
        quartet, host, guest, said(ANNA, "revoke", mark(of=s.cid(guest)))])
    yield case("TRUST-12/valid/other-member", "another member may not", [
        quartet, host, guest, joins(ANNA, DORA, "host"), said(DORA, "revoke", mark(of=s.cid(guest)))])
    yield case("TRUST-30/valid/closed", "a circle that was revoked", [
        quartet, host, guest, said(ANNA, "revoke", mark(of=name))])
    yield case("TRUST-30/valid/removed", "a circle begun by a device that was removed", [
        said(PHONE, "circle", circle(), ANNA)], {ANNA: REMOVED})
    yield case("TRUST-11/valid/member", "a member whose log ends in an equivocation", [
        s.make(BEN, "circle", circle(by=KEY[BEN])),
        said(BEN, "belong", belong(circle=s.cid(s.make(BEN, "circle", circle(by=KEY[BEN]))), member=KEY[ANNA]))],
        {ANNA: FROZEN})


# --- Policies ---------------------------------------------------------------------------------

DID = {name: s.to_did(s.public(seed)) for name, seed in
       (("me", EMIL), ("anna", ANNA), ("ben", BEN), ("cara", CARA), ("dora", DORA), ("phone", PHONE))}
ROUND = s.cid_text(LINKS[0])
FACTS = {
    "reader": DID["me"],
    "steps": [[DID["me"], DID["anna"], "family"], [DID["anna"], DID["ben"], "community"],
              [DID["ben"], DID["cara"], "network"]],
    "attested": [[DID["anna"], DID["ben"], "skill", "viola"], [DID["cara"], DID["ben"], "spam", "ads"],
                 [DID["anna"], DID["phone"], "checked", "yes"]],
    "members": [[ROUND, DID["ben"], "guest"]],
    "custom": {"yes": True, "no": False, "later": None},
}  # fmt: skip


def policies():
    def case(case_id, comment, policy, error=None, author="ben", device=None, facts=FACTS):
        given = {"policy": policy, "facts": facts, "author": DID[author], "device": device and DID[device]}
        return (case_id, comment, given, error)

    def rules(*rules, otherwise="refuse"):
        return {"rules": [{"when": when, "then": then, "because": "so it is"} for when, then in rules], "otherwise": otherwise}

    def accept(when):
        return rules((when, "accept"))

    ben, cara = {"author": [DID["ben"]]}, {"author": [DID["cara"]]}
    attested = {"category": "skill", "by": [DID["anna"]]}
    yes, no, later = ({"custom": name} for name in ("yes", "no", "later"))
    for rule, name, when, comment in (
        ("TRUST-42", "author", ben, "by author"),
        ("TRUST-42", "other", cara, "another author"),
        ("TRUST-41", "nobody", {"author": []}, "an empty list of authors"),
        ("TRUST-41", "no-device", {"device": []}, "an empty list of devices"),
        ("TRUST-41", "all", {"all": []}, "all of nothing"),
        ("TRUST-41", "any", {"any": []}, "any of nothing"),
        ("TRUST-41", "by-nobody", {"attested": attested | {"by": []}}, "attested by nobody"),
        ("TRUST-42", "attested", {"attested": attested}, "attested"),
        ("TRUST-42", "claim", {"attested": attested | {"claim": "viola"}}, "attested, with the claim"),
        ("TRUST-42", "other-claim", {"attested": attested | {"claim": "flute"}}, "attested, with another claim"),
        ("TRUST-42", "by-other", {"attested": attested | {"by": [DID["dora"]]}}, "attested by another"),
        ("TRUST-42", "by-near", {"attested": attested | {"by": {"related": {"within": 1}}}}, "attested by somebody near"),
        ("TRUST-42", "by-later", {"attested": attested | {"by": later}}, "attested by who cannot be told"),
        ("TRUST-42", "by-device", {"attested": attested | {"by": {"device": [DID["phone"]]}}}, "attested by a device"),
        ("TRUST-42", "near", {"related": {"within": 2}}, "near enough"),
        ("TRUST-42", "not-near", {"related": {"within": 1}}, "not near enough"),
        ("TRUST-42", "close", {"related": {"within": 2, "level": "community"}}, "close enough"),
        ("TRUST-42", "not-close", {"related": {"within": 2, "level": "extended"}}, "not close enough"),
        ("TRUST-42", "member", {"member": {"circle": ROUND}}, "a member"),
        ("TRUST-42", "role", {"member": {"circle": ROUND, "role": "guest"}}, "with a role"),
        ("TRUST-42", "other-role", {"member": {"circle": ROUND, "role": "host"}}, "with another"),
        ("TRUST-42", "custom", yes, "a predicate"),
        ("TRUST-42", "custom-no", no, "that does not hold"),
        ("TRUST-42", "unknown", {"custom": "nothing"}, "that nobody has"),
        ("TRUST-42", "not-unknown", {"not": {"custom": "nothing"}}, "and not that"),
        ("TRUST-42", "all-later", {"all": [yes, later]}, "all, of which one cannot be told"),
        ("TRUST-42", "all-no", {"all": [later, no]}, "all, of which one does not hold"),
        ("TRUST-42", "any-later", {"any": [no, later]}, "any, of which one cannot be told"),
        ("TRUST-42", "any-yes", {"any": [later, yes]}, "any, of which one holds"),
        ("TRUST-42", "not-no", {"not": no}, "not what does not hold"),
        ("TRUST-42", "not-yes", {"not": yes}, "not what holds"),
    ):
        yield case(f"{rule}/valid/{name}", comment, accept(when))
    yield case("TRUST-42/valid/device", "by device", accept({"device": [DID["phone"]]}), device="phone")
    yield case("TRUST-42/valid/attested-device", "by what is attested about the device",
               accept({"attested": {"category": "checked", "by": [DID["anna"]]}}), device="phone")
    yield case("TRUST-43/valid/none", "no rules", rules())
    yield case("TRUST-43/valid/open", "no rules, and all is taken", rules(otherwise="accept"))
    yield case("TRUST-43/valid/first", "the first rule that holds", rules((cara, "accept"), (ben, "quarantine"), (yes, "accept")))
    yield case("TRUST-43/valid/sure", "the same, whatever cannot be told", rules((later, "accept"), (ben, "accept")))
    yield case("TRUST-43/valid/unsure", "another than what cannot be told", rules((later, "refuse"), (ben, "accept")))
    yield case("TRUST-43/valid/unsure-otherwise", "otherwise, but one cannot be told", rules((later, "accept")))
    yield case("TRUST-43/valid/late", "what cannot be told after the rule that holds", rules((ben, "accept"), (later, "refuse")))
    far = {"related": {"within": 8}}
    yield case("TRUST-44/valid/enough", "20 distances over one level", accept({"all": [far] * 20}))
    # Each of 45 authors takes 2 + 33 * 88 steps, and the rest of 131072 goes before: 2 + 3 + 33 * 9.
    crowd = [[s.to_did(s.public(bytes([n]) * 32)), DID["ben"], "skill", "viola"] for n in range(60, 105)]
    by_crowd = {"attested": {"category": "skill", "by": {"all": [yes] * 87 + [no]}}}
    for name, before, comment in (("all", 3, "all steps"), ("steps", 4, "one step more than there are")):
        first = {"any": [cara] * before + [no] * 9}
        yield case(f"TRUST-44/valid/{name}", comment, rules((first, "refuse"), (by_crowd, "refuse"), otherwise="accept"),
                   facts=FACTS | {"attested": crowd})
    named = {"attested": attested | {"by": [DID["dora"], DID["anna"]]}}
    yield case("TRUST-44/valid/named", "attested by one of those who are named, after another", accept(named))
    mutual = [[DID[one], DID[two], "skill", "viola"] for one in ("anna", "ben", "cara") for two in ("anna", "ben", "cara")]
    for name, deepness, comment in (("ring", 8, "claims about authors of claims"), ("long-ring", 14, "and so on, for too long")):
        ring = {"author": [DID["dora"]]}
        for _ in range(deepness):
            ring = {"attested": {"category": "skill", "by": ring}}
        yield case(f"TRUST-44/valid/{name}", comment, rules((ring, "refuse"), otherwise="accept"),
                   facts=FACTS | {"attested": mutual})
    deep = yes
    for _ in range(15):
        deep = {"all": [deep]}
    yield case("TRUST-40/valid/deep", "16 conditions in each other", accept(deep))
    yield from bad_policies(case, rules, accept, attested, deep, yes)


def bad_policies(case, rules, accept, attested, deep, yes):
    for name, when, comment in (
        ("author", {"not": {"author": []}}, "not nobody"),
        ("all", {"not": {"all": []}}, "not all of nothing"),
        ("inner", {"not": {"any": [yes, {"all": [{"device": []}]}]}}, "an empty list further below"),
        ("by", {"not": {"attested": attested | {"by": []}}}, "not attested by nobody"),
    ):
        yield case(f"TRUST-41/invalid/{name}", comment, accept(when), "E_POLICY")
    for name, policy, comment in (
        ("no-object", [], "a list"),
        ("no-rules", {"otherwise": "accept"}, "no rules"),
        ("no-otherwise", {"rules": []}, "no otherwise"),
        ("unknown", rules() | {"x": 1}, "an unknown member"),
        ("outcome", rules(otherwise="allow"), "an outcome of something else"),
        ("then", rules((yes, "maybe")), "no outcome"),
        ("because", {"rules": [{"when": yes, "then": "accept", "because": ""}], "otherwise": "refuse"}, "no reason"),
        ("no-because", {"rules": [{"when": yes, "then": "accept"}], "otherwise": "refuse"}, "without a reason"),
        ("rules", rules(*[(yes, "accept")] * 65), "65 rules"),
        ("condition", accept({"holy": True}), "no condition"),
        ("two", accept({"custom": "yes", "author": []}), "two conditions in one"),
        ("none", accept({}), "none"),
        ("did", accept({"author": ["ben"]}), "no agent"),
        ("list", accept({"author": [DID["ben"]] * 257}), "257 in a list"),
        ("number", accept({"author": [1]}), "a number for an agent"),
        ("category", accept({"attested": attested | {"category": "Skill"}}), "no name"),
        ("claim", accept({"attested": attested | {"claim": ""}}), "an empty claim"),
        ("no-by", accept({"attested": {"category": "skill"}}), "attested by whomever"),
        ("attested-unknown", accept({"attested": attested | {"x": 1}}), "an unknown member of a condition"),
        ("within-0", accept({"related": {"within": 0}}), "a distance of 0"),
        ("within-9", accept({"related": {"within": 9}}), "a distance of 9"),
        ("within-text", accept({"related": {"within": "2"}}), "a text for a distance"),
        ("level", accept({"related": {"within": 1, "level": "close"}}), "no level"),
        ("reach", accept({"related": {"within": 1, "level": "public"}}), "a reach for a level"),
        ("circle", accept({"member": {"circle": "quartet"}}), "no link"),
        ("role", accept({"member": {"circle": ROUND, "role": ""}}), "no role"),
        ("custom", accept({"custom": ""}), "a predicate without a name"),
        ("many", accept({"all": [yes] * 256}), "257 conditions"),
        ("deep", accept({"not": deep}), "17 conditions in each other"),
    ):
        yield case(f"TRUST-40/invalid/{name}", comment, policy, "E_POLICY")


# --- Decisions --------------------------------------------------------------------------------


def decisions():
    def case(data, case_id, comment, error=None):
        return (case_id, comment, {"bytes": data.hex()}, error)

    plain = {"at": NOW, "who": {"agent": KEY[BEN]}, "rule": "policy 1", "what": {"on": "k", "act": "write", "space": LINKS[0]},
             "words": "a friend", "outcome": "allow", "evidence": LINKS[:2]}  # fmt: skip
    none = plain | {"who": None, "rule": None, "what": {"on": "", "act": "evict", "space": None}, "words": "", "evidence": []}
    yield case(s.encode(plain), "TRUST-50/valid/plain", "a decision")
    yield case(s.encode(none), "TRUST-50/valid/none", "with as little as there can be")
    yield case(s.encode(plain | {"outcome": {"chose": "ben's"}}), "TRUST-50/valid/chose", "a choice")
    yield case(s.encode(plain | {"who": {"device": KEY[PHONE]}}), "TRUST-50/valid/device", "a device")
    most = plain | {"rule": "r" * 128, "words": "w" * 1024, "evidence": (LINKS * 2)[:32], "outcome": {"chose": "c" * 128}}
    most["what"] = {"on": "o" * 512, "act": "a" * 32, "space": LINKS[0]}
    yield case(s.encode(most), "TRUST-50/valid/most", "the longest of each")
    for name, change, comment in (
        ("outcome", {"outcome": "maybe"}, "no outcome"),
        ("chose", {"outcome": {"chose": "c" * 129}}, "a choice of 129 bytes"),
        ("two", {"outcome": {"chose": "a", "or": "b"}}, "two choices"),
        ("null", {"outcome": None}, "no outcome at all"),
        ("unknown", {"x": 1}, "an unknown member"),
        ("rule", {"rule": "r" * 129}, "a rule of 129 bytes"),
        ("words", {"words": "w" * 1025}, "words of 1025 bytes"),
        ("control", {"words": "a\x1bb"}, "a control character"),
        ("line", {"words": "a\nb"}, "two lines"),
        ("evidence", {"evidence": (LINKS * 2)[:33]}, "33 links"),
        ("link", {"evidence": ["x"]}, "a text for a link"),
        ("time", {"at": 1 << 48}, "a time of 49 bits"),
        ("who", {"who": {"agent": KEY[BEN], "device": KEY[PHONE]}}, "two who are meant"),
        ("who-key", {"who": {"agent": bytes(32)}}, "a key of small order"),
        ("who-kind", {"who": {"group": KEY[BEN]}}, "another kind"),
        ("act", {"what": {"on": "", "act": "Write", "space": None}}, "no name of an act"),
        ("on", {"what": {"on": "o" * 513, "act": "write", "space": None}}, "513 bytes of what it is about"),
        ("what", {"what": {"on": "", "act": "write"}}, "a member is missing"),
    ):
        yield case(s.encode(plain | change), f"TRUST-50/invalid/{name}", comment, "E_DECISION")
    yield case(s.encode(plain)[:-1], "TRUST-50/invalid/cut", "the last byte is missing", "E_DECISION")
    yield case(s.encode(plain) + b"\x00", "TRUST-50/invalid/trailing", "a byte follows", "E_DECISION")
    long = [s.Link(b"\x01\x71\x12\x40" + bytes([n]) * 64) for n in range(32)]
    yield case(s.encode(most | {"evidence": long}), "TRUST-50/invalid/size", "more than 4096 bytes", "E_DECISION")
