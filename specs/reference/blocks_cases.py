"""The cases of the BLOCKS vectors: each accept in full, each reject with one fault."""

import blocks as b

HELLO = b.cid(b.RAW, b"hello")
NODE = b.cid(b.DAG_CBOR, b"\xa0")
FILE = b.cid(b.DAG_PB, b"")
HEX = HELLO[4:].hex()
BLAKE3 = bytes([1, b.RAW, b.BLAKE3, 32]) + bytes(range(32))


def files():
    return [
        ("blocks/name.json", list(names())),
        ("blocks/unixfs.json", list(unixfs())),
        ("blocks/car.json", list(cars())),
        ("blocks/stored.json", list(stored())),
        ("blocks/redo.json", list(redo())),
        ("blocks/pack.json", list(packs())),
    ]


def to_base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = b.BASE58[digit] + text
    return text


def names():
    def case(name, text, comment, error=None):
        kind = "invalid" if error else "valid"
        return (f"BLOCKS-8/{kind}/{name}", comment, {"text": text}, error)

    hello = b.cid_text(HELLO)
    yield case("cid", hello, "a bare CID: the canonical text")
    yield case("allod", f"allod://{hello}", "allod://")
    yield case("ipfs", f"ipfs://{hello}", "ipfs://")
    yield case("slash", f"ipfs://{hello}/", "one slash at the end")
    yield case("proto", f"proto://{HEX}", "proto:// and the digest: a raw block")
    yield case("proto-upper", f"proto://{HEX.upper()}", "a digest in upper case")
    yield case("sha256", f"sha256-{HEX}", "sha256- and the digest")
    yield case("hex", HEX, "the bare digest")
    yield case("blanks", f" {hello}\n", "blanks around it")
    yield case("base16", "f" + HELLO.hex(), "another multibase: base16")
    yield case("base58", "z" + to_base58(HELLO), "another multibase: base58btc")
    yield case("upper", "B" + hello[1:].upper(), "another multibase: base32 in upper case")
    yield case("case", "b" + hello[1:].upper(), "upper case under the prefix of lower case")
    yield case("v0", to_base58(FILE[2:]), "a CIDv0: the dag-pb block of the same digest")
    yield case("dag-cbor", b.cid_text(NODE), "a dag-cbor block")
    yield case("blake3", b.cid_text(BLAKE3), "a blake3 name: it has no proto:// spelling")

    raw = bytes([1, b.RAW, b.SHA2_256, 32])
    yield case("empty", "", "nothing", "E_NAME_EMPTY")
    yield case("blank", " \t\n", "only blanks", "E_NAME_EMPTY")
    yield case("long", "b" + "a" * 256, "257 bytes", "E_NAME_LENGTH")
    yield case("long-digest", "proto://" + "0" * 249, "257 bytes of a known spelling", "E_NAME_LENGTH")
    yield case("digest-short", f"proto://{HEX[1:]}", "63 digits", "E_NAME_DIGEST")
    yield case("digest-long", f"sha256-{HEX}0", "65 digits", "E_NAME_DIGEST")
    yield case("digest-letter", f"proto://g{HEX[1:]}", "a letter that is no digit", "E_NAME_DIGEST")
    yield case("digest-plus", f"proto://+{HEX[1:]}", "a sign", "E_NAME_DIGEST")
    yield case("digest-empty", "sha256-", "no digits", "E_NAME_DIGEST")
    yield case("digest-path", f"proto://{HEX}/a", "a path after a digest", "E_NAME_DIGEST")
    yield case("word", "hello", "no multibase", "E_NAME_CID")
    yield case("cut", hello[:-1], "the last letter is missing", "E_NAME_CID")
    yield case("padding", hello[:-1] + "r", "bits that say nothing are set", "E_NAME_CID")
    yield case("more", b.cid_text(HELLO + b"\0"), "a byte after the CID", "E_NAME_CID")
    yield case("short-digest-more", b.cid_text(raw[:3] + b"\x1f" + bytes(32)),
               "a digest of 31 bytes and a byte after it", "E_NAME_CID")
    yield case("version", b.cid_text(b"\x02" + HELLO[1:]), "version 2", "E_NAME_CID")
    yield case("varint", b.cid_text(b"\x01\xd5\x00" + HELLO[2:]), "a varint that is not the shortest", "E_NAME_CID")
    yield case("scheme", f"https://{hello}", "another scheme", "E_NAME_TRAILING")
    yield case("path", f"ipfs://{hello}/a", "a path", "E_NAME_TRAILING")
    yield case("slashes", f"ipfs://{hello}//", "two slashes", "E_NAME_TRAILING")
    yield case("query", f"{hello}?a", "a query", "E_NAME_TRAILING")
    yield case("fragment", f"{hello}#a", "a fragment", "E_NAME_TRAILING")
    yield case("codec", b.cid_text(b"\x01\xa9\x02\x12\x20" + bytes(32)), "codec dag-json", "E_NAME_KIND")
    yield case("hash", b.cid_text(bytes([1, b.RAW, 0x11, 20]) + bytes(20)), "sha1", "E_NAME_KIND")
    yield case("identity", b.cid_text(bytes([1, b.RAW, 0, 5]) + b"hello"), "the identity hash", "E_NAME_KIND")
    yield case("sha2-short", b.cid_text(raw[:3] + b"\x14" + bytes(20)), "sha2-256 cut to 20 bytes", "E_NAME_KIND")
    yield case("blake3-long", b.cid_text(BLAKE3[:3] + b"\x40" + bytes(64)), "blake3 of 64 bytes", "E_NAME_KIND")


