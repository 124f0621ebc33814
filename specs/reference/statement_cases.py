"""The cases of the STMT and IDENT vectors: each accept in full, each reject with one fault."""

import statement as s

AGENT, NEXT, LAPTOP, PHONE, OTHER = (bytes([n]) * 32 for n in range(1, 6))
GUARDIANS = [bytes([n]) * 32 for n in (11, 12, 13)]
SEEDS, AFTER = s.chain(NEXT)
KEY = {seed: s.public(seed) for seed in (AGENT, NEXT, LAPTOP, PHONE, OTHER, *GUARDIANS, *SEEDS[1:5])}


def files():
    return [
        ("statement/statement.json", "STMT", statements()),
        ("identity/did.json", "IDENT", dids()),
        ("identity/event.json", "IDENT", events()),
        ("identity/guardian.json", "IDENT", guardian_says()),
        ("identity/objection.json", "IDENT", objections()),
        ("identity/keylog.json", "IDENT", keylogs()),
        ("identity/keystore.json", "IDENT", keystores()),
    ]


def example(data, case_id, comment, error=None):
    return (case_id, comment, {"domain": "example", "bytes": data.hex()}, error)


def raw(body, domain=b"\x67example", signer=None, seal=None, head=b"\x84"):
    """A statement around any bytes, signed correctly for the domain `example`."""
    signer = s.encode(KEY[AGENT]) if signer is None else signer
    signature = s.sign(AGENT, b"allod/example/1\0" + b"\x83" + domain + signer + body)
    seal = s.encode(signature) if seal is None else seal
    return head + domain + signer + body + seal


def with_signature(message_signer, signature):
    body = s.encode({"say": "hello"})
    return b"\x84" + s.encode("example") + s.encode(message_signer) + body + s.encode(signature)


def odd_signatures():
    """Signatures that looser verifiers accept."""
    signer = KEY[AGENT]
    message = s.signature_input("example", signer, s.encode({"say": "hello"}))
    good = s.sign(AGENT, message)
    scalar, _ = s.expand(AGENT)
    number = int.from_bytes(good[32:], "little")
    # A point of order 8: L times a point outside the main group.
    torsion = next(
        point
        for y in range(2, 100)
        if (raw_point := s.to_point(y.to_bytes(32, "little"))) is not None
        and not s.same(s.times(4, point := s.times(s.L, raw_point)), s.IDENTITY)
    )
    nonce = 12345
    mixed = s.from_point(s.add(s.times(nonce, s.BASE), torsion))
    k = s.hash_scalar(mixed, signer, message)
    mixed += ((nonce + k * scalar) % s.L).to_bytes(32, "little")
    zero = s.from_point(s.IDENTITY)
    k = s.hash_scalar(zero, signer, message)
    zero += (k * scalar % s.L).to_bytes(32, "little")
    return {
        "s-plus-order": (good[:32] + (number + s.L).to_bytes(32, "little"),
                         "S is not reduced: S plus the group order"),
        "s-high-bit": (good[:63] + bytes([good[63] | 0x80]), "the top bit of S is set"),
        "r-small-order": (zero, "R is the identity; the equation holds"),
        "r-mixed-order": (mixed, "R has a part of order 8; holds only with the cofactor"),
        "r-flipped": (bytes([good[0] ^ 1]) + good[1:], "a flipped bit in R"),
        "s-flipped": (good[:32] + bytes([good[32] ^ 1]) + good[33:], "a flipped bit in S"),
        "zero": (bytes(64), "all zero"),
    }


def odd_keys():
    """Keys that are refused before any signature."""
    off_curve = next(y.to_bytes(32, "little") for y in range(2, 99)
                     if s.to_point(y.to_bytes(32, "little")) is None)
    unreduced = next(
        (s.P + y).to_bytes(32, "little") for y in range(2, 19)
        if (point := s.to_point(y.to_bytes(32, "little"))) is not None and not s.is_small(point)
    )
    return {
        "key-identity": ((1).to_bytes(32, "little"), "the identity, under which anything verifies"),
        "key-order-2": ((s.P - 1).to_bytes(32, "little"), "a point of order 2"),
        "key-order-4": (bytes(32), "a point of order 4"),
        "key-off-curve": (off_curve, "no point of the curve"),
        "key-not-reduced": (unreduced, "a good point, its y not reduced"),
    }


