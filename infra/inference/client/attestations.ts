import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { PinnedTrust } from '../protocol/attestation/verifyAttestation.ts'
import type { VerifiedNode } from '../protocol/network/nodeDescription.ts'
import { type AttestationState, type Judgement, judgeAttestation } from './catalogue.ts'

/** What the attestations of nodes prove, verified when somebody wants to know and remembered for as long as it holds. */
export type Attestations = {
  /** What is known of a node without any work. */
  stateOf(node: VerifiedNode): AttestationState
  /**
   * Verifies nodes that are `unchecked`, in an order that is drawn, with a turn of the event loop for everybody else
   * between any two: one takes up to half a second.
   *
   * @param options.epoch of the directory that names them: of one epoch a bounded number is verified, so that nobody
   * keeps a client busy with a directory full of quotes. What is left stays `unchecked`
   * @param options.enough ends as soon as so many of them turned out well
   */
  verify(
    nodes: readonly VerifiedNode[],
    options: { readonly epoch: number; readonly enough: number },
  ): Promise<void>
  /** Changes with each verdict. */
  version(): number
}

/** How many quotes of one epoch are verified at most. */
const mostPerEpoch = 64
/** How many verdicts are remembered. */
const mostVerdicts = 1_024
/** Milliseconds for which a refusal is remembered: its cause may be a clock, or something that is not valid yet. */
const refusalHolds = 3_600_000

/**
 * @param parameters.judge verifies one; replaced in tests
 * @param parameters.onFailed told of each attestation that does not hold
 */
export function createAttestations(parameters: {
  readonly pinned: PinnedTrust | undefined
  readonly now: () => number
  readonly random: () => number
  readonly judge?: typeof judgeAttestation
  readonly onFailed: (error: unknown) => void
}): Attestations {
  const { pinned, now, random, judge = judgeAttestation, onFailed } = parameters
  /** By all that a verdict is about, so that a new directory with the same node costs nothing. The oldest first. */
  const verdicts = new Map<string, Judgement>()
  const digests = new WeakMap<VerifiedNode, string>()
  let verified = { epoch: 0, count: 0 }
  let version = 0

  function digestOf(node: VerifiedNode): string {
    let digest = digests.get(node)
    if (digest === undefined) {
      const { identity, keys, description } = node
      const about = [identity.text, Buffer.from(keys).toString('base64'), description.attestation]
      digest = createHash('sha256').update(JSON.stringify(about)).digest('hex')
      digests.set(node, digest)
    }
    return digest
  }

  function stateOf(node: VerifiedNode): AttestationState {
    if (node.description.attestation === undefined) return 'none'
    if (pinned === undefined) return 'unpinned'
    const known = verdicts.get(digestOf(node))
    return known === undefined || known.until <= now() ? 'unchecked' : known.state
  }

  function enter(node: VerifiedNode): AttestationState {
    const at = now()
    const judged = judge(node, pinned, at)
    const until = judged.state === 'failed' ? at + refusalHolds : judged.until
    const digest = digestOf(node)
    verdicts.delete(digest)
    verdicts.set(digest, { ...judged, until })
    const [oldest] = verdicts.keys()
    if (verdicts.size > mostVerdicts && oldest !== undefined) verdicts.delete(oldest)
    version += 1
    if (judged.state === 'failed') onFailed(judged.error)
    return judged.state
  }

  return {
    stateOf,
    version: () => version,
    async verify(nodes, { epoch, enough }) {
      if (epoch !== verified.epoch) verified = { epoch, count: 0 }
      let good = 0
      for (const node of shuffled(nodes, random)) {
        if (good >= enough) return
        await setImmediate()
        // Somebody else may have verified it meanwhile.
        let state = stateOf(node)
        if (state === 'unchecked') {
          if (verified.count >= mostPerEpoch) return
          verified.count += 1
          state = enter(node)
        }
        if (state === 'verified') good += 1
      }
    },
  }
}

/** In an order in which each is as likely: who lists the nodes does not say which are verified. */
function shuffled<Item>(items: readonly Item[], random: () => number): readonly Item[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((left, right) => left.at - right.at)
    .map(({ item }) => item)
}