def unixfs():
    mib = 1 << 20
    for size, comment in (
        (0, "empty: one empty raw block"),
        (1, "one byte: a raw block"),
        (mib - 1, "one byte less than a chunk"),
        (mib, "a chunk: no index"),
        (mib + 1, "a chunk and a byte: an index of two"),
        (2 * mib, "two chunks, and no empty third"),
    ):
        yield (f"BLOCKS-30/valid/profile-{size}", comment, {"chunk": mib, "links": 1024, "size": size}, None)
    for size, comment in (
        (15, "one chunk less a byte"), (16, "one chunk"), (17, "two chunks"),
        (48, "a full index node: it is the root"), (49, "one chunk more: two levels"),
        (144, "nine chunks: two full levels"), (145, "ten chunks: three levels"),
        (1000, "63 chunks of content that repeats"),
    ):
        yield (f"BLOCKS-30/valid/small-{size}", comment, {"chunk": 16, "links": 3, "size": size}, None)
    yield from indexes()
    yield from reads()


def node(links, sizes, data=None, total=None):
    body = b"".join(b.field(2, link) for link in links)
    if data is None:
        total = sum(sizes) if total is None else total
        data = b.number(1, 2) + b.number(3, total) + b"".join(b.number(4, size) for size in sizes)
    return body + b.field(1, data)


def link(name, total=5):
    return b.field(1, name) + b.field(2, b"") + b.number(3, total)