def statements():
    good = s.make(AGENT, "example", {"say": "hello"})
    say = s.encode({"say": "hello"})
    yield example(good, "STMT-1/valid/minimal", "one member")
    yield example(s.make(OTHER, "example", {"say": "gr\u00fc\u00dfe"}), "STMT-1/valid/utf-8",
                  "a text that is not ASCII")
    yield example(b"", "STMT-1/invalid/empty", "no bytes", "E_CBOR")
    yield example(good[:-1], "STMT-1/invalid/cut", "the last byte is missing", "E_CBOR")
    yield example(s.encode(["example", KEY[AGENT], {"say": "hello"}]),
                  "STMT-1/invalid/three", "no signature", "E_SHAPE")
    yield example(s.encode(["example", KEY[AGENT], {"say": "hello"}, bytes(64), None]),
                  "STMT-1/invalid/five", "five elements", "E_SHAPE")
    yield example(s.encode({"say": "hello"}), "STMT-1/invalid/map", "not an array", "E_SHAPE")
    yield example(raw(say, seal=s.encode(bytes(63))), "STMT-1/invalid/short-signature",
                  "63 bytes of signature", "E_SHAPE")
    yield example(raw(say, signer=s.encode(KEY[AGENT][:31])), "STMT-1/invalid/short-signer",
                  "31 bytes of signer", "E_SHAPE")
    yield example(raw(s.encode(["hello"])), "STMT-1/invalid/payload-array",
                  "the payload is no map", "E_SHAPE")
    yield example(raw(say, signer=s.encode(s.to_did(KEY[AGENT]))), "STMT-1/invalid/signer-text",
                  "the signer is a text", "E_SHAPE")
    yield from domain_cases(good, say)
    yield from encoding_cases(good, say)
    yield from payload_cases()
    yield from signature_cases(good)


def domain_cases(good, say):
    other = s.make(AGENT, "keylog", {"say": "hello"})
    yield example(other, "STMT-2/invalid/other", "a good statement of another domain", "E_DOMAIN")
    yield example(raw(say, domain=b"\x67Example"), "STMT-2/invalid/upper-case",
                  "an upper-case letter in the domain", "E_SHAPE")
    yield example(raw(say, domain=b"\x60"), "STMT-2/invalid/empty", "an empty domain", "E_SHAPE")
    yield example(raw(say, domain=s.encode("e" * 24)), "STMT-2/invalid/long",
                  "a domain of 24 bytes", "E_SHAPE")
    yield example(raw(say, domain=b"\x47example"), "STMT-2/invalid/bytes",
                  "the domain is a byte string", "E_SHAPE")


def encoding_cases(good, say):
    yield example(good + b"\x00", "STMT-3/invalid/trailing", "a byte follows", "E_TRAILING")
    yield example(good + good, "STMT-3/invalid/twice", "a second statement follows", "E_TRAILING")
    yield example(raw(say, head=b"\x9f") + b"\xff", "STMT-3/invalid/indefinite-array",
                  "the array has no length", "E_CANONICAL")
    yield example(raw(say, head=b"\x98\x04"), "STMT-3/invalid/long-head",
                  "the array's length in two bytes", "E_CANONICAL")
    yield example(raw(say, domain=b"\x78\x07example"), "STMT-3/invalid/long-text-head",
                  "the domain's length in two bytes", "E_CANONICAL")
    yield example(raw(b"\xbf\x63say\x65hello\xff"), "STMT-3/invalid/indefinite-map",
                  "the payload has no length", "E_CANONICAL")
    yield example(raw(b"\xa2\x63say\x65hello\x61a\x00"), "STMT-3/invalid/unsorted",
                  "a longer key before a shorter one", "E_CANONICAL")
    yield example(raw(b"\xa2\x63say\x65hello\x63say\x65hello"), "STMT-3/invalid/duplicate",
                  "the same key twice", "E_CANONICAL")
    yield example(raw(b"\xa1\x63say\xf9\x3c\x00"), "STMT-3/invalid/half-float",
                  "a float of 16 bits", "E_CANONICAL")
    yield example(raw(b"\xa1\x63say\xfb\x80" + bytes(7)), "STMT-3/invalid/minus-zero",
                  "minus zero", "E_CANONICAL")
    yield example(raw(b"\xa1\x63say\xfb\x7f\xf8" + bytes(6)), "STMT-3/invalid/nan",
                  "not a number", "E_CBOR")
    yield example(raw(b"\xa1\x63say\xf7"), "STMT-3/invalid/undefined", "undefined", "E_CBOR")
    yield example(raw(b"\xa1\x63say\xc1\x00"), "STMT-3/invalid/tag", "a tag other than 42", "E_CBOR")
    yield example(raw(b"\xa1\x63say\x62\xc3\x28"), "STMT-3/invalid/utf-8",
                  "a text that is not UTF-8", "E_CBOR")
    yield example(raw(b"\xa1\x43say\x65hello"), "STMT-3/invalid/bytes-key",
                  "a key that is no text", "E_CBOR")
    v0 = b"\x00\x12\x20" + bytes(32)
    yield example(raw(b"\xa1\x63say\xd8\x2a" + s.encode(v0)), "STMT-3/invalid/link-v0",
                  "a link to a CIDv0", "E_CBOR")
    long = b"\x00" + bytes(s.cid(b"")) + b"\x00"
    yield example(raw(b"\xa1\x63say\xd8\x2a" + s.encode(long)), "STMT-3/invalid/link-trailing",
                  "a byte follows the CID in a link", "E_CBOR")
    yield example(raw(b"\xa1\x63say\x9b" + b"\xff" * 8), "STMT-3/invalid/huge-array",
                  "an array said to have 2^64-1 elements", "E_CBOR")
    deep = b"\xa1\x63say" + b"\x81" * 63 + b"\x00"
    yield example(raw(deep), "STMT-5/invalid/deep", "one level too deep", "E_DEPTH")
    yield example(raw(b"\xa1\x63say" + b"\x81" * 62 + b"\x00"), "STMT-5/invalid/deep-enough",
                  "the deepest level that is read, where a text should be", "E_SHAPE")


