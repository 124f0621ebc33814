"""The cases of the PAIR vectors, and of the kits and requests of IDENT: each accept in full, each reject with one fault."""

import pairing as p
import statement as s

HOST, GUEST, MIDDLE, AGENT, KEY = (bytes([n]) * 32 for n in range(1, 6))
PUBLIC = {seed: s.public(seed) for seed in (HOST, GUEST, MIDDLE, AGENT, KEY)}
SECRET = bytes(range(9))
V4, V6 = bytes([192, 0, 2, 7]), bytes.fromhex("20010db8000000000000000000000007")
LINK = s.cid(b"event")


def files(spec):
    if spec == "IDENT":
        return [("identity/kit.json", list(kits())), ("identity/request.json", list(requests()))]
    return [
        ("pairing/code.json", list(codes())), ("pairing/message.json", list(messages())),
        ("pairing/course.json", list(courses())), ("pairing/own.json", list(owns())),
    ]  # fmt: skip


def text(value, case_id, comment, error=None):
    return (case_id, comment, {"text": value}, error)


def codes():
    code = p.short(0, V4, 7700, SECRET)
    yield text(code, "PAIR-1/valid/ipv4", "an address of 4 bytes")
    yield text(p.short(0, bytes([127, 0, 0, 1]), 7700, bytes(9)), "PAIR-1/valid/zeros", "a secret of zeros")
    yield text(p.short(1, V6, 7700, SECRET), "PAIR-1/valid/ipv6", "an address of 16 bytes")
    typed = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    yield text(f"  {typed}\n", "PAIR-1/valid/typed", "small letters, blanks, and letters that look like digits")
    flat = code.replace("-", "")
    filled = p.short(1, V6, 7700, SECRET).replace("-", "")
    last = p.ALPHABET[p.ALPHABET.index(filled[44]) + 1]
    for name, value, comment in (
        ("empty", "", "nothing"),
        ("cut", flat[:-1], "a character is missing"),
        ("more", flat + "0", "a character too many"),
        ("letter", "U" + flat[1:], "a letter that the alphabet does not have"),
        ("check", flat[:-1] + ("0" if flat[-1] != "0" else "1"), "a wrong character of the check"),
        ("typo", flat[:5] + ("0" if flat[5] != "0" else "1") + flat[6:], "a wrong character before it"),
        ("swap", flat[:9] + flat[10] + flat[9] + flat[11:], "two characters change places"),
        ("form", "2" + flat[1:], "an unknown form"),
        ("filling", filled[:44] + last + filled[45:], "bits of the filling that are not zero"),
        ("ascii", flat[:-1] + "\u00c5", "a character beyond ASCII"),
        ("long", "0" * 2000, "more characters than any code"),
    ):
        yield text(value, f"PAIR-1/invalid/{name}", comment, "E_PAIR_CODE")
    yield from long_codes()


def long_codes():
    content = {"addrs": ["192.0.2.7:7700", "127.0.0.1:7700"], "device": PUBLIC[HOST], "secret": SECRET}
    code = p.long(content)
    yield text(code, "PAIR-2/valid/scanned", "capital letters")
    yield text(code.lower(), "PAIR-2/valid/small", "small letters")
    damaged = code[:-1] + ("A" if code[-1] != "A" else "B")
    changed = code[:30] + ("A" if code[30] != "A" else "B") + code[31:]
    for name, value, comment in (
        ("prefix", code.replace("PAIR", "TICKET"), "another prefix"),
        ("end", damaged, "the last character is another"),
        ("changed", changed, "a character in the middle is another"),
        ("cut", code[:-3], "the end is missing"),
        ("base", "allod-pair:z" + code[12:], "another multibase"),
        ("many", p.long(content | {"addrs": ["192.0.2.7:7700"] * 9}), "nine addresses"),
        ("address", p.long(content | {"addrs": ["1" * 65]}), "an address that is longer than any"),
        ("secret", p.long(content | {"secret": bytes(8)}), "a secret of 8 bytes"),
        ("device", p.long(content | {"device": bytes(32)}), "a key of small order"),
        ("member", p.long(content | {"x": 1}), "a member that it does not have"),
        ("size", "allod-pair:b" + "a" * 1100, "more than 1024 characters"),
    ):
        yield text(value, f"PAIR-2/invalid/{name}", comment, "E_PAIR_CODE")