def indexes():
    def case(rule, name, block, comment, error=None):
        kind = "invalid" if error else "valid"
        return (f"BLOCKS-{rule}/{kind}/{name}", comment, {"bytes": block.hex()}, error)

    two = [link(HELLO), link(HELLO)]
    good = node(two, [5, 5])
    file_type = b.number(1, 2)
    yield case(31, "two", good, "two parts of five bytes")
    yield case(31, "v0", node([link(FILE[2:], 9)], [9]), "a part named by a CIDv0")
    yield case(31, "inline", node([], [], file_type + b.field(2, b"hello") + b.number(3, 5)),
               "content inside the node")
    yield case(31, "raw-type", node([], [], b.number(1, 0) + b.field(2, b"hello")), "UnixFS type raw, no size")
    yield case(31, "mode", node(two, [], file_type + b.number(3, 10) + b.number(4, 5) * 2 + b.number(7, 0o644)
                                + b.field(8, b.number(1, 0))), "mode and time are passed over")
    yield case(31, "no-names", node([b.field(1, HELLO)], [5]), "a link without name and size")

    bad = "E_FILE_MALFORMED"
    yield case(31, "cut", good[:-1], "the last byte is missing", bad)
    yield case(31, "after", good + b.field(2, two[0]), "a link after the data", bad)
    yield case(31, "two-data", good + b.field(1, file_type), "data twice", bad)
    yield case(31, "field", b.field(3, b"") + good, "an unknown field", bad)
    yield case(31, "wire", b"\x15\0\0\0\0" + good, "a field of 32 bits", bad)
    yield case(31, "varint", b"\x80" * 10 + b"\x01" + good, "a varint of eleven bytes", bad)
    yield case(31, "overflow", b"\xff" * 9 + b"\x02", "a varint over 64 bits", bad)
    yield case(31, "link-field", node([link(HELLO) + b.number(4, 1)], [5]), "an unknown field in a link", bad)
    yield case(31, "fanout", node([], [], file_type + b.number(6, 256)), "a field of directories", bad)
    yield case(31, "no-data", b.field(2, two[0]), "no data", "E_FILE_KIND")
    yield case(31, "empty", b"", "an empty block", "E_FILE_KIND")
    yield case(31, "directory", node([], [], b.number(1, 1)), "a directory", "E_FILE_KIND")
    yield case(31, "symlink", node([], [], b.number(1, 4) + b.field(2, b"a")), "a symlink", "E_FILE_KIND")
    yield case(31, "no-type", node([], [], b.field(2, b"hello")), "no type", "E_FILE_KIND")
    kind = "E_FILE_LINK"
    yield case(32, "no-name", node([b.field(2, b"") + b.number(3, 5)], [5]), "a link without a CID", kind)
    yield case(32, "cbor", node([link(NODE)], [5]), "a dag-cbor part", kind)
    yield case(32, "more", node([link(HELLO + b"\0")], [5]), "a byte after the CID", kind)
    yield case(32, "no-cid", node([link(HELLO[:-1])], [5]), "a CID that is cut short", kind)
    sizes = "E_FILE_SIZES"
    yield case(33, "fewer", node(two, [5]), "fewer sizes than parts", sizes)
    yield case(33, "more", node(two, [5, 5, 5]), "more sizes than parts", sizes)
    yield case(33, "total", node(two, [5, 5], total=11), "a size that is not the sum", sizes)
    yield case(33, "overflow", node(two, [2**64 - 1, 1], total=0), "a sum over 64 bits", sizes)
    yield case(33, "zero", node(two, [10, 0]), "a part without content", sizes)
    small = b.field(1, b"\x01\x55\x12\0")
    many = node([small] * 8193, [5] * 8193)
    yield case(33, "links", many, "8193 links", "E_FILE_LINKS")


def reads():
    def case(rule, name, blocks, comment, error=None, root=None):
        kind = "invalid" if error else "valid"
        root = root or b.cid(b.CODECS[blocks[-1][0]], blocks[-1][1])
        given = {"blocks": [[codec, data.hex()] for codec, data in blocks], "root": b.cid_text(root)}
        return (f"BLOCKS-{rule}/{kind}/{name}", comment, given, error)

    hello = ("raw", b"hello")

    def over(block, size, codec=b.DAG_PB):
        return ("dag-pb", node([link(b.cid(codec, block[1]), 99)], [size]))

    one = over(hello, 5, b.RAW)
    mixed = node([link(HELLO), link(b.cid(b.DAG_PB, one[1]))], [],
                 b.number(1, 2) + b.field(2, b">") + b.number(3, 11) + b.number(4, 5) * 2)
    yield case(33, "read-raw", [hello], "a raw block is a file")
    yield case(33, "read-mixed", [hello, one, ("dag-pb", mixed)], "content, a leaf and an index")
    deep = [hello, one]
    while len(deep) < 17:
        deep.append(over(deep[-1], 5))
    yield case(33, "read-16", deep, "an index of 16 levels")
    yield case(33, "read-17", deep + [over(deep[-1], 5)], "an index of 17 levels", "E_FILE_DEPTH")
    short = over(hello, 4, b.RAW)
    yield case(33, "read-leaf-size", [hello, short], "a leaf that is longer than stated", "E_FILE_SIZES")
    yield case(33, "read-leaf-long", [hello, over(hello, 6, b.RAW)], "a leaf that is shorter than stated",
               "E_FILE_SIZES")
    yield case(33, "read-index-size", [hello, one, over(one, 6)], "an index that says something else than its parent",
               "E_FILE_SIZES")
    yield case(33, "read-missing", [one], "a part that is not there", "E_BLOCK_MISSING")
    yield case(33, "read-none", [hello], "a root that is not there", "E_BLOCK_MISSING", root=FILE)
    yield case(33, "read-cbor", [("dag-cbor", b"\xa0")], "a dag-cbor block", "E_FILE_KIND")


def below(parts, name):
    """The blocks of a file in the order of an archive; in this one no block is there twice."""
    yield name, parts[name]
    if name[1] == b.DAG_PB:
        for link_name, _ in b.read_index(parts[name])[1]:
            yield from below(parts, link_name)