def payload_cases():
    make = lambda payload: s.make(AGENT, "example", payload)
    yield example(make({"say": "hello", "x": 1}), "STMT-9/invalid/unknown-member",
                  "a member that the payload does not have", "E_SHAPE")
    yield example(make({}), "STMT-9/invalid/missing-member", "a member is missing", "E_SHAPE")
    yield example(make({"say": 1}), "STMT-9/invalid/type", "a number for a text", "E_SHAPE")
    yield example(make({"say": ""}), "STMT-9/invalid/invariant",
                  "well signed, but an empty text says nothing", "E_EXAMPLE")


def signature_cases(good):
    for name, (signature, comment) in odd_signatures().items():
        yield example(with_signature(KEY[AGENT], signature), f"STMT-7/invalid/{name}", comment,
                      "E_SIGNATURE")
    for name, (key, comment) in odd_keys().items():
        signature = s.sign(AGENT, b"")
        yield example(with_signature(key, signature), f"STMT-7/invalid/{name}", comment, "E_KEY")
    swapped = good.replace(KEY[AGENT], KEY[OTHER])
    yield example(swapped, "STMT-7/invalid/other-signer", "another signer's key", "E_SIGNATURE")
    changed = good.replace(b"hello", b"hellp")
    yield example(changed, "STMT-7/invalid/changed", "a changed payload", "E_SIGNATURE")
    body = s.encode({"say": "hello"})
    said = b"\x83" + s.encode("example") + s.encode(KEY[AGENT]) + body
    for name, message, comment in (
        ("no-context", said, "signed without the context"),
        ("other-context", b"allod/keylog/1\0" + said, "signed in the context of another domain"),
        ("version-2", b"allod/example/2\0" + said, "signed in the context of version 2"),
        ("payload-only", b"allod/example/1\0" + body, "only the payload is signed"),
    ):
        yield example(with_signature(KEY[AGENT], s.sign(AGENT, message)),
                      f"STMT-6/invalid/{name}", comment, "E_SIGNATURE")


def dids():
    def case(text, case_id, comment, error=None):
        return (case_id, comment, {"text": text}, error)

    did = s.to_did(KEY[AGENT])
    yield case(did, "IDENT-2/valid/key", "the key of the seed 01 01 ... 01")
    yield case(s.to_did(KEY[OTHER]), "IDENT-2/valid/other", "the key of the seed 05 05 ... 05")
    for name, text, comment in (
        ("empty", "", "an empty text"),
        ("bare", did[8:], "without did:key:"),
        ("method", did.replace("key", "web"), "another method"),
        ("fragment", did + "#" + did[8:], "a fragment follows"),
        ("base", "did:key:f" + "ed01" + KEY[AGENT].hex(), "another multibase"),
        ("letter", did[:-1] + "0", "a letter that base58 does not have"),
        ("codec", "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme", "a secp256k1 key"),
        ("leading", did.replace("did:key:z", "did:key:z1"), "a leading zero byte"),
        ("upper", did.replace("did", "DID"), "an upper-case scheme"),
    ):
        yield case(text, f"IDENT-2/invalid/{name}", comment, "E_DID")
    for name, (key, comment) in odd_keys().items():
        yield case(s.to_did(key), f"IDENT-1/invalid/{name}", comment, "E_KEY")
    yield case(s.to_did(KEY[AGENT][:31]), "IDENT-1/invalid/short", "a key of 31 bytes", "E_KEY")


def inception(seed=AGENT, **changes):
    payload = {"agent": KEY[AGENT], "seq": 0, "prev": None,
               "event": {"inception": {"next": AFTER[0]}}}
    return s.make(seed, "keylog", payload | changes)


def added(prev, seq=1, seed=AGENT, agent=AGENT, device=LAPTOP, name="laptop", at=1800000000000):
    event = {"add-device": {"device": KEY[device], "name": name, "at": at}}
    payload = {"agent": KEY[agent], "seq": seq, "prev": s.cid(prev), "event": event}
    return s.make(seed, "keylog", payload)


def event_of(before, event, **changes):
    payload = {"agent": KEY[AGENT], "seq": 1, "prev": s.cid(before), "event": event}
    return s.make(AGENT, "keylog", payload | changes)


