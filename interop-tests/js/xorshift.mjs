// The content that both sides make. Each 64 KiB begin with a step of xorshift64* (Vigna, 2016), whose
// low word, made odd, is the state of a 32-bit xorshift that fills them, little-endian: the stream is
// fast in both languages.

const MULTIPLIER = 0x2545f4914f6cdd1dn
const MASK = (1n << 64n) - 1n

/** `size` bytes in pieces of 64 KiB, from a seed that is not 0. */
export function * content (seed, size) {
  let state = BigInt(seed)
  const piece = 65536
  for (let done = 0; done < size; done += piece) {
    state ^= state >> 12n
    state = (state ^ (state << 25n)) & MASK
    state ^= state >> 27n
    let word = Number((state * MULTIPLIER) & 0xffffffffn) | 1
    const bytes = new Uint8Array(Math.min(piece, size - done))
    const words = new Int32Array(piece / 4)
    for (let i = 0; i < words.length; i++) {
      word ^= word << 13
      word ^= word >>> 17
      word ^= word << 5
      words[i] = word
    }
    bytes.set(new Uint8Array(words.buffer).subarray(0, bytes.length))
    yield bytes
  }
}
