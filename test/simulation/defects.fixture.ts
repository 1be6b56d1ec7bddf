import type { Hash } from '../../runtime/core/ids.ts'
import { type Journal, NonceTakenError } from '../../runtime/core/journal.ts'
import type { Chain, Signer } from '../../runtime/core/ports.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { usd } from '../../runtime/core/units.ts'
import type { TradingState } from '../../runtime/core/verdict.ts'
import type { Invariant } from './invariants.ts'
import { type Defect, PROTECTOR } from './simulateSeed.ts'

/** The same port with some methods of its own. */
const changed = <T extends object>(port: T, methods: Partial<T>): T =>
  new Proxy(port, { get: (target, key) => Reflect.get(methods, key) ?? Reflect.get(target, key) })

/** A defect, and what it has to break. Each is one that a careful person could write. */
export type Mutant = { readonly name: string; readonly breaks: Invariant; readonly defect: Defect }

/** A signer that knows nothing of what it signed, and another nonce for what replaces something. */
const onNewNonces: Defect = {
  rules: (history) => ({ ...history, replay: () => null, admit: () => undefined }),
  signer: (signer) =>
    changed<Signer>(signer, {
      sign: (request) =>
        signer.sign(request.attemptId.endsWith('.1') ? request : { ...request, nonce: request.nonce + 1n }),
    }),
}

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
      // Whoever asks people first, or acts below a high floor, does too little to come near a cap.
      parts: { hasApprovers: false, graceBlocks: null, isPrivate: false },
      needs: ['price falls'],
    },
  },
  {
    name: 'bytes whose block is gone that are taken for pending at once',
    breaks: 'attempts move along the arrows of the state machine only',
    defect: {
      journal: (journal) =>
        changed<Journal>(journal, {
          attempts: async () =>
            (await journal.attempts()).map((attempt) =>
              attempt.status === 'reorged' ? { ...attempt, status: 'pending' } : attempt,
            ),
        }),
      needs: ['reorg'],
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
    defect: onNewNonces,
  },
  {
    // The same again: what is signed twice is mined twice once both nonces are free.
    name: 'a replacement on a new nonce, and both are mined',
    breaks: 'mined per intent is at most one',
    defect: onNewNonces,
  },
  {
    name: 'gaps that are left to somebody else to fill',
    breaks: 'no nonce gap is left',
    defect: {
      journal: (journal) =>
        changed<Journal>(journal, {
          async prepare(lease, attempt) {
            if (attempt.purpose === 'fill')
              throw new NonceTakenError(attempt.account, attempt.nonce, attempt.id)
            return journal.prepare(lease, attempt)
          },
        }),
      needs: ['outside transaction', 'send: accepted, then forgotten', 'signer signs, answer lost'],
    },
  },
  {
    name: 'orders that are read once and remembered',
    breaks: "nothing is signed against the owner's orders",
    defect: {
      orders: (orders) => {
        let known: TradingState | undefined
        return {
          ...orders,
          stateFor(target) {
            known ??= orders.stateFor(target)
            return known
          },
        }
      },
      journal: (journal) => changed<Journal>(journal, { tradingState: async () => 'active' }),
      needs: ['halt', 'halt --reduce-only'],
    },
  },
  {
    name: 'approvals that are asked for by no part of the product',
    breaks: 'nothing that needs a person is signed without one',
    defect: {
      policy: (policy) => ({
        ...policy,
        mode: 'execute',
        approvals: { ...policy.approvals, personAbove: null },
      }),
      parts: { hasApprovers: true },
    },
  },
  {
    name: 'a protector that acts as soon as it sees danger',
    breaks: 'the protector leaves time to whoever thinks',
    defect: { graceBlocks: () => 0n, parts: { graceBlocks: 3n }, needs: ['price falls'] },
  },
  {
    name: 'blocks of privacy that are taken for seconds',
    breaks: 'bytes stay private as long as the policy says',
    defect: {
      policy: ({ submission, ...policy }) => ({
        ...policy,
        submission: { ...submission, publicAfterBlocks: submission.publicAfterBlocks === null ? null : 0 },
      }),
      parts: { isPrivate: true },
    },
  },
  {
    name: 'a protector that nobody starts again',
    breaks: 'a position under the hard floor is rescued',
    defect: {
      revives: (name) => name !== PROTECTOR,
      parts: { graceBlocks: 0n, hasApprovers: false },
      needs: ['protector killed', 'price falls'],
    },
  },
  {
    name: 'seconds of an oracle’s age that are taken for milliseconds, so that guards refuse every rescue',
    breaks: 'a position under the hard floor is rescued',
    defect: {
      policy: ({ riskReducing, ...policy }) => {
        const { oracle } = riskReducing
        const maxAgeSeconds = Math.floor(oracle.maxAgeSeconds / 1_000)
        return { ...policy, riskReducing: { ...riskReducing, oracle: { ...oracle, maxAgeSeconds } } }
      },
      parts: { graceBlocks: 0n, hasApprovers: false },
      needs: ['price falls'],
    },
  },
  {
    name: 'a rule that finds nothing to do',
    breaks: 'a position under the hard floor is rescued',
    defect: {
      rule: ({ proposal: { expiresAtBlock } }) => ({
        proposal: { kind: 'nothing', expiresAtBlock },
        reason: 'nothing helps',
      }),
      parts: { graceBlocks: 0n, hasApprovers: false },
      needs: ['price falls'],
    },
  },
]