def messages():
    def case(value, case_id, comment, error=None):
        data = value if isinstance(value, bytes) else s.encode(value)
        return (f"PAIR-6/{case_id}", comment, {"bytes": data.hex()}, error)

    good = {
        "hello": [1, bytes(32), "phone"], "nonce": [2, bytes(32)], "reveal": [3, bytes(32), bytes(range(32))],
        "proof": [4, bytes(32)], "welcome": [5, PUBLIC[AGENT], [b"event"], [["notes", LINK]]], "done": [6],
        "refuse": [7, "E_PAIR_DIGITS", "no"],
    }  # fmt: skip
    for name, value in good.items():
        yield case(value, f"valid/{name}", f"a {name}")
    for name, value, comment in (
        ("empty", b"", "no bytes"),
        ("map", {"a": 1}, "no array"),
        ("number", [8], "a number that no message has"),
        ("zero", [0], "the number 0"),
        ("no-number", [], "no number"),
        ("trailing", s.encode([6]) + b"\x00", "a byte follows"),
        ("long-head", b"\x81\x18\x06", "a number in two bytes"),
        ("more", [6, 1], "an item too many"),
        ("fewer", [3, bytes(32)], "an item is missing"),
        ("short", [2, bytes(31)], "a nonce of 31 bytes"),
        ("type", [2, "0" * 32], "a text for a nonce"),
        ("name", [1, bytes(32), ""], "an empty name"),
        ("name-bidi", [1, bytes(32), "a\u202eb"], "a name with a mark that turns text"),
        ("name-long", [1, bytes(32), "n" * 65], "a name of 65 bytes"),
        ("agent", [5, bytes(32), [], []], "an agent that is no key"),
        ("events", [5, PUBLIC[AGENT], ["event"], []], "a text for an event"),
        ("space", [5, PUBLIC[AGENT], [], [["notes"]]], "a space without a link"),
        ("spaces", [5, PUBLIC[AGENT], [], [["n", LINK]] * 4097], "4097 spaces"),
        ("space-name", [5, PUBLIC[AGENT], [], [["n" * 257, LINK]]], "a name of 257 bytes"),
        ("reason", [7, "E_PAIR_DIGITS", "r" * 257], "a reason of 257 bytes"),
        ("size", [7, "r" * 600, "r" * 600], "a refusal of more than 1024 bytes"),
    ):
        yield case(value, f"invalid/{name}", comment, "E_PAIR_FRAME")


def courses():
    def case(case_id, comment, error=None, sent=None, **other):
        given = {
            "host": HOST.hex(), "guest": GUEST.hex(), "host_nonce": bytes(range(32)).hex(),
            "guest_nonce": bytes(range(32, 64)).hex(), "name": "phone", "secret": SECRET.hex(), "sent": sent or {},
        }  # fmt: skip
        return (case_id, comment, given | other, error)

    def others(**other):
        parts = {"host": HOST, "guest": GUEST, "host_nonce": bytes(range(32)), "guest_nonce": bytes(range(32, 64)),
                 "name": "phone", "secret": SECRET} | other  # fmt: skip
        return p.course(s.public(parts["host"]), s.public(parts["guest"]), parts["host_nonce"], parts["guest_nonce"],
                        parts["name"], parts["secret"])  # fmt: skip

    yield case("PAIR-5/valid/both", "both have the code")
    yield case("PAIR-4/valid/middle", "another guest, and so other digits", guest=MIDDLE.hex())
    for name, sent, comment in (
        ("secret", {"guest": others(secret=bytes(9))["guest"]}, "a proof of another secret"),
        ("keys", {"guest": others(guest=MIDDLE)["guest"]}, "a proof between other devices, passed on"),
        ("host-proof", {"guest": others()["host"]}, "the proof of the host for that of the guest"),
    ):
        yield case(f"PAIR-4/invalid/{name}", comment, "E_PAIR_PROOF", sent)
    for name, sent, comment in (
        ("nonce", {"commit": others(guest_nonce=bytes(32))["commit"]}, "a commit to another nonce"),
        ("name", {"commit": others(name="tablet")["commit"]}, "a commit to another name"),
        ("commit-keys", {"commit": others(host=MIDDLE)["commit"]}, "a commit that was meant for another host"),
    ):
        yield case(f"PAIR-5/invalid/{name}", comment, "E_PAIR_PROOF", sent)