def events():
    def case(data, case_id, comment, error=None):
        return (case_id, comment, {"domain": "keylog", "bytes": data.hex()}, error)

    first = inception()
    device = {"device": KEY[LAPTOP], "name": "laptop", "at": 1}
    yield case(first, "IDENT-5/valid/inception", "the first event")
    yield case(added(first), "IDENT-4/valid/add-device", "a device")
    yield case(added(first, name="\u6d77\u8fb9 2"), "IDENT-7/valid/script", "a name in any script")
    yield case(added(first, name="n" * 64), "IDENT-7/valid/longest", "a name of 64 bytes")
    yield case(added(first, at=s.TIME_MS_MAX), "IDENT-8/valid/latest", "the latest time")
    removal = {"device": KEY[LAPTOP], "at": 1}
    yield case(event_of(first, {"remove-device": removal}), "IDENT-4/valid/remove-device", "a device that goes")
    rotation = {"next": AFTER[1], "at": 1}
    yield case(event_of(first, {"rotate": rotation}), "IDENT-4/valid/rotate", "another key")
    some = {"keys": sorted(KEY[seed] for seed in GUARDIANS), "needed": 2, "wait": 7}
    none = {"keys": [], "needed": 0, "wait": 0}
    for name, guardians, comment in (("some", some, "guardians"), ("none", none, "no guardians any more")):
        yield case(event_of(first, {"rotate": rotation | {"guardians": guardians}}), f"IDENT-40/valid/{name}", comment)
    for name, change, comment in (
        ("order", {"keys": some["keys"][::-1]}, "keys that descend"),
        ("twice", {"keys": some["keys"][:1] * 2}, "a key twice"),
        ("too-many", {"needed": 4}, "more needed than there are"),
        ("zero", {"needed": 0}, "nobody needed"),
        ("empty", {"keys": []}, "nobody who could"),
        ("wait", {"wait": 1 << 48}, "a wait of 49 bits"),
    ):
        guardians = {"rotate": rotation | {"guardians": some | change}}
        yield case(event_of(first, guardians), f"IDENT-40/invalid/{name}", comment, "E_GUARDIANS")
    yield case(event_of(first, {"recover": rotation | {"confirmed": [b"x"] * 17}}), "IDENT-40/invalid/carried",
               "17 statements", "E_GUARDIANS")
    yield case(event_of(first, {"recover": rotation}), "IDENT-4/invalid/recover", "nothing confirmed", "E_SHAPE")
    yield case(event_of(first, {"rotate": rotation | {"released": "x"}}), "IDENT-4/invalid/released",
               "a text for statements", "E_SHAPE")
    yield case(event_of(first, {"rotate": rotation | {"guardians": None}}), "IDENT-4/invalid/null",
               "guardians that are null", "E_SHAPE")
    yield case(event_of(first, {"rotate": rotation | {"guardians": some, "released": []}}), "IDENT-4/invalid/empty-released",
               "a list that could be absent", "E_SHAPE")
    yield case(event_of(first, {"rotate": rotation | {"released": [b"x"]}}), "IDENT-40/invalid/for-nobody",
               "guardians let go for nobody", "E_GUARDIANS")
    yield case(event_of(first, {"recover": rotation | {"confirmed": [b"x" * 1025]}}), "IDENT-40/invalid/long",
               "a statement that is longer than any", "E_GUARDIANS")
    yield case(inception(event={"inception": {"next": AFTER[0], "guardians": some}}), "IDENT-40/valid/inception",
               "guardians from the beginning")
    yield case(event_of(first, {"become": {}}), "IDENT-6/invalid/kind",
               "a kind of another version", "E_KIND")
    yield case(event_of(first, {"add-device": device, "inception": {"next": bytes(32)}}),
               "IDENT-6/invalid/two", "two kinds at once", "E_SHAPE")
    yield case(event_of(first, {}), "IDENT-6/invalid/none", "no kind", "E_SHAPE")
    yield case(event_of(first, "add-device"), "IDENT-6/invalid/text", "the kind alone", "E_SHAPE")
    yield case(event_of(first, {"add-device": device | {"x": 1}}), "IDENT-4/invalid/unknown-member",
               "an unknown member", "E_SHAPE")
    yield case(event_of(first, {"add-device": {"device": KEY[LAPTOP], "name": "laptop"}}),
               "IDENT-4/invalid/missing-member", "no time", "E_SHAPE")
    yield case(event_of(first, {"add-device": device | {"device": bytes(32)}}),
               "IDENT-4/invalid/device-small-order", "a device key of small order", "E_SHAPE")
    yield case(event_of(first, {"add-device": device}, seq=-1), "IDENT-4/invalid/negative",
               "a negative position", "E_SHAPE")
    yield case(event_of(first, {"add-device": device}, extra=0), "IDENT-4/invalid/extra",
               "an unknown member beside the event", "E_SHAPE")
    yield case(inception(event={"inception": {"next": bytes(31)}}), "IDENT-5/invalid/short",
               "a hash of 31 bytes", "E_SHAPE")
    yield case(inception(seq=1), "IDENT-5/invalid/late", "an inception at position 1",
               "E_KEYLOG_FIRST")
    yield case(inception(prev=s.cid(first)), "IDENT-5/invalid/prev",
               "an inception with a predecessor", "E_KEYLOG_FIRST")
    yield case(inception(event={"add-device": device}), "IDENT-5/invalid/kind",
               "a log that begins with a device", "E_KEYLOG_FIRST")
    yield case(event_of(first, {"add-device": device}, prev=None), "IDENT-5/invalid/no-prev",
               "a later event without a predecessor", "E_KEYLOG_FIRST")
    for name, text, comment in (
        ("empty", "", "an empty name"),
        ("long", "n" * 65, "a name of 65 bytes"),
        ("blank", " laptop", "a blank before the name"),
        ("line", "lap\ntop", "a line break in the name"),
        ("bidi", "lap\u202etop", "a mark that turns the direction of text"),
    ):
        yield case(added(first, name=text), f"IDENT-7/invalid/{name}", comment, "E_DEVICE_NAME")
    yield case(added(first, at=1 << 48), "IDENT-8/invalid/time", "a time of 49 bits", "E_TIME")


