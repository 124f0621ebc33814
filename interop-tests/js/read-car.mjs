// Reads an archive, hashes every block, prints its roots, blocks and bytes as JSON.

import { createReadStream } from 'node:fs'
import { CarBlockIterator } from '@ipld/car'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'

const reader = await CarBlockIterator.fromIterable(createReadStream(process.argv[2]))
const roots = (await reader.getRoots()).map(String)
const blocks = []
let bytes = 0
for await (const block of reader) {
  const digest = await sha256.digest(block.bytes)
  const name = CID.createV1(block.cid.code, digest).toString()
  if (name !== block.cid.toString()) throw new Error(`block ${block.cid} is not what it is called`)
  blocks.push(name)
  bytes += block.bytes.length
}
console.log(JSON.stringify({ roots, blocks, bytes }))
