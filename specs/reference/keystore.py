"""A second reading of IDENT's keystores: argon2id (RFC 9106) and XChaCha20-Poly1305 in plain Python.

Slow, and not safe against those who measure time: for checking vectors only. `seal` and `unseal` take and
give the sealed part; `statement.py` reads the file around it.
"""

import hashlib
import hmac
import struct

M32, M64 = (1 << 32) - 1, (1 << 64) - 1

# --- argon2id ---------------------------------------------------------------------------------


def blake(data, size):
    """The hash of variable length."""
    data = struct.pack("<I", size) + data
    if size <= 64:
        return hashlib.blake2b(data, digest_size=size).digest()
    block, out = hashlib.blake2b(data).digest(), b""
    while size - len(out) > 64:
        out += block[:32]
        left = size - len(out)
        block = hashlib.blake2b(block, digest_size=min(64, left)).digest()
    return out + block


def mix(v, a, b, c, d):
    for first, second, left, right in ((a, b, d, 32), (c, d, b, 24), (a, b, d, 16), (c, d, b, 63)):
        # a and c take a sum with a product; d and b are turned.
        other = b if first == a else d
        product = 2 * (v[first] & M32) * (v[other] & M32)
        v[first] = (v[first] + v[other] + product) & M64
        word = v[left] ^ v[first]
        v[left] = (word >> right | word << (64 - right)) & M64


def permute(v, at):
    for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                       (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
        mix(v, at[a], at[b], at[c], at[d])


def compress(x, y):
    r = [a ^ b for a, b in zip(x, y)]
    z = list(r)
    for row in range(8):
        permute(z, range(16 * row, 16 * row + 16))
    for column in range(8):
        permute(z, [2 * column + 16 * row + side for row in range(8) for side in (0, 1)])
    return [a ^ b for a, b in zip(r, z)]


def argon2id(secret, salt, memory, passes, lanes, size):
    sized = lambda data: struct.pack("<I", len(data)) + data
    first = hashlib.blake2b(
        struct.pack("<6I", lanes, size, memory, passes, 0x13, 2)
        + sized(secret) + sized(salt) + sized(b"") + sized(b"")
    ).digest()
    columns = 4 * (memory // (4 * lanes)) // 4 * 4
    quarter = columns // 4
    words = lambda data: list(struct.unpack("<128Q", data))
    grid = [[None] * columns for _ in range(lanes)]
    for lane in range(lanes):
        for at in (0, 1):
            grid[lane][at] = words(blake(first + struct.pack("<II", at, lane), 1024))
    for turn in range(passes):
        for part in range(4):
            for lane in range(lanes):
                fill(grid, turn, part, lane, (lanes, columns, quarter, passes))
    last = grid[0][-1]
    for lane in range(1, lanes):
        last = [a ^ b for a, b in zip(last, grid[lane][-1])]
    return blake(struct.pack("<128Q", *last), size)


def fill(grid, turn, part, lane, shape):
    lanes, columns, quarter, passes = shape
    blind = turn == 0 and part < 2
    zero, addresses = [0] * 128, None
    for at in range(quarter):
        if blind and (at % 128 == 0 or addresses is None):
            counter = [turn, lane, part, lanes * columns, passes, 2, at // 128 + 1]
            block = compress(zero, counter + [0] * 121)
            addresses = compress(zero, block)
        if turn == 0 and part == 0 and at < 2:
            continue
        column = part * quarter + at
        before = grid[lane][column - 1]
        word = addresses[at % 128] if blind else before[0]
        source = lane if turn == 0 and part == 0 else (word >> 32) % lanes
        first, count = window(turn, part, at, source == lane, quarter, columns)
        x = (word & M32) * (word & M32) >> 32
        pick = count - 1 - (count * x >> 32)
        block = compress(before, grid[source][(first + pick) % columns])
        if turn:
            block = [a ^ b for a, b in zip(block, grid[lane][column])]
        grid[lane][column] = block


def window(turn, part, at, same_lane, quarter, columns):
    """Where the blocks that may be taken begin, and how many there are."""
    whole = part * quarter if turn == 0 else columns - quarter
    first = 0 if turn == 0 or part == 3 else (part + 1) * quarter
    if same_lane:
        return first, whole + at - 1
    return first, whole - (1 if at == 0 else 0)


# --- XChaCha20-Poly1305 -----------------------------------------------------------------------


def rounds(state):
    v = list(state)
    turns = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
             (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
    for _ in range(10):
        for a, b, c, d in turns:
            for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                v[x] = (v[x] + v[y]) & M32
                word = v[z] ^ v[x]
                v[z] = (word << by | word >> (32 - by)) & M32
    return v


CONSTANT = struct.unpack("<4I", b"expand 32-byte k")


def stream(key, nonce, counter, size):
    out = b""
    while len(out) < size:
        state = CONSTANT + struct.unpack("<8I", key) + (counter,) + struct.unpack("<3I", nonce)
        mixed = rounds(state)
        out += struct.pack("<16I", *((a + b) & M32 for a, b in zip(mixed, state)))
        counter += 1
    return out[:size]


def sub_key(key, nonce):
    mixed = rounds(CONSTANT + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))
    return struct.pack("<8I", *mixed[:4], *mixed[12:])


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(data), 16):
        total = (total + int.from_bytes(data[at : at + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) & ((1 << 128) - 1)).to_bytes(16, "little")


def tag(key, nonce, header, sealed):
    pad = lambda data: data + bytes(-len(data) % 16)
    sizes = struct.pack("<QQ", len(header), len(sealed))
    return poly1305(stream(key, nonce, 0, 32), pad(header) + pad(sealed) + sizes)


def keyed(secret, kdf, nonce):
    key = argon2id(secret, kdf["salt"], kdf["m"], kdf["t"], kdf["p"], 32)
    return sub_key(key, nonce[:16]), bytes(4) + nonce[16:]


def seal(secret, kdf, nonce, header, plain):
    key, short = keyed(secret, kdf, nonce)
    sealed = bytes(a ^ b for a, b in zip(plain, stream(key, short, 1, len(plain))))
    return sealed + tag(key, short, header, sealed)


def unseal(secret, kdf, nonce, header, sealed):
    """The plain bytes; None if the secret or anything else is not what it was."""
    if len(sealed) < 16:
        return None
    key, short = keyed(secret, kdf, nonce)
    body = sealed[:-16]
    if not hmac.compare_digest(tag(key, short, header, body), sealed[-16:]):
        return None
    return bytes(a ^ b for a, b in zip(body, stream(key, short, 1, len(body))))
