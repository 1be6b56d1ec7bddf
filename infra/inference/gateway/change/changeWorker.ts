import { parentPort } from 'node:worker_threads'
import { InvariantError } from '../../../../runtime/core/errors.ts'
import type { TokenKeyPair } from '../../tokens/blindRsa/keys.ts'
import { signChange } from '../../tokens/change/signChange.ts'
import { TokenError } from '../../tokens/errors.ts'
import type { FromSigner, ToSigner } from './messages.ts'

/* Signs change in a thread of its own, since each signature keeps a core busy for a fifth of a millisecond. */

if (parentPort === null) throw new InvariantError('This module runs in a worker thread.')
const port = parentPort
let keys: readonly TokenKeyPair[] = []

port.on('message', (message: ToSigner) => {
  if (message.kind === 'keys') {
    keys = message.keys
    return
  }
  for (const { id, ...job } of message.jobs) {
    try {
      port.postMessage({ id, signatures: signChange({ keys, ...job }) } satisfies FromSigner)
    } catch (error) {
      const refused = error instanceof TokenError ? error.code : 'INVARIANT'
      port.postMessage({ id, refused } satisfies FromSigner)
    }
  }
})