def guardian_says():
    def case(data, case_id, comment, error=None):
        return (case_id, comment, {"domain": "guardian", "bytes": data.hex()}, error)

    by = GUARDIANS[0]
    prev = s.cid(inception())
    approve = {"key": KEY[OTHER], "next": AFTER[1], "prev": prev}
    some = {"keys": sorted(KEY[seed] for seed in GUARDIANS), "needed": 2, "wait": 7}

    def said(says, **changes):
        return s.make(by, "guardian", {"agent": KEY[AGENT], "at": 1000, "says": says} | changes)

    good = said({"approve": approve})
    yield case(good, "IDENT-42/valid/approve", "that waiting begins")
    yield case(said({"confirm": approve | {"since": 1000}}), "IDENT-43/valid/confirm", "that it is over")
    yield case(said({"release": {"named": prev, "guardians": some}}), "IDENT-41/valid/release", "that others take their place")
    none = {"keys": [], "needed": 0, "wait": 0}
    yield case(said({"release": {"named": prev, "guardians": none}}), "IDENT-41/valid/release-none", "that nobody does")
    yield case(said({"confirm": approve | {"since": 1001}}), "IDENT-43/invalid/since", "before it was approved", "E_TIME")
    yield case(said({"approve": approve}, at=1 << 48), "IDENT-42/invalid/time", "a time of 49 bits", "E_TIME")
    yield case(said({"release": {"named": prev, "guardians": some | {"needed": 4}}}), "IDENT-41/invalid/needed",
               "more needed than there are", "E_GUARDIANS")
    for name, says, comment in (
        ("none", {}, "nothing"),
        ("two", {"approve": approve, "release": {"named": prev, "guardians": none}}, "two things at once"),
        ("other", {"refuse": approve}, "something else"),
        ("since", {"approve": approve | {"since": 1}}, "a member of another kind"),
        ("no-since", {"confirm": approve}, "a member is missing"),
        ("prev", {"approve": approve | {"prev": None}}, "no event"),
        ("next", {"approve": approve | {"next": bytes(31)}}, "a commitment of 31 bytes"),
        ("key", {"approve": approve | {"key": bytes(32)}}, "a key of small order"),
        ("named", {"release": {"named": KEY[OTHER], "guardians": none}}, "a key for a link"),
        ("guardians", {"release": {"named": prev, "guardians": []}}, "a list for guardians"),
    ):
        yield case(said(says), f"IDENT-42/invalid/{name}", comment, "E_SHAPE")
    yield case(said({"approve": approve}, x=1), "IDENT-42/invalid/unknown", "an unknown member", "E_SHAPE")
    yield case(s.make(by, "keylog", {"agent": KEY[AGENT], "at": 1, "says": {"approve": approve}}), "IDENT-42/invalid/domain",
               "of another domain", "E_DOMAIN")
    yield case(good.replace(KEY[by], KEY[GUARDIANS[1]], 1), "IDENT-42/invalid/signer", "another guardian", "E_SIGNATURE")
    yield case(good[:-1], "IDENT-42/invalid/cut", "the last byte is missing", "E_CBOR")
    yield case(good + b"\x00", "IDENT-42/invalid/trailing", "a byte follows", "E_TRAILING")


def objections():
    """What is said against a recovery."""
    def case(payload, case_id, comment, error=None):
        return (case_id, comment, {"domain": "objection", "bytes": s.make(LAPTOP, "objection", payload).hex()}, error)

    objection = {"agent": KEY[AGENT], "at": 1000, "key": KEY[OTHER]}
    yield case(objection, "IDENT-46/valid/objection", "said by a device")
    for name, change, comment, error in (
        ("time", {"at": 1 << 48}, "a time of 49 bits", "E_TIME"),
        ("key", {"key": bytes(32)}, "a key of small order", "E_SHAPE"),
        ("member", {"prev": s.cid(b"event")}, "a member that it does not have", "E_SHAPE"),
    ):
        yield case(objection | change, f"IDENT-46/invalid/{name}", comment, error)
    other = s.make(LAPTOP, "guardian", objection)
    yield ("IDENT-46/invalid/domain", "in the domain of guardians", {"domain": "objection", "bytes": other.hex()}, "E_DOMAIN")