def cars():
    def case(rule, name, data, comment, error=None):
        kind = "invalid" if error else "valid"
        return (f"BLOCKS-{rule}/{kind}/{name}", comment, {"bytes": data.hex()}, error)

    hello = (HELLO, b"hello")
    root, parts = b.add_file(b.content(49), 16, 3)
    tree = list(below(parts, root))
    header = b.car_header([HELLO])
    good = b.car([HELLO], [hello])
    rest = b.section(*hello)
    yield case(40, "one", good, "one raw block")
    yield case(40, "file", b.car([root], tree), "a file of two levels")
    yield case(41, "no-roots", b.car([], [hello]), "no roots")
    yield case(41, "two-roots", b.car([HELLO, NODE], [hello, (NODE, b"\xa0")]), "two roots")
    yield case(40, "empty", b.car([HELLO], []), "a root that is not in the archive")
    yield case(40, "twice", b.car([HELLO], [hello, hello]), "a block twice")
    yield case(42, "v0", b.car([FILE], [(FILE[2:], b"")]), "a section named by a CIDv0")

    bad = "E_CAR_HEADER"
    yield case(41, "nothing", b"", "no bytes", bad)
    yield case(41, "cut-length", b"\x80", "the length is cut off", bad)
    yield case(41, "cut", b.section(header)[:-1], "the header is cut off", bad)
    yield case(41, "large", b.varint(4097) + bytes(4097), "a header of 4097 bytes", bad)
    yield case(41, "version", b.section(header[:-1] + b"\x02") + rest, "version 2", bad)
    yield case(41, "no-version", b.section(b"\xa1" + header[1:-9]) + rest, "no version", bad)
    yield case(41, "order", b.section(b"\xa2\x67version\x01" + header[1:-9]) + rest, "version before roots", bad)
    yield case(41, "tag", b.section(header.replace(b"\xd8\x2a", b"\xd8\x2b")) + rest, "another tag", bad)
    yield case(41, "root-more", b.section(b.car_header([HELLO + b"\0"])) + rest, "a byte after a root", bad)
    yield case(41, "not-a-list", b.section(header.replace(b"\x81\xd8", b"\xd8")) + rest, "a root without a list", bad)
    many = b"\xa2\x65roots\x98\x41" + header[8:-9] * 65 + header[-9:]
    yield case(41, "many", b.section(many) + rest, "65 roots", bad)
    bad = "E_CAR_SECTION"
    yield case(42, "cut", good[:-1], "the last byte is missing", bad)
    yield case(42, "cut-length", good + b"\x80", "a length is cut off", bad)
    yield case(42, "zero", good + b"\0", "an empty section", bad)
    yield case(42, "large", good + b.varint(2 * 1024 * 1024 + 65), "a section over the limit", bad)
    yield case(42, "no-cid", good + b.section(b"\x02" + HELLO[1:], b"hello"), "a name of version 2", bad)
    yield case(43, "bit", good[:-1] + b"p", "another content", "E_BLOCK_MISMATCH")
    yield case(43, "short-digest", b.car([], [(HELLO[:3] + b"\x14" + HELLO[4:24], b"hello")]),
               "a digest of 20 bytes", "E_BLOCK_MISMATCH")
    yield case(43, "codec", b.car([], [(b"\x01\xa9\x02" + HELLO[2:], b"hello")]), "codec dag-json", "E_BLOCK_CODEC")
    yield case(43, "hash", b.car([], [(bytes([1, b.RAW, 0x11, 20]) + bytes(20), b"hello")]), "sha1", "E_BLOCK_HASH")
    yield case(43, "identity", b.car([], [(bytes([1, b.RAW, 0, 5]) + b"hello", b"hello")]), "the identity hash",
               "E_BLOCK_HASH")


