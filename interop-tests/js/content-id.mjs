// The content ids of deltas by the DAG-CBOR of others (DELTA-6): deltas as JSON in, one a line; ids out.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'

for (const line of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const { author, system, timestamp, pointers } = JSON.parse(line)
  const said = pointers.map(({ role, target }) => {
    if (typeof target !== 'object') return { role, target }
    const { id, context } = target
    return { role, target: context === undefined ? { id } : { id, context } }
  })
  const bytes = encode({ author, system, timestamp, pointers: said })
  const digest = create(0x12, createHash('sha256').update(bytes).digest())
  console.log(CID.createV1(0x71, digest).toString())
}
