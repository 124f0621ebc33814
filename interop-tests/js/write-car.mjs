// Writes a file of 1,000-byte chunks, 4 links a node, into an archive; prints its root.
// Arguments: the archive, a seed, the file's size.

import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { CarWriter } from '@ipld/car'
import { importFile } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import { content } from './xorshift.mjs'

const [path, seed, size] = process.argv.slice(2)
const kept = new Map()
const store = { put: async (cid, bytes) => { kept.set(cid.toString(), { cid, bytes }); return cid } }
const { cid } = await importFile({ content: content(seed, Number(size)) }, store, {
  profile: 'unixfs-v1-2025',
  chunker: fixedSize({ chunkSize: 1000 }),
  layout: balanced({ maxChildrenPerNode: 4 })
})
const { writer, out } = CarWriter.create([cid])
const written = finished(Readable.from(out).pipe(createWriteStream(path)))
for (const block of kept.values()) await writer.put(block)
await writer.close()
await written
console.log(cid.toString())