def stored():
    def case(rule, name, data, comment, error=None):
        kind = "invalid" if error else "valid"
        return (f"BLOCKS-{rule}/{kind}/{name}", comment, {"bytes": data.hex()}, error)

    def form(kind, length, packed):
        return bytes([kind]) + length.to_bytes(4, "little") + packed

    def frame(size, *blocks):
        return bytes.fromhex("28b52ffd20") + bytes([size]) + b"".join(blocks)

    def block(last, kind, count, body):
        return (last | kind << 1 | count << 3).to_bytes(3, "little") + body

    hello = frame(5, block(1, 0, 5, b"hello"))
    literal = b"\x05\x10hello"
    yield case(60, "empty", b"\0", "an empty block as it is")
    yield case(60, "plain", b"\0hello", "as it is")
    yield case(60, "zstd", form(1, 5, hello), "zstd: a raw block")
    yield case(60, "zstd-two", form(1, 10, frame(10, block(0, 0, 5, b"hello"), block(1, 0, 5, b"hello"))),
               "zstd: two raw blocks")
    yield case(60, "zstd-same", form(1, 200, frame(200, block(1, 1, 200, b"a"))), "zstd: one byte repeated")
    yield case(60, "snappy", form(2, 5, literal), "snappy: a literal")
    yield case(60, "snappy-copy", form(2, 12, b"\x0c\x00a\x1d\x01"), "snappy: a literal and a copy that overlaps itself")
    yield case(60, "snappy-empty", form(2, 0, b"\0"), "snappy: nothing")
    bad = "E_STORED_HEADER"
    yield case(60, "nothing", b"", "no bytes", bad)
    yield case(60, "kind", form(3, 5, hello), "an unknown kind", bad)
    yield case(60, "short", form(1, 5, b"")[:-1], "the length is cut off", bad)
    bad = "E_BLOCK_SIZE"
    yield case(63, "zstd-large", form(1, b.BLOCK_BYTES_MAX + 1, hello), "zstd: more is announced than a block may have", bad)
    yield case(63, "snappy-large", form(2, b.BLOCK_BYTES_MAX + 1, literal), "snappy: the same", bad)
    yield case(63, "most", form(1, 0xFFFFFFFF, hello), "the most that can be announced", bad)
    bad = "E_STORED_CONTENT"
    yield case(63, "zstd-more", form(1, 6, hello), "zstd: less than announced", bad)
    yield case(63, "zstd-less", form(1, 4, hello), "zstd: more than announced", bad)
    yield case(63, "zstd-cut", form(1, 5, hello[:-1]), "zstd: the last byte is missing", bad)
    yield case(63, "zstd-after", form(1, 5, hello + b"\0"), "zstd: a byte after the frame", bad)
    yield case(63, "zstd-magic", form(1, 5, b"\x29" + hello[1:]), "zstd: another magic number", bad)
    yield case(63, "snappy-more", form(2, 6, literal), "snappy: it says less than is announced", bad)
    yield case(63, "snappy-cut", form(2, 5, literal[:-1]), "snappy: the last byte is missing", bad)
    yield case(63, "snappy-before", form(2, 12, b"\x0c\x00a\x1d\x02"), "snappy: a copy from before the beginning", bad)
    yield case(63, "snappy-nowhere", form(2, 12, b"\x0c\x00a\x1d\x00"), "snappy: a copy of distance 0", bad)


def packs():
    one, two, three = (b.pack_record(HELLO, b"\0hello"), b.pack_record(NODE, b"\0\xa0"), b.pack_record(b"n", b""))

    def case(name, comment, data, number=0, rule=90, magic=b"allodpck"):
        error = None if magic == b"allodpck" else "E_STORE"
        kind = "invalid" if error else "valid"
        return (f"BLOCKS-{rule}/{kind}/{name}", comment, {"number": number, "pack": (magic + data).hex()}, error)

    yield case("empty", "no records", b"")
    yield case("one", "one record", one)
    yield case("several", "several records, one of them with nothing stored", one + three + two, 7)
    yield case("again", "the same block twice", two + two, 0xFFFFFFFF)
    yield case("cut", "the last one is cut off", one + two[:-1], rule=93)
    yield case("header", "the last header is cut off", one + two[:4], rule=93)
    yield case("zeros", "zeros hide the last one", one + bytes(9) + two, rule=93)
    yield case("magic", "no pack", one, magic=b"allodPCK")
    yield case("short", "a beginning that is cut off", b"", magic=b"allod")
    long = bytes([1]) + (b.BLOCK_BYTES_MAX + 2).to_bytes(4, "little")
    yield case("large", "more than a block has", one + long + bytes(40), rule=93)


