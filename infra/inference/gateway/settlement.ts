import { setTimeout as delay } from 'node:timers/promises'
import { InvariantError, RialtoError } from '../../../runtime/core/errors.ts'
import { encodeChange } from '../protocol/network/payment.ts'
import { toBase64Url } from '../protocol/network/text.ts'
import type { TokenKeyPair } from '../tokens/blindRsa/keys.ts'
import { changeDigest } from '../tokens/change/changeDigest.ts'
import { changeDue } from '../tokens/change/signChange.ts'
import { TokenError } from '../tokens/errors.ts'
import type { NullifierStore } from '../tokens/nullifiers/nullifierStore.ts'
import { encodeTokenResponse } from '../tokens/privacyPass/issuance.ts'
import type { ChangeSigner } from './change/changeSigner.ts'
import type { GatewayMetrics } from './metrics.ts'
import type { CheckedPayment } from './payments.ts'

/** How long a store that cannot be reached is tried again for, in milliseconds, and with which pauses. */
const PATIENCE = 30_000
const FIRST_PAUSE = 50
const LONGEST_PAUSE = 2_000

/** Gives back what a payment was not used for. */
export type Settler = {
  /**
   * Records what a spend gets back and signs it. The signatures leave this process only when the record is durable.
   *
   * @param used in tokens, as the node's receipt says; null without one, and then all comes back
   * @returns the value of the trailer `rialto-change`
   * @throws {TokenError} when it cannot be recorded, {@link ChangeSignerError}
   */
  settle(payment: CheckedPayment, used: number | null): Promise<string>
  /** The change of a spend that was settled before: the same signatures. */
  repeat(payment: CheckedPayment, due: number): Promise<string>
}

export function createSettler(parameters: {
  readonly nullifiers: NullifierStore
  readonly signer: ChangeSigner
  readonly changePairs: () => readonly TokenKeyPair[]
  readonly metrics: GatewayMetrics
  /** Aborted when nothing may be waited for any more. */
  readonly cut: AbortSignal
}): Settler {
  const { nullifiers, signer, changePairs, metrics, cut } = parameters

  async function repeat({ changeRequests, paid }: CheckedPayment, due: number): Promise<string> {
    const signatures = await signer.sign({ keys: changePairs(), requests: changeRequests, paid, due })
    return toBase64Url(encodeChange({ paid, responses: signatures.map(encodeTokenResponse) }))
  }

  /** @returns what is recorded as change, which another process may have settled first. */
  async function record({ spend, changeRequests }: CheckedPayment, due: number): Promise<number> {
    const digests = changeRequests.slice(0, due).map(({ blindedMessage }) => changeDigest(blindedMessage))
    const deadline = performance.now() + PATIENCE
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      try {
        await nullifiers.settle(spend, due, digests)
        return due
      } catch (error) {
        if (error instanceof TokenError && error.code === 'SPEND_SETTLED') {
          const known = await nullifiers.reserve(spend)
          if (known.kind === 'repeated' && known.change !== null) return known.change
          throw new InvariantError('A spend that is settled has its change.')
        }
        // Whether it was recorded is not known; the same again tells, and changes nothing.
        const mayPass = error instanceof RialtoError && error.retryable
        if (!mayPass || cut.aborted || performance.now() > deadline) throw error
        await delay(pause)
      }
    }
  }

  return {
    async settle(payment, used) {
      const due = changeDue({ paid: payment.paid, used })
      // Signing takes longer than the disk does, so both begin at once; what is signed waits for the record.
      const signing = repeat(payment, due)
      signing.catch(() => undefined)
      const recorded = await record(payment, due)
      metrics.changed.inc(recorded)
      return recorded === due ? signing : repeat(payment, recorded)
    },
    repeat,
  }
}
