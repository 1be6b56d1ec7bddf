import type { Hash } from '../../runtime/core/ids.ts'
import type { Journal } from '../../runtime/core/journal.ts'
import type { Chain, Signer } from '../../runtime/core/ports.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { usd } from '../../runtime/core/units.ts'
import type { Invariant } from './invariants.ts'
import type { Defect } from './simulateSeed.ts'

/** The same port with some methods of its own. */
const changed = <T extends object>(port: T, methods: Partial<T>): T =>
  new Proxy(port, { get: (target, key) => Reflect.get(methods, key) ?? Reflect.get(target, key) })

/** A defect, and what it has to break. Each is one that a careful person could write. */
export type Mutant = { readonly name: string; readonly breaks: Invariant; readonly defect: Defect }

export const mutants: readonly Mutant[] = [
  {
    name: 'a journal that answers before the bytes are stored',
    breaks: 'bytes are recorded before they are sent',
    defect: {
      journal: (journal) =>
        changed<Journal>(journal, {
          async sign(_lease, id, { raw, hash }) {
            const attempt = (await journal.attempts()).find((one) => one.id === id)
            if (attempt === undefined) throw new RangeError('no such attempt')
            return { ...attempt, raw, hash, status: 'signed' }
          },
        }),
    },
  },
  {
    name: 'a settlement that no reorganisation takes back',
    breaks: 'the journal equals the chain',
    defect: {
      journal: (journal) => changed<Journal>(journal, { settledFrom: async () => [] }),
      needs: ['reorg'],
    },
  },
  {
    name: 'an unknown outcome that frees its nonce',
    breaks: 'the journal equals the chain',
    defect: {
      journal: (journal) =>
        changed<Journal>(journal, {
          async advance(id, step) {
            const moved = await journal.advance(id, step)
            if (step.to !== 'unknown') return moved
            const { account, nonce } = moved
            // The genesis block, which no reorganisation takes away.
            const block = { number: 0n, hash: journal.epoch.split('.')[1] as Hash }
            await journal.supersede({ account, nonce, hash: null, block })
            return moved
          },
        }),
      needs: ['send: accepted, then timed out'],
    },
  },
  {
    name: 'a signer that starts without its ledger',
    breaks: 'an intent has signatures on one nonce only',
    defect: { remembers: () => [], needs: ['power cut, journal thrown back', 'outside transaction'] },
  },
  {
    name: 'blocks that are remembered by their number',
    breaks: 'the journal equals the chain',
    defect: {
      chain: (chain) => {
        const known = new Map<bigint, BlockRef>()
        return changed<Chain>(chain, {
          async block(number) {
            const block = known.get(number) ?? (await chain.block(number))
            known.set(number, block)
            return block
          },
        })
      },
      needs: ['reorg'],
    },
  },
  {
    name: 'spending that is not counted',
    breaks: 'spent stays under the cap',
    defect: {
      journal: (journal) =>
        changed<Journal>(journal, {
          history: async (...args) => ({ ...(await journal.history(...args)), spent: usd(0n) }),
        }),
    },
  },
  {
    name: 'open intents that a restart does not take up',
    breaks: 'no intent is lost',
    defect: {
      journal: (journal) => changed<Journal>(journal, { openIntents: async () => [] }),
      needs: ['process killed'],
    },
  },
  {
    name: 'a ledger that nobody looks into',
    breaks: 'the journal equals the chain',
    defect: {
      signer: (signer) => changed(signer, { signedFrom: async () => [] }),
      needs: ['power cut, journal thrown back'],
    },
  },
  {
    name: 'a replacement that is signed on a new nonce',
    breaks: 'an intent has signatures on one nonce only',
    defect: {
      rules: (history) => ({ ...history, replay: () => null, admit: () => undefined }),
      signer: (signer) =>
        changed<Signer>(signer, {
          sign: (request) =>
            signer.sign(
              request.attemptId.endsWith('.1') ? request : { ...request, nonce: request.nonce + 1n },
            ),
        }),
    },
  },
]
