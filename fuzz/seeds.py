"""Writes `seeds/<target>/` from the vectors: a few short accepts and rejects for each target.

    python3 fuzz/seeds.py

Python 3.10 or later, standard library only.
"""

import base64
import json
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent / "specs" / "vectors"
sys.path.insert(0, str(HERE.parent / "specs" / "reference"))

import statement  # noqa: E402

# The files that a target's seeds come from, and how many accepts and rejects of each.
SOURCES = {
    "statement": ["statement/statement.json", "identity/event.json", "identity/keystore.json"],
    "tree_node": ["tree/node.json"],
    "cid_uri": ["blocks/name.json"],
    "entry": ["repo/entry.json"],
    "commit": ["repo/commit.json"],
    "patch": ["patch/patch.json"],
    "car": ["blocks/car.json"],
    "packed": ["blocks/stored.json"],
    "unixfs": ["blocks/unixfs.json"],
    "index_key": ["views/key.json", "views/number.json"],
    "expr": ["views/expr.json"],
    "sync_frame": ["sync/frame.json", "sync/join.json"],
    "ticket": ["sync/ticket.json"],
    "pairing": ["pairing/code.json", "pairing/message.json", "pairing/own.json", "identity/kit.json", "identity/request.json"],
    "delta": ["deltas/delta.json", "deltas/signature.json"],
    "delta_filter": ["deltas/filter.json"],
    "cloud_event": ["events/event.json"],
    "feed_text": ["feed/cursor.json", "feed/filter.json"],
    "trust_policy": ["trust/policy.json", "trust/decision.json"],
    "access": ["access/statement.json", "access/token.json", "access/rule.json", "access/policy.json"],
}
ACCEPTS, REJECTS, BYTES_MAX = 6, 3, 2048


def content(given):
    for name in ("text", "json", "filter"):
        if name in given:
            return given[name].encode()
    if "policy" in given:
        return json.dumps(given["policy"]).encode()
    data = given.get("bytes", given.get("key"))
    return bytes.fromhex(data) if isinstance(data, str) else None


def payload(data):
    """The payload of a commit's statement, which its target signs anew."""
    return data[1 + 7 + 34 : -66]


DOMAINS = (b"attest", b"witness", b"revoke", b"relation", b"circle", b"belong", b"keep")


def parts(record):
    """A record as its target reads it, which signs it anew: domain, key, length and payload."""
    name = next(name for name in DOMAINS if record[2:].startswith(name))
    said = record[2 + len(name) + 34 : -66]
    signer = record[4 + len(name) :][:8].hex()
    by = KEYS.index(signer) if signer in KEYS else 255
    return bytes([DOMAINS.index(name), by]) + len(said).to_bytes(2, "little") + said


# How the keys of the seeds 41 x 32 to 48 x 32 begin, by which the vectors are signed, and the target signs as well.
KEYS = [
    "fa4834147f6e690c", "197f6b23e16c8532",
    "4508a07aa941707f", "9475c6cf0eda3405",
    "a87b8a99bd88a696", "5b8649c0cfcdbe78",
    "6e32c19741f0af82", "1ba4075b77c9e3fb",
]  # fmt: skip


OPERATIONS = ("read", "write", "delete", "create", "merge", "drop", "admin", "pin", "events")


def world(given):
    """A world of ACCESS as its target reads it: parts with their kind, the agent, a length and what they are."""
    agents = [statement.to_did(statement.public(bytes([n]) * 32)) for n in range(61, 72)]
    made = []

    def part(kind, who, data):
        made.append(bytes([kind, agents.index(who) if who in agents else 255]) + len(data).to_bytes(2, "little") + data)

    for kind, domain in ((0, "grants"), (1, "ungrants")):
        for data in map(bytes.fromhex, given[domain]):
            parts = statement.decode(data)
            part(kind, statement.to_did(parts[1]), statement.encode(parts[2]))
    for data in given["rules"].values():
        part(2, None, bytes.fromhex(data))
    for who, versions in given["members"].items():
        for data in versions:
            part(3, who, bytes.fromhex(data))
    # A part has no room for the longest names of branches.
    asked = [request for request in given["requests"] if not isinstance(request[0], dict) and len(request[2]) < 256]
    for who, op, branch, key, at in spread(asked, 16):
        head = bytes([OPERATIONS.index(op), min(at, 255), len(branch)])
        part(4, who, head + branch.encode() + bytes.fromhex(key or ""))
    return b"".join(made)


def pick(path):
    accepts, rejects = [], []
    for case in json.loads((VECTORS / path).read_text())["cases"]:
        data = content(case["input"])
        if data and len(data) <= BYTES_MAX:
            (accepts if "ok" in case["expect"] else rejects).append((case["id"], data))
    return spread(accepts, ACCEPTS) + spread(rejects, REJECTS)


