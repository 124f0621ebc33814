// Reads a JSON list of files to make from standard input, prints a JSON list of their CIDs.
// Each: { seed, size, chunk, links }; without chunk the profile unixfs-v1-2025.

import { readFileSync } from 'node:fs'
import { importFile } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import { content } from './xorshift.mjs'

// Blocks are only named, not kept.
const nowhere = { put: async (cid) => cid }

const names = []
for (const { seed, size, chunk, links } of JSON.parse(readFileSync(0, 'utf8'))) {
  const small = chunk == null
    ? {}
    : {
        chunker: fixedSize({ chunkSize: chunk }),
        layout: balanced({ maxChildrenPerNode: links })
      }
  const options = { profile: 'unixfs-v1-2025', ...small }
  const made = await importFile({ content: content(seed, size) }, nowhere, options)
  names.push(made.cid.toString())
}
console.log(JSON.stringify(names))
