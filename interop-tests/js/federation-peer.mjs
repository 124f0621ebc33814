// A peer of rhizomedb-federation-v1 in plain JavaScript, from the table of messages alone: it knows no extension
// but packed messages (FED-35), checks what it gets as a peer of the original would, and does what peers should not.
//
//   node federation-peer.mjs client <urls as JSON>    plays clients against servers that are there
//   node federation-peer.mjs server                   plays servers, and prints what the client is to do
//
// Exits with 0 if everything was as it should be, and says what was not.

import assert from 'node:assert/strict'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { WebSocket, WebSocketServer } from 'ws'

const PROTOCOL = 'rhizomedb-federation-v1'
const WAIT_MS = 10_000
const QUIET_MS = 250

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

export function delta(id, timestamp, extra = {}) {
  return { id, timestamp, author: 'alice', system: 'js', pointers: [{ role: 'is', target: id }], ...extra }
}

/** What a peer of the original throws at, in a handler that nobody awaits: the end of its process. */
function validate(given) {
  const isName = (name) => typeof name === 'string' && name.length > 0
  assert.ok(isName(given.id) && isName(given.author) && isName(given.system), 'names')
  assert.ok(typeof given.timestamp === 'number' && given.timestamp > 0, 'a positive timestamp')
  assert.ok(Array.isArray(given.pointers), 'pointers')
  for (const { role, target } of given.pointers) {
    assert.ok(isName(role), 'a role')
    const isReference = target !== null && typeof target === 'object' && !Array.isArray(target) && isName(target.id)
    assert.ok(['string', 'number', 'boolean'].includes(typeof target) || isReference, 'a target')
    if (isReference && 'context' in target) assert.ok(isName(target.context), 'a context')
  }
}

/** One end of a connection: what it hears, in order. */
class Peer {
  constructor(socket) {
    this.socket = socket
    this.heard = []
    this.packed = 0
    this.bytes = 0
    this.waiting = []
    this.all = []
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.gone = { code, reason: reason.toString() }
        resolve(this.gone)
        for (const wake of this.waiting.splice(0)) wake()
      })
    })
    socket.on('error', () => {})
    socket.on('message', (data, isBinary) => {
      assert.ok(!isBinary || this.unpacks, 'text frames alone')
      this.packed += isBinary ? 1 : 0
      this.bytes += data.length
      const message = JSON.parse((isBinary ? inflateRawSync(data) : data).toString())
      assert.equal(typeof message.type, 'string')
      assert.ok(message.timestamp, 'a timestamp that is true')
      if (message.delta) validate(message.delta)
      for (const one of message.deltas ?? []) validate(one)
      this.all.push(message)
      this.heard.push(message)
      for (const wake of this.waiting.splice(0)) wake()
    })
  }

  static async open(url, options = {}) {
    const peer = new Peer(new WebSocket(url, options))
    await new Promise((resolve, reject) => {
      peer.socket.once('open', resolve)
      peer.socket.once('error', reject)
    })
    return peer
  }

  say(message) {
    this.socket.send(JSON.stringify({ timestamp: Date.now(), ...message }))
  }

  async next(type) {
    const end = Date.now() + WAIT_MS
    while (this.heard.length === 0) {
      assert.ok(!this.gone, `closed with ${JSON.stringify(this.gone)} instead of ${type}`)
      assert.ok(Date.now() < end, `no ${type}`)
      await Promise.race([new Promise((resolve) => this.waiting.push(resolve)), sleep(50)])
    }
    const message = this.heard.shift()
    assert.equal(message.type, type, JSON.stringify(message).slice(0, 300))
    return message
  }

  /** Nothing comes for a while. */
  async quiet() {
    await sleep(QUIET_MS)
    assert.deepEqual(this.heard, [])
  }

  hello(config = {}, more = {}) {
    const reconnect = { enabled: true, maxAttempts: 5, initialDelay: 1000, maxDelay: 30_000, backoffMultiplier: 2 }
    this.say({ type: 'hello', systemId: 'js', protocol: PROTOCOL, config: { mode: 'bidirectional', reconnect, ...config }, ...more })
  }

  static async greeted(url, config = {}) {
    const peer = await Peer.open(url)
    peer.hello(config)
    await peer.next('hello_ack')
    return peer
  }

  end() {
    this.socket.close()
    return this.closed
  }
}