def redo():
    head, seed = b"allodrdo" + (7).to_bytes(8, "little"), 7
    put = [(0, b"block", b"\0content")]
    both = [(1, b"ref", b"value"), (1, b"old", None), (2, bytes(8), b"logged" * 9)]
    one, two, three = (b.redo_record(seed, *record) for record in ((1, put), (2, both), (3, [(3, b"k", b"")])))

    def case(name, comment, files, synced=0, unlogged=0, error=None, rule=80):
        kind = "invalid" if error else "valid"
        given = {"files": [data.hex() for data in files], "synced": synced, "unlogged": unlogged}
        return (f"BLOCKS-{rule}/{kind}/{name}", comment, given, error)

    def says(number, synced):
        return b.redo_record(seed, number, [], synced)

    yield case("none", "no file", [])
    yield case("new", "a file that was being made", [bytes(16)])
    yield case("short", "a file that was being made, cut off", [b"allod"])
    yield case("one", "one batch", [head + one])
    yield case("several", "values, a removal, a log entry, an empty value", [head + one + two + three])
    yield case("files", "two files, the later one first", [head + two + three, head + one])
    yield case("unlogged", "a second that went around the log", [head + one + three], 2, 2)
    yield case("unlogged-last", "a fourth that went around the log", [head + one + two + three], 4, 4)
    yield case("hint", "the engine has synced more than a record says", [head + one + two], 2)

    yield case("closed", "a record that says that all is synced", [head + one + two + says(3, 2)], 2, rule=81)
    yield case("part", "the engine has synced the first", [head + one + says(2, 1) + three], 1, rule=81)
    yield case("turned", "a file that is written over", [head + says(3, 2) + says(4, 2), head + one], 2, rule=81)
    yield case("lost", "the engine has lost what it synced", [head + one + says(2, 1)], 0, 0, "E_STORE", 86)
    yield case("lost-more", "the same, after more", [head + one + two + says(3, 2)], 1, 0, "E_STORE", 86)

    yield case("lost-log", "the log has lost what the engine synced", [head + one + two], 3, 0, "E_STORE", 86)
    yield case("lost-all", "the log is not there", [], 1, 0, "E_STORE", 86)

    yield case("checksum", "the last one is damaged", [head + one + two[:-1] + b"!"], rule=82)
    yield case("cut", "the last one is cut off", [head + one + two[:-1]], rule=82)
    yield case("header", "the last header is cut off", [head + one + two[:19]], rule=82)
    yield case("zeros", "zeros behind the last one", [head + one + bytes(40)], rule=82)
    yield case("older", "an earlier round behind the last one", [head + two + one, head + one], rule=82)
    seeded = b.redo_record(8, 2, both)
    yield case("seed", "a record made for another seed", [head + one + seeded], rule=82)

    bent = two[:-1] + b"!"
    yield case("hole", "a damaged one that the engine has", [head + one + bent + three + says(4, 3)], 3, rule=82)
    yield case("hole-last", "a damaged one behind which is an older one", [head + two[:-1] + b"!" + one], rule=82)
    comment = "a damaged one that the engine has not"
    yield case("hole-needed", comment, [head + one + bent + three], 0, 0, "E_STORE", 82)

    for name, files, unlogged in (
        ("first", [head + two], 0),
        ("middle", [head + one + three], 0),
        ("after", [head + three], 1),
        ("other", [head + one, head + three], 0),
        ("damaged", [head + one + two[:-1] + b"!", head + three], 0),
    ):
        comment = "a batch is missing and a later one is there"
        yield case(f"gap-{name}", comment, files, unlogged, unlogged, "E_STORE", 82)
    for name, first in (("magic", b"allodRDO"), ("text", b"# a text"), ("zero", bytes(7) + b"\1"), ("zeros", bytes(8))):
        rest = bytes(40) if name == "zeros" else head[8:] + one
        yield case(f"file-{name}", "no redo log", [first + rest], 0, 0, "E_STORE", 82)
    for name, body in (
        ("table", b"\4" + bytes(8)),
        ("head", b"\0" + bytes(7)),
        ("key", b"\0\1\0\0\0\0\0\0\0"),
        ("value", b"\0\0\0\0\0\2\0\0\0a"),
    ):
        body = bytes(8) + body
        record = (1).to_bytes(8, "little") + len(body).to_bytes(4, "little")
        record += b.xxh64(body, seed ^ 1).to_bytes(8, "little") + body
        yield case(f"write-{name}", "a write that is none", [head + record], 0, 0, "E_STORE", 82)