def keylogs():
    def case(statements, case_id, comment, error=None):
        given = {"agent": s.to_did(KEY[AGENT]), "events": [data.hex() for data in statements]}
        return (case_id, comment, given, error)

    first = inception()
    laptop = added(first)
    phone = added(laptop, seq=2, device=PHONE, name="phone")
    log = [first, laptop, phone]
    yield case([], "IDENT-9/valid/empty", "an agent that is only its key")
    yield case(log, "IDENT-9/valid/two-devices", "two devices")
    yield case([first, laptop, laptop, first, phone], "IDENT-11/valid/again",
               "events that arrive twice")
    stranger = s.make(OTHER, "keylog", {
        "agent": KEY[OTHER], "seq": 0, "prev": None,
        "event": {"inception": {"next": bytes(32)}}})
    yield case([stranger], "IDENT-9/invalid/agent", "another agent's event", "E_KEYLOG_AGENT")
    yield case([inception(seed=OTHER)], "IDENT-10/invalid/signer",
               "an inception signed by another key", "E_KEYLOG_SIGNER")
    yield case([first, added(first, seed=LAPTOP)], "IDENT-10/invalid/device",
               "a device that adds itself", "E_KEYLOG_SIGNER")
    yield case([laptop], "IDENT-11/invalid/gap", "the inception is missing", "E_KEYLOG_GAP")
    yield case([first, phone], "IDENT-11/invalid/gap-inside", "an event is missing",
               "E_KEYLOG_GAP")
    yield case([first, added(laptop)], "IDENT-11/invalid/prev", "another predecessor",
               "E_KEYLOG_PREV")
    yield case([first, laptop, added(first, seq=2, device=PHONE)], "IDENT-11/invalid/prev-older",
               "an older event as predecessor", "E_KEYLOG_PREV")
    yield case([first, laptop, added(laptop, seq=2)], "IDENT-12/valid/duplicate", "the same device again")
    yield from rotations(case, first, laptop)
    yield from recoveries(case, first)
    yield case([first, laptop, added(first, name="mine")], "IDENT-13/invalid/fork",
               "two events for position 1", "E_EQUIVOCATION")
    other = inception(event={"inception": {"next": bytes(32)}})
    yield case([first, laptop, other], "IDENT-13/invalid/fork-at-0", "two inceptions",
               "E_EQUIVOCATION")
    tampered = laptop.replace(b"laptop", b"laptoq")
    yield case([first, tampered], "IDENT-9/invalid/signature", "a changed event", "E_SIGNATURE")


def follow(before, kind, body, seed=AGENT):
    seq = s.decode(before)[2]["seq"] + 1
    payload = {"agent": KEY[AGENT], "seq": seq, "prev": s.cid(before), "event": {kind: body}}
    return s.make(seed, "keylog", payload)


def rotated(before, number, **more):
    return follow(before, "rotate", {"next": AFTER[number], "at": 9} | more, SEEDS[number])


def rotations(case, first, laptop):
    removed = follow(laptop, "remove-device", {"device": KEY[LAPTOP], "at": 5})
    yield case([first, laptop, removed], "IDENT-12/valid/removed", "a device that was removed")
    back = added(removed, seq=3)
    yield case([first, laptop, removed, back], "IDENT-12/valid/for-ever", "one that is added again")
    phone = added(first, device=PHONE, name="phone")
    second, third = rotated(laptop, 1), rotated(rotated(laptop, 1), 2)
    yield case([first, laptop, second, third], "IDENT-30/valid/twice", "a key that is changed twice")
    yield case([first, laptop, phone, second], "IDENT-34/valid/chosen",
               "a key that says which of two events counts")
    yield case([first, laptop, second, phone], "IDENT-34/valid/superseded", "what the old key said beside it")
    early = rotated(first, 1)
    yield case([first, laptop, second, early], "IDENT-34/invalid/twice", "one key that is made the agent's twice",
               "E_EQUIVOCATION")
    yield case([first, laptop, second, early, third], "IDENT-34/valid/newest", "and the next key, which says where")
    yield case([first, follow(first, "rotate", {"next": AFTER[2], "at": 9}, SEEDS[1])], "IDENT-30/invalid/other-next",
               "a key that commits to others", "E_KEYLOG_SIGNER")
    yield case([first, rotated(first, 2)], "IDENT-30/invalid/skipped", "a later key", "E_KEYLOG_SIGNER")
    yield case([first, second], "IDENT-11/invalid/rotate-gap", "an event before it is missing", "E_KEYLOG_GAP")
    yield case([first, early, follow(early, "remove-device", {"device": KEY[LAPTOP], "at": 5})],
               "IDENT-10/invalid/old-key", "an event by the key before", "E_KEYLOG_SIGNER")