// --- the client ------------------------------------------------------------------------------------

const asClient = {
  async 'the handshake and all of the past, in order'({ full }) {
    const peer = await Peer.open(full)
    peer.hello({ initialSync: 'full' })
    const ack = await peer.next('hello_ack')
    assert.equal(ack.protocol, PROTOCOL)
    assert.ok(ack.systemId && ack.linkId)
    peer.say({ type: 'sync_request', filter: undefined, fromTimestamp: undefined })
    const start = await peer.next('sync_start')
    assert.equal(start.totalDeltas, 250)
    assert.equal(start.batchSize, 100)
    let last = 0
    for (const [number, size] of [100, 100, 50].entries()) {
      const batch = await peer.next('sync_batch')
      assert.equal(batch.batchNumber, number)
      assert.equal(batch.deltas.length, size)
      assert.equal(batch.isLastBatch, number === 2)
      for (const { timestamp } of batch.deltas) {
        assert.ok(timestamp >= last, 'ascending by time')
        last = timestamp
      }
    }
    assert.equal((await peer.next('sync_complete')).deltasProcessed, 250)
    await peer.quiet()
    await peer.end()
  },

  async 'the past from a time, which is included, and by a filter'({ full }) {
    const peer = await Peer.greeted(full)
    peer.say({ type: 'sync_request', fromTimestamp: 241 })
    assert.equal((await peer.next('sync_start')).totalDeltas, 10)
    const batch = await peer.next('sync_batch')
    assert.equal(batch.deltas[0].timestamp, 241)
    await peer.next('sync_complete')
    peer.say({ type: 'sync_request', filter: { ids: ['d007', 'nobody'] } })
    assert.equal((await peer.next('sync_start')).totalDeltas, 1)
    assert.equal((await peer.next('sync_batch')).deltas[0].id, 'd007')
    await peer.next('sync_complete')
    peer.say({ type: 'sync_request', filter: { authors: [] } })
    await peer.next('sync_start')
    assert.equal((await peer.next('sync_complete')).deltasProcessed, 0)
    await peer.end()
  },

  async 'who pushes is given nothing, who pulls gives nothing'({ open }) {
    const pusher = await Peer.greeted(open, { mode: 'push' })
    pusher.say({ type: 'sync_request' })
    assert.equal((await pusher.next('sync_start')).totalDeltas, 0)
    await pusher.next('sync_complete')
    const puller = await Peer.greeted(open, { mode: 'pull' })
    puller.say({ type: 'delta', delta: delta('pulled', 1) })
    const nack = await puller.next('delta_nack')
    assert.equal(nack.deltaId, 'pulled')
    assert.ok(nack.reason)
    pusher.say({ type: 'delta', delta: delta('pushed', 1.5) })
    assert.equal((await pusher.next('delta_ack')).deltaId, 'pushed')
    assert.equal((await puller.next('delta')).delta.id, 'pushed')
    puller.say({ type: 'delta_ack', deltaId: 'pushed' })
    await pusher.quiet()
    await pusher.end()
    await puller.end()
  },

  async 'filters of both directions are kept'({ open }) {
    const filtered = await Peer.greeted(open, { pushFilter: { ids: ['mine'] }, pullFilter: { systems: ['other'] } })
    const other = await Peer.greeted(open)
    other.say({ type: 'delta', delta: delta('unwanted', 1) })
    await other.next('delta_ack')
    other.say({ type: 'delta', delta: delta('wanted', 1, { system: 'other' }) })
    await other.next('delta_ack')
    assert.equal((await filtered.next('delta')).delta.id, 'wanted')
    filtered.say({ type: 'delta_ack', deltaId: 'wanted' })
    filtered.say({ type: 'delta', delta: delta('not mine', 1) })
    assert.equal((await filtered.next('delta_nack')).deltaId, 'not mine')
    filtered.say({ type: 'delta', delta: delta('mine', 1) })
    await filtered.next('delta_ack')
    assert.equal((await other.next('delta')).delta.id, 'mine')
    other.say({ type: 'delta_ack', deltaId: 'mine' })
    await filtered.end()
    await other.end()
  },

  async 'what is known is acknowledged and goes nowhere; nothing comes back'({ open }) {
    const [one, two] = [await Peer.greeted(open), await Peer.greeted(open)]
    for (let round = 0; round < 5; round += 1) one.say({ type: 'delta', delta: delta('known', 2) })
    for (let round = 0; round < 5; round += 1) assert.equal((await one.next('delta_ack')).deltaId, 'known')
    assert.equal((await two.next('delta')).delta.id, 'known')
    two.say({ type: 'delta_ack', deltaId: 'known' })
    await Promise.all([one.quiet(), two.quiet()])
    await one.end()
    await two.end()
  },

  async 'members that nobody knows survive'({ open }) {
    const [one, two] = [await Peer.greeted(open), await Peer.greeted(open)]
    const given = delta('extended', 7.25, { prev: ['a', null], note: { b: 1.5 } })
    given.pointers.push({ role: 'of', target: { id: 'x', context: 'name' }, localContext: 'of' })
    one.say({ type: 'delta', delta: given, hop: 3 })
    await one.next('delta_ack')
    assert.deepEqual((await two.next('delta')).delta, given)
    two.say({ type: 'delta_ack', deltaId: 'extended' })
    await one.end()
    await two.end()
  },

  async 'peers that send back whatever they get end in silence'({ open }) {
    const peers = [await Peer.greeted(open), await Peer.greeted(open), await Peer.greeted(open)]
    let sent = 0
    for (const peer of peers) {
      peer.socket.on('message', (data) => {
        const message = JSON.parse(data.toString())
        if (message.type !== 'delta') return
        peer.say({ type: 'delta_ack', deltaId: message.delta.id })
        // A store that does not look whether it has something, and sends on all that it is given.
        peer.say({ type: 'delta', delta: message.delta })
        sent += 1
        assert.ok(sent < 1000, 'a storm')
      })
    }
    for (let n = 0; n < 20; n += 1) peers[0].say({ type: 'delta', delta: delta(`storm ${n}`, n + 1) })
    await sleep(4 * QUIET_MS)
    const before = peers.map((peer) => peer.all.length)
    await sleep(2 * QUIET_MS)
    assert.deepEqual(peers.map((peer) => peer.all.length), before, 'silence')
    const deltas = peers.map((peer) => peer.all.filter((message) => message.type === 'delta').length)
    assert.deepEqual(deltas, [0, 20, 20], 'each once, and none to who sent it')
    for (const peer of peers) await peer.end()
  },

  async 'what comes during a pause comes afterwards'({ open }) {
    const [paused, other] = [await Peer.greeted(open), await Peer.greeted(open)]
    paused.say({ type: 'pause' })
    paused.say({ type: 'ping' })
    await paused.next('pong')
    for (let n = 0; n < 300; n += 1) other.say({ type: 'delta', delta: delta(`paused ${n}`, n + 1) })
    for (let n = 0; n < 300; n += 1) await other.next('delta_ack')
    await paused.quiet()
    paused.say({ type: 'resume' })
    const ids = new Set()
    while (ids.size < 300) {
      const { delta: one } = await paused.next('delta')
      assert.ok(!ids.has(one.id))
      ids.add(one.id)
      paused.say({ type: 'delta_ack', deltaId: one.id })
    }
    await paused.end()
    await other.end()
  },

  async 'who acknowledges nothing is sent a window and no more'({ open }) {
    const [lazy, other] = [await Peer.greeted(open), await Peer.greeted(open)]
    for (let n = 0; n < 600; n += 1) other.say({ type: 'delta', delta: delta(`window ${n}`, n + 1) })
    for (let n = 0; n < 600; n += 1) await other.next('delta_ack')
    await sleep(QUIET_MS)
    const first = lazy.heard.length
    assert.ok(first >= 128 && first <= 256, `${first} are on their way`)
    for (const { delta: one } of lazy.heard.splice(0)) lazy.say({ type: 'delta_ack', deltaId: one.id })
    await sleep(QUIET_MS)
    assert.ok(lazy.heard.length >= 128)
    // A refusal makes room like an acknowledgement, and one that follows changes nothing.
    for (const { delta: one } of lazy.heard.splice(0)) {
      lazy.say({ type: 'delta_nack', deltaId: one.id, reason: 'no' })
      lazy.say({ type: 'delta_ack', deltaId: one.id })
    }
    await sleep(QUIET_MS)
    assert.ok(lazy.heard.length > 0)
    await lazy.end()
    await other.end()
  },

  async 'what is no delta is refused, and nothing else with it'({ open }) {
    const peer = await Peer.greeted(open)
    const bad = [
      delta('zero', 0),
      delta('minus', -1),
      delta('text', '1'),
      delta('null target', 1, { pointers: [{ role: 'a', target: null }] }),
      delta('array target', 1, { pointers: [{ role: 'a', target: [1] }] }),
      delta('no role', 1, { pointers: [{ role: '', target: 1 }] }),
      delta('no author', 1, { author: '' }),
      delta('no pointers', 1, { pointers: undefined }),
      delta('long', 1, { pointers: [{ role: 'a', target: 'x'.repeat(300_000) }] }),
    ]
    for (const one of bad) peer.say({ type: 'delta', delta: one })
    peer.say({ type: 'delta', delta: delta('fine', 1) })
    for (const one of bad) assert.equal((await peer.next('delta_nack')).deltaId, one.id)
    assert.equal((await peer.next('delta_ack')).deltaId, 'fine')
    // Another content of the same id.
    peer.say({ type: 'delta', delta: delta('fine', 2) })
    assert.equal((await peer.next('delta_nack')).reason, 'E_DELTA_CONFLICT')
    await peer.end()
  },

  async 'no client widens what the server trusts'({ trusting }) {
    for (const trustPolicy of [undefined, {}, null, { trustedAuthors: ['bob'] }]) {
      const peer = await Peer.greeted(trusting, { trustPolicy })
      peer.say({ type: 'delta', delta: delta('of bob', 1, { author: 'bob' }) })
      const nack = await peer.next('delta_nack')
      assert.equal(nack.reason, 'Failed trust policy verification')
      await peer.end()
    }
    const peer = await Peer.greeted(trusting, {})
    peer.say({ type: 'delta', delta: delta('of alice', 1) })
    await peer.next('delta_ack')
    await peer.end()
    const nobody = await Peer.greeted(trusting, { trustPolicy: { trustedAuthors: [] } })
    nobody.say({ type: 'delta', delta: delta('of alice too', 1) })
    await nobody.next('delta_nack')
    await nobody.end()
  },

  async 'a server that asks for signatures takes none without'({ signed }) {
    const peer = await Peer.greeted(signed)
    peer.say({ type: 'delta', delta: delta('bare', 1) })
    await peer.next('delta_nack')
    peer.say({ type: 'delta', delta: delta('forged', 1, { sig: '00'.repeat(64), key: 'alice' }) })
    await peer.next('delta_nack')
    await peer.end()
  },

  async 'what nobody knows is passed over; pings are answered'({ open }) {
    const peer = await Peer.open(open)
    peer.say({ type: 'ping' })
    await peer.next('pong')
    peer.hello({ unheardOf: [1, 2] }, { color: 'red' })
    await peer.next('hello_ack')
    peer.say({ type: 'gossip', about: { everything: [null] } })
    peer.say({ type: 'pong' })
    peer.say({ type: 'ping', timestamp: 12.5, extra: true })
    await peer.next('pong')
    await peer.quiet()
    await peer.end()
  },

  async 'what is no message is complained about'({ open }) {
    const peer = await Peer.greeted(open)
    const frames = ['', 'hello', '{', '[]', 'null', '{}', '{"timestamp":1}', '{"type":"ping"}', '{"type":"ping","timestamp":0}', '{"type":"delta","timestamp":1}']
    for (const frame of frames) {
      peer.socket.send(frame)
      const error = await peer.next('error')
      assert.equal(error.code, 'MESSAGE_ERROR')
      assert.ok(!error.fatal)
    }
    peer.socket.send(Buffer.from([1, 2, 3]))
    await peer.next('error')
    peer.socket.send(`{"type":"x","timestamp":1,"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)
    await peer.next('error')
    peer.say({ type: 'ping' })
    await peer.next('pong')
    for (let n = 0; n < 3; n += 1) {
      peer.socket.send('x')
      await peer.next('error')
    }
    peer.socket.send('x')
    assert.equal((await peer.next('error')).fatal, true)
    assert.equal((await peer.closed).code, 1002)
  },

  async 'who takes packed messages gets them, and what comes packed is taken'({ full, open }) {
    const greeted = async (url, capabilities) => {
      const peer = await Peer.open(url)
      peer.unpacks = capabilities.includes('deflate')
      peer.hello({}, { capabilities })
      const ack = await peer.next('hello_ack')
      assert.ok(ack.capabilities.includes('deflate'))
      peer.bytes = 0
      return peer
    }
    const past = async (peer) => {
      peer.say({ type: 'sync_request' })
      await peer.next('sync_start')
      const ids = []
      for (let batch = 0; batch < 3; batch += 1) ids.push(...(await peer.next('sync_batch')).deltas.map((one) => one.id))
      await peer.next('sync_complete')
      return ids
    }
    const [packs, plain] = [await greeted(full, ['deflate']), await greeted(full, [])]
    assert.deepEqual(await past(packs), await past(plain))
    assert.deepEqual([packs.packed, plain.packed], [3, 0])
    assert.ok(packs.bytes * 4 < plain.bytes, `${packs.bytes} of ${plain.bytes}`)
    await packs.end()
    await plain.end()

    const peer = await greeted(open, ['deflate', 'delta_batch'])
    const pack = (message) => deflateRawSync(JSON.stringify({ timestamp: 1, ...message }))
    peer.socket.send(pack({ type: 'delta_batch', deltas: [delta('packed 1', 1), delta('packed 2', 2)] }))
    assert.deepEqual((await peer.next('delta_ack_batch')).deltaIds, ['packed 1', 'packed 2'])
    for (const none of [Buffer.from('nonsense'), pack({ type: 'ping' }).subarray(0, -2), Buffer.alloc(0)]) {
      peer.socket.send(none)
      assert.equal((await peer.next('error')).code, 'MESSAGE_ERROR')
    }
    peer.socket.send(pack({ type: 'ping' }))
    await peer.next('pong')
    // A mebibyte that would be a gibibyte.
    peer.socket.send(deflateRawSync(Buffer.alloc(2 ** 30, 0x20), { level: 9 }).subarray(0, 2 ** 20))
    assert.equal((await peer.closed).code, 1009)
    await (await Peer.greeted(open)).end()
  },

  async 'a frame of ten megabytes ends the connection'({ open }) {
    const peer = await Peer.greeted(open)
    peer.socket.send(`{"type":"x","timestamp":1,"a":"${'x'.repeat(10_000_000)}"}`)
    const { code } = await peer.closed
    // Who closes while ten megabytes are on their way may be cut off before its reason arrives.
    assert.ok([1009, 1006].includes(code), `${code}`)
    const again = await Peer.greeted(open)
    await again.end()
  },

  async 'nothing is said before hello'({ full }) {
    for (const message of [{ type: 'delta', delta: delta('early', 1) }, { type: 'sync_request' }, { type: 'resume' }]) {
      const peer = await Peer.open(full)
      peer.say(message)
      assert.equal((await peer.next('error')).fatal, true)
      assert.equal((await peer.closed).code, 1002)
      assert.equal(peer.all.length, 1)
    }
  },

  async 'another protocol, and no config, are refused'({ open }) {
    const peer = await Peer.open(open)
    peer.hello({}, { protocol: 'rhizomedb-federation-v2' })
    const error = await peer.next('error')
    assert.equal(error.code, 'PROTOCOL_MISMATCH')
    assert.equal(error.fatal, true)
    await peer.closed
    const bare = await Peer.open(open)
    bare.say({ type: 'hello', systemId: 'js', protocol: PROTOCOL })
    await bare.next('error')
    await bare.closed
  },

  async 'a second hello, and messages of servers, change nothing'({ open }) {
    const peer = await Peer.greeted(open, { mode: 'push' })
    peer.hello({ mode: 'bidirectional' })
    await peer.next('error')
    for (const type of ['hello_ack', 'sync_start', 'sync_complete']) {
      peer.say({ type, systemId: 'x', totalDeltas: 1, batchSize: 1, deltasProcessed: 1 })
      await peer.next('error')
    }
    peer.say({ type: 'sync_batch', deltas: [delta('smuggled', 1)], batchNumber: 0, isLastBatch: true })
    await peer.next('error')
    const other = await Peer.greeted(open)
    other.say({ type: 'sync_request', filter: { ids: ['smuggled'] } })
    assert.equal((await other.next('sync_start')).totalDeltas, 0)
    await peer.end()
    await other.end()
  },

  async 'one more than there is room for is told so'({ small }) {
    const peers = [await Peer.greeted(small), await Peer.greeted(small)]
    const third = await Peer.open(small)
    assert.deepEqual(await third.closed, { code: 1008, reason: 'Max connections reached' })
    await peers[0].end()
    await sleep(QUIET_MS)
    await (await Peer.greeted(small)).end()
    await peers[1].end()
  },

  async 'a token is asked for at the door'({ token }) {
    const status = (options, protocols) =>
      new Promise((resolve) => {
        const socket = new WebSocket(token, protocols, options)
        socket.on('unexpected-response', (_, response) => resolve(response.statusCode))
        socket.on('open', () => {
          resolve('open')
          socket.close()
        })
        socket.on('error', () => {})
      })
    assert.equal(await status({}), 401)
    assert.equal(await status({ headers: { authorization: 'Bearer wrong' } }), 401)
    assert.equal(await status({ headers: { authorization: 'Bearer a-secret-of-peers' } }), 'open')
    assert.equal(await status({}, ['bearer.a-secret-of-peers']), 'open')
    assert.equal(await status({}, ['bearer.wrong']), 401)
  },
}

// --- the server ------------------------------------------------------------------------------------

/** Each is one connection of the client, which comes back after each. */
const asServer = [
  async function aServerOfTheOriginal(peer, order) {
    const hello = await peer.next('hello')
    assert.equal(hello.protocol, PROTOCOL)
    assert.equal(hello.config.mode, 'bidirectional')
    assert.equal(hello.config.reconnect.enabled, true)
    assert.ok(!hello.capabilities.includes('deflate'), 'nothing is packed on one machine')
    peer.say({ type: 'hello_ack', systemId: 'js-server', linkId: 'x', protocol: PROTOCOL })
    const request = await peer.next('sync_request')
    assert.ok(!('cursor' in request), 'no extension that was not offered')
    // What the client had before goes to a server that it has not met.
    assert.equal((await peer.next('delta')).delta.id, 'local 0')
    peer.say({ type: 'delta_ack', deltaId: 'local 0' })
    peer.say({ type: 'sync_start', totalDeltas: 3, batchSize: 100 })
    const bad = delta('bad', 1, { pointers: [{ role: 'a', target: null }] })
    peer.say({ type: 'sync_batch', deltas: [delta('s1', 1.5), bad, delta('s2', 2)], batchNumber: 0, isLastBatch: true })
    peer.say({ type: 'sync_complete', deltasProcessed: 3 })
    assert.equal((await peer.next('delta_nack')).deltaId, 'bad')
    peer.say({ type: 'delta', delta: delta('s3', 3) })
    assert.equal((await peer.next('delta_ack')).deltaId, 's3')
    order('append local 1')
    const { delta: own } = await peer.next('delta')
    assert.equal(own.id, 'local 1')
    peer.say({ type: 'delta_ack', deltaId: own.id })
    // It comes back, as from a server that sends to everybody; and again.
    for (let round = 0; round < 3; round += 1) peer.say({ type: 'delta', delta: own })
    for (let round = 0; round < 3; round += 1) await peer.next('delta_ack')
    await peer.quiet()
    peer.socket.terminate()
  },

  async function aServerThatWasGone(peer, order) {
    await peer.next('hello')
    peer.say({ type: 'hello_ack', systemId: 'js-server', linkId: 'y', protocol: PROTOCOL })
    await peer.next('sync_request')
    peer.say({ type: 'sync_start', totalDeltas: 1, batchSize: 100 })
    peer.say({ type: 'sync_batch', deltas: [delta('s1', 1.5)], batchNumber: 0, isLastBatch: true })
    peer.say({ type: 'sync_complete', deltasProcessed: 1 })
    await peer.quiet()
    order('append local 2')
    assert.equal((await peer.next('delta')).delta.id, 'local 2')
    // Refused, and then acknowledged as servers of the original do.
    peer.say({ type: 'delta_nack', deltaId: 'local 2', reason: 'Failed trust policy verification' })
    peer.say({ type: 'delta_ack', deltaId: 'local 2' })
    peer.say({ type: 'ping' })
    await peer.next('pong')
    peer.say({ type: 'error', code: 'SYNC_ERROR', message: 'a pity', fatal: true })
    await peer.closed
  },

  async function aServerThatGoesWhileItSyncs(peer) {
    await peer.next('hello')
    peer.say({ type: 'hello_ack', systemId: 'js-server' })
    await peer.next('sync_request')
    peer.say({ type: 'sync_start', totalDeltas: 2, batchSize: 1 })
    peer.say({ type: 'sync_batch', deltas: [delta('s4', 4)], batchNumber: 0, isLastBatch: false })
    await sleep(QUIET_MS)
    peer.socket.terminate()
  },

  async function aServerThatTalksNonsense(peer) {
    await peer.next('hello')
    peer.socket.send('nonsense')
    await peer.next('error')
    await peer.closed
  },

  async function aServerThatIsFull(peer) {
    await peer.next('hello')
    peer.socket.close(1008, 'Max connections reached')
    await peer.closed
  },

  async function aServerWithoutAPast(peer) {
    await peer.next('hello')
    peer.say({ type: 'hello_ack', systemId: 'js-server', linkId: 'z', protocol: PROTOCOL })
    await peer.next('sync_request')
    peer.say({ type: 'error', code: 'SYNC_NOT_SUPPORTED', message: 'no' })
    peer.say({ type: 'delta', delta: delta('s5', 5) })
    await peer.next('delta_ack')
    await peer.quiet()
    peer.say({ type: 'error', code: 'X', message: 'done', fatal: true })
    await peer.closed
  },
]

async function serve() {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/federation' })
  await new Promise((resolve) => server.once('listening', resolve))
  console.log(`listening ${server.address().port}`)
  for (const play of asServer) {
    const peer = await new Promise((resolve) => {
      server.once('connection', (socket) => resolve(new Peer(socket)))
    })
    await play(peer, console.log)
    console.error(`as a server: ${play.name}`)
  }
  server.close()
  console.log('done')
}

async function main([role, urls]) {
  if (role === 'server') return serve()
  for (const [name, play] of Object.entries(asClient)) {
    try {
      await play(JSON.parse(urls))
    } catch (error) {
      error.message = `as a client: ${name}: ${error.message}`
      throw error
    }
    console.log(`as a client: ${name}`)
  }
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error) => {
    console.error(error)
    process.exit(1)
  },
)