def spread(cases, count):
    """Some of them, from the first to nearly the last."""
    return cases[:: max(1, len(cases) // count)][:count]


def main():
    for target, paths in SOURCES.items():
        folder = HERE / "seeds" / target
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in paths:
            for case_id, data in pick(path):
                if target == "pairing" and path.endswith("message.json"):
                    # A length and a frame.
                    data = bytes([len(data) & 255]) + data[:255]
                (folder / case_id.lower().replace("/", "-")).write_bytes(data)
                if target == "commit":
                    name = case_id.lower().replace("/", "-") + "-payload"
                    (folder / name).write_bytes(payload(data))
    folder = HERE / "seeds" / "trust_record"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    counted = json.loads((VECTORS / "trust" / "counted.json").read_text())["cases"]
    counted = [case for case in counted if "ok" in case["expect"]]
    for case in spread(counted, 12):
        data = b"".join(parts(bytes.fromhex(record)) for record in case["input"]["records"])
        (folder / case["id"].lower().replace("/", "-")).write_bytes(data)
    worlds = json.loads((VECTORS / "access" / "world.json").read_text())["cases"]
    for case in spread([case for case in worlds if len(world(case["input"])) <= 2 * BYTES_MAX], 16):
        (HERE / "seeds" / "access" / case["id"].lower().replace("/", "-")).write_bytes(world(case["input"]))
    folder = HERE / "seeds" / "key_file"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    seed = bytes(range(32))
    der = bytes.fromhex("302e020100300506032b657004220420") + seed
    for name, data in (
        ("seed", seed),
        ("hex", seed.hex().encode()),
        ("base64", base64.b64encode(seed)),
        ("der", der),
        ("pem", b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(der) + b"\n-----END PRIVATE KEY-----\n"),
    ):
        (folder / name).write_bytes(data)
    folder = HERE / "seeds" / "sync_session"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Choices of the target: mostly zeros let the honest session run; others bend it.
    for name, data in (
        ("responder", bytes(200)),
        ("initiator", b"\1" + bytes(200)),
        ("steps", bytes(range(256))),
        ("bent", bytes(n * 37 % 251 for n in range(300))),
    ):
        (folder / name).write_bytes(data)
    folder = HERE / "seeds" / "sync_fetch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # The first byte chooses the side.
    for side, name in ((1, "serving"), (0, "asking")):
        (folder / name).write_bytes(bytes([side]) + bytes(n * 37 % 251 for n in range(300)))
    folder = HERE / "seeds" / "sql_pass"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in (
        ("as-of", "SELECT t.state, u.state FROM t JOIN t AS OF 'x' ON BRANCH 'y' u ON t.state <> u.state"),
        ("branch", "WITH c AS (SELECT * FROM \"t\" ON BRANCH 'b') SELECT * FROM c, [t] AS OF 'x' NOT INDEXED"),
        ("diff", "EXPLAIN DIFF 'a' 'b' ON t WHERE state IN (SELECT state FROM `t` AS OF 'x') LIMIT 1;"),
        ("function", "SELECT * FROM allod_diff('t', 'a', 'b') d, json_each('[1]') -- AS OF 'x'"),
        ("write", "INSERT INTO t AS OF 'x' (state) SELECT state FROM t WHERE 1 IN t AS OF 'y'"),
        ("parameter", "SELECT * FROM t AS OF ?1"),
        ("subquery", "SELECT * FROM (SELECT 'AS OF ''x''') AS OF 'x' /* */"),
        ("alias", "SELECT a AS of FROM t AS of JOIN t u ON branch = x'00' OR 1e5 > $a::b(c)"),
    ):
        (folder / name).write_text(text)
    folder = HERE / "seeds" / "http_text"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # A size of eight bytes, and a text.
    size = (1000).to_bytes(8, "big")
    for name, text in (
        ("range", "bytes=0-99"),
        ("range-open", "bytes=999-"),
        ("range-last", "bytes=-1001"),
        ("range-beyond", "bytes=1000-18446744073709551616"),
        ("range-none", "bytes=-0"),
        ("ranges", "bytes=0-1,5-6"),
        ("tags", '"a", W/"b" ,"c",'),
        ("tags-any", " * "),
        ("tags-open", '"a'),
        ("tags-many", ",".join(f'"{n}"' for n in range(65))),
        ("pairs", "prefix=a%2Fb&after=%FF+x&from"),
        ("pairs-twice", "limit=1&l%69mit=2"),
        ("pairs-percent", "from=%f"),
        ("path", "/v1/spaces/n%C3%B6tes/entries/a%2Fb/c"),
        ("path-short", "/v1/spaces"),
        ("cid", "/v1/blobs/ipfs%3A%2F%2Fbafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"),
    ):
        (folder / name).write_bytes(size + text.encode())
    for name, text in (("key", "hex:00fF"), ("key-odd", "hex:0"), ("token", "bEARER  abcdefghijklmnop ")):
        (folder / name).write_text(text)
    folder = HERE / "seeds" / "crdt"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # The kind, the size of the first state, two states.
    cases = json.loads((VECTORS / "crdt/join.json").read_text())["cases"]
    kinds = list(dict.fromkeys(case["input"]["kind"] for case in cases))
    for case in cases:
        left, right = (case["input"][side] for side in ("left", "right"))
        is_short = isinstance(left, str) and isinstance(right, str) and len(left) <= 2 * 255
        if is_short and case["id"].endswith("-forth"):
            data = bytes([kinds.index(case["input"]["kind"]), len(left) // 2]) + bytes.fromhex(left + right)
            (folder / case["id"].lower().replace("/", "-")).write_bytes(data)


if __name__ == "__main__":
    main()