def recoveries(case, first):
    some = {"keys": sorted(KEY[seed] for seed in GUARDIANS), "needed": 2, "wait": 100}
    named = rotated(first, 1, guardians=some)

    def said(by, kind, body, at=1000):
        return s.make(by, "guardian", {"agent": KEY[AGENT], "at": at, "says": {kind: body}})

    def confirmed(before, by, key=OTHER, since=900, after=bytes(32)):
        body = {"key": KEY[key], "next": after, "prev": s.cid(before), "since": since}
        return [said(guardian, "confirm", body) for guardian in by]

    def recovered(before, by, **how):
        body = {"next": bytes(32), "at": 2000, "confirmed": confirmed(before, by, **how)}
        return follow(before, "recover", body, OTHER)

    two = GUARDIANS[:2]
    done = recovered(named, two)
    yield case([first, named, done], "IDENT-43/valid/recovered", "two of three guardians")
    bad = "E_GUARDIANS"
    yield case([first, named, recovered(named, two[:1])], "IDENT-43/invalid/one", "one of them", bad)
    yield case([first, named, recovered(named, two[:1] * 2)], "IDENT-43/invalid/twice", "one twice", bad)
    yield case([first, named, recovered(named, [two[0], PHONE])], "IDENT-43/invalid/stranger", "a stranger", bad)
    yield case([first, named, recovered(named, two, since=901)], "IDENT-43/invalid/early", "too early", bad)
    yield case([first, named, recovered(named, two, key=PHONE)], "IDENT-43/invalid/key", "of another key", bad)
    yield case([first, recovered(first, two)], "IDENT-43/invalid/none", "no guardians", bad)
    later = rotated(named, 2)
    yield case([first, named, later, done], "IDENT-35/valid/over", "a recovery is over what the old keys say")
    yield case([first, named, done, later], "IDENT-35/valid/late", "also over what they say later")
    others = {"keys": [KEY[PHONE]], "needed": 1, "wait": 0}

    def released(by, guardians=others):
        body = {"named": s.cid(named), "guardians": guardians}
        return [said(guardian, "release", body) for guardian in by]

    replaced = rotated(named, 2, guardians=others, released=released(two))
    yield case([first, named, replaced], "IDENT-41/valid/released", "guardians that let another take their place")
    yield case([first, named, replaced, done], "IDENT-36/valid/void", "who then have no say any more")
    yield case([first, named, done, replaced], "IDENT-36/valid/void-late", "in whichever order it is heard")
    alone = rotated(named, 2, guardians=others)
    yield case([first, named, alone], "IDENT-41/invalid/alone", "a key that replaces them alone", bad)
    wrong = rotated(named, 2, guardians=others, released=released(two, some))
    yield case([first, named, wrong], "IDENT-41/invalid/others", "they let others", bad)
    # A thief of a key that was the agent's once names guardians of the thief's own, beside the log.
    mine = {"keys": [KEY[PHONE]], "needed": 1, "wait": 0}
    forged = follow(first, "rotate", {"next": AFTER[1], "at": 9, "guardians": mine}, SEEDS[1])
    body = {"key": KEY[OTHER], "next": bytes(32), "prev": s.cid(forged), "since": 0}
    taken = follow(forged, "recover", {"next": bytes(32), "at": 9, "confirmed": [said(PHONE, "confirm", body)]}, OTHER)
    yield case([first, named, later, forged, taken], "IDENT-36/valid/thief", "guardians whom a thief of an old key named")
    yield case([first, forged, taken, named, later], "IDENT-36/valid/thief-first", "in whichever order it is heard")
    yield case([first, named, forged, taken], "IDENT-36/invalid/frozen", "and of the present key: nobody's count",
               "E_EQUIVOCATION")
    guarded = inception(event={"inception": {"next": AFTER[0], "guardians": some}})
    all_keys = follow(guarded, "rotate", {"next": AFTER[1], "at": 9, "guardians": mine}, SEEDS[1])
    yield case([guarded, all_keys], "IDENT-44/invalid/all-keys", "a thief of all keys cannot replace them", bad)
    moved = rotated(rotated(guarded, 1), 2)
    back = follow(guarded, "recover", {"next": bytes(32), "at": 2000, "confirmed": confirmed(guarded, two)}, OTHER)
    yield case([guarded, rotated(guarded, 1), moved, back], "IDENT-44/valid/back", "who then lose all that they did")
    # Guardians who recovered the agent, and let others take their place later, cannot do it once more.
    tail = s.chain(LAPTOP)
    body = {"key": KEY[OTHER], "next": tail[1][0], "prev": s.cid(named), "since": 900}
    kept = follow(named, "recover", {"next": tail[1][0], "at": 2000,
                                     "confirmed": [said(guardian, "confirm", body) for guardian in two]}, OTHER)
    let = follow(kept, "rotate", {"next": tail[1][1], "at": 9, "guardians": others, "released": released(two)}, tail[0][1])
    yield case([first, named, kept, let], "IDENT-36/valid/after-recovery", "guardians who let go after a recovery")
    yield case([first, named, kept, let, done], "IDENT-36/valid/not-again", "and recover it from before")
    second = follow(named, "recover", {"next": bytes(32), "at": 2000, "confirmed": confirmed(named, two, key=PHONE)}, PHONE)
    yield case([first, named, done, second], "IDENT-13/invalid/guardians", "two recoveries at one place",
               "E_EQUIVOCATION")