def owns():
    def case(value, case_id, comment, error=None):
        data = value if isinstance(value, bytes) else s.encode(value)
        return (case_id, comment, {"bytes": data.hex()}, error)

    peer = [PUBLIC[HOST], ["192.0.2.7:7700", "[2001:db8::7]:7700"]]
    yield case([1, []], "PAIR-13/valid/no-log", "no event")
    yield case([1, [b"event", b""]], "PAIR-13/valid/log", "two events, whatever they are")
    yield case([2, []], "PAIR-15/valid/none", "no space")
    yield case([2, [["notes", LINK, [peer]], ["n" * 256, LINK, []]]], "PAIR-15/valid/spaces", "a space with a peer, and one without")
    yield case([2, [["n", LINK, [[PUBLIC[HOST], ["a" * 64] * 4]] * 4]]], "PAIR-15/valid/peers", "four peers of four addresses")
    for name, value, comment in (
        ("empty", b"", "no bytes"),
        ("map", {"a": 1}, "no array"),
        ("zero", [0, []], "the number 0"),
        ("number", [3, []], "a number that no message has"),
        ("trailing", s.encode([1, []]) + b"\x00", "a byte follows"),
        ("long-head", b"\x82\x18\x01\x80", "a number in two bytes"),
        ("fewer", [1], "an item is missing"),
        ("more", [2, [], []], "an item too many"),
        ("event", [1, ["event"]], "a text for an event"),
    ):
        yield case(value, f"PAIR-13/invalid/{name}", comment, "E_PAIR_FRAME")
    for name, value, comment in (
        ("link", [2, [["notes", b"link", []]]], "bytes for a link"),
        ("item", [2, [["notes", LINK]]], "a space without its peers"),
        ("no-name", [2, [["", LINK, []]]], "an empty name"),
        ("name", [2, [["n" * 257, LINK, []]]], "a name of 257 bytes"),
        ("peers", [2, [["notes", LINK, [peer] * 5]]], "five peers"),
        ("device", [2, [["notes", LINK, [[bytes(32), []]]]]], "a peer that is no key"),
        ("addresses", [2, [["notes", LINK, [[PUBLIC[HOST], ["a"] * 5]]]]], "five addresses"),
        ("address", [2, [["notes", LINK, [[PUBLIC[HOST], ["a" * 65]]]]]], "an address of 65 bytes"),
        ("spaces", [2, [["n", LINK, []]] * 1025], "1025 spaces"),
    ):
        yield case(value, f"PAIR-15/invalid/{name}", comment, "E_PAIR_FRAME")


def kits():
    kit = p.kit(PUBLIC[AGENT], KEY)
    yield text(kit, "IDENT-45/valid/kit", "as it is printed")
    yield text(kit.lower().replace("-", "\n"), "IDENT-45/valid/typed", "small letters on many lines")
    flat = kit.replace("-", "")
    for name, value, comment, error in (
        ("empty", "", "nothing", "E_KIT"),
        ("cut", flat[:-1], "a character is missing", "E_KIT"),
        ("more", flat + "0", "a character too many", "E_KIT"),
        ("letter", "U" + flat[1:], "a letter that the alphabet does not have", "E_KIT"),
        ("typo", flat[:50] + ("0" if flat[50] != "0" else "1") + flat[51:], "a wrong character", "E_KIT"),
        ("agent", p.kit(bytes(32), KEY), "an agent that is no key", "E_KIT"),
        ("version", p.kit(PUBLIC[AGENT], KEY, 2), "version 2", "E_KIT_VERSION"),
    ):
        yield text(value, f"IDENT-45/invalid/{name}", comment, error)


def requests():
    good = p.request(PUBLIC[AGENT], PUBLIC[KEY], bytes(32), LINK)
    yield text(good, "IDENT-47/valid/request", "as it is printed")
    yield text(good.upper(), "IDENT-47/valid/capital", "capital letters")
    for name, value, comment in (
        ("prefix", good.replace("recovery", "said"), "another prefix"),
        ("cut", good[:-2], "the end is missing"),
        ("changed", good[:40] + ("a" if good[40] != "a" else "b") + good[41:], "a character is another"),
        ("agent", p.request(bytes(32), PUBLIC[KEY], bytes(32), LINK), "an agent that is no key"),
        ("next", p.request(PUBLIC[AGENT], PUBLIC[KEY], bytes(31), LINK), "a commitment of 31 bytes"),
        ("prev", p.request(PUBLIC[AGENT], PUBLIC[KEY], bytes(32), None), "no event before it"),
        ("size", "allod-recovery:b" + "a" * 5000, "more than 4096 characters"),
    ):
        yield text(value, f"IDENT-47/invalid/{name}", comment, "E_RECOVERY")