def keystores():
    def case(data, case_id, comment, error=None, secret=b"secret"):
        return (case_id, comment, {"bytes": data.hex(), "secret": secret.hex()}, error)

    cheap = {"alg": "argon2id", "m": 8, "t": 1, "p": 1, "salt": bytes([9] * 16)}
    dearer = cheap | {"m": 67, "t": 3, "p": 2}
    nonce = bytes([7] * 24)
    all_keys = {"agent": AGENT, "next": NEXT, "device": LAPTOP}
    full = s.make_keystore(b"secret", cheap, nonce, all_keys)
    alone = s.make_keystore(b"secret", cheap, nonce, {"agent": None, "next": None, "device": LAPTOP})
    yield case(full, "IDENT-20/valid/all", "three keys under the least cost")
    yield case(alone, "IDENT-20/valid/device", "a device's key alone")
    yield case(s.make_keystore(b"secret", dearer, nonce, all_keys), "IDENT-20/valid/cost",
               "67 KiB, three passes, two lanes")
    yield case(s.make_keystore(b"", cheap, nonce, all_keys), "IDENT-20/valid/empty-secret",
               "an empty secret", secret=b"")
    file = s.decode(full)

    def changed(**members):
        return s.encode(file | members)

    def cost(**members):
        return changed(kdf=cheap | members)

    def flipped(data):
        return data[:-1] + bytes([data[-1] ^ 1])

    wrong = "E_KEYSTORE_SECRET"
    yield case(full, "IDENT-24/invalid/secret", "another secret", wrong, secret=b"Secret")
    for name, data, comment in (
        ("sealed", changed(ct=flipped(file["ct"])), "a flipped bit in the tag"),
        ("body", changed(ct=b"\0" + file["ct"][1:]), "another first byte in the sealed part"),
        ("salt", cost(salt=flipped(cheap["salt"])), "a flipped bit in the salt"),
        ("nonce", changed(nonce=flipped(nonce)), "a flipped bit in the nonce"),
        ("cost", cost(t=2), "another cost than the sealed one"),
        ("empty", changed(ct=b""), "nothing is sealed"),
    ):
        yield case(data, f"IDENT-24/invalid/{name}", comment, wrong)
    bare = s.encode({"v": 1, "kdf": cheap, "nonce": nonce})
    sealed = s.keystore.seal(b"secret", cheap, nonce, bare, s.encode(all_keys))
    yield case(changed(ct=sealed), "IDENT-24/invalid/no-context",
               "the header is authenticated without its context", wrong)
    for name, data, comment in (
        ("memory", cost(m=2**32 - 1), "4 TiB of memory"),
        ("memory-over", cost(m=262145), "one KiB over the limit"),
        ("memory-least", cost(m=7), "less memory than argon2 takes"),
        ("memory-lanes", cost(m=31, p=4), "less memory than four lanes take"),
        ("passes", cost(t=17), "17 passes"),
        ("no-passes", cost(t=0), "no pass"),
        ("lanes", cost(m=64, p=5), "five lanes"),
        ("no-lanes", cost(p=0), "no lane"),
        ("algorithm", cost(alg="argon2i"), "another algorithm"),
    ):
        yield case(data, f"IDENT-23/invalid/{name}", comment, "E_KEYSTORE_PARAMS")
    yield case(changed(v=2), "IDENT-21/invalid/version", "version 2", "E_KEYSTORE_VERSION")
    yield case(changed(v=2, x=1), "IDENT-21/invalid/version-2", "version 2 with another member",
               "E_KEYSTORE_VERSION")
    yield case(full + b"\0", "IDENT-21/invalid/trailing", "a byte follows", "E_TRAILING")
    yield case(full[:-1], "IDENT-21/invalid/cut", "the last byte is missing", "E_CBOR")
    yield case(changed(x=1), "IDENT-21/invalid/unknown-member", "an unknown member", "E_SHAPE")
    without = {name: value for name, value in file.items() if name != "nonce"}
    yield case(s.encode(without), "IDENT-21/invalid/missing-member", "no nonce", "E_SHAPE")
    yield case(changed(nonce=bytes(12)), "IDENT-21/invalid/short-nonce", "a nonce of 12 bytes",
               "E_SHAPE")
    yield case(cost(salt=bytes(8)), "IDENT-21/invalid/short-salt", "a salt of 8 bytes", "E_SHAPE")
    yield case(bytes(4097), "IDENT-22/invalid/large", "4097 bytes", "E_SIZE")
    short = s.make_keystore(b"secret", cheap, nonce, all_keys | {"device": bytes(31)})
    yield case(short, "IDENT-21/invalid/short-seed", "well sealed, but a seed of 31 bytes", "E_SHAPE")
