import type { PinnedTrust } from '../protocol/attestation/verifyAttestation.ts'
import { verifyAttestation } from '../protocol/attestation/verifyAttestation.ts'
import { isValidAt, type Measurements } from '../protocol/network/directory.ts'
import type { NodeModel, VerifiedNode } from '../protocol/network/nodeDescription.ts'
import type { Price } from '../protocol/network/price.ts'
import type { Privacy } from '../protocol/network/privacy.ts'
import type { NetworkOptions } from './options.ts'

/**
 * What became of a node's attestation: `verified`, `none` where there is none, `unpinned` where the client pins no
 * measurements and so cannot verify any, `failed`, or `unchecked` where it was not verified yet.
 */
export type AttestationState = 'verified' | 'none' | 'unpinned' | 'failed' | 'unchecked'

/** One model of one node, as a client may choose it. */
export type CatalogueEntry = {
  readonly model: string
  readonly node: string
  readonly operator: string
  /** The node's identity, 43 characters of base64url. */
  readonly identity: string
  /** The word that the client can hold the node to: `attested` only when it verified the attestation. */
  readonly privacy: Privacy
  /** In payment tokens for a million of the model's own. */
  readonly price: Price
  /** In the model's own tokens; null where that is not known. */
  readonly context: number | null
  readonly serves: readonly ('chat' | 'embeddings')[]
  /** Measured by the gateway, rounded up; null before any request. */
  readonly firstByteMs: number | null
  readonly errorPercent: number | null
  readonly attestation: AttestationState
  /** Why no request goes to it, or null. */
  readonly refused: 'operator' | 'attestation' | 'expired' | 'lied' | null
}

/** An entry with what a request to it needs. */
export type Candidate = CatalogueEntry & { readonly at: VerifiedNode; readonly offered: NodeModel }

/**
 * All models of all nodes of a directory.
 *
 * @param attestations of each node
 * @param liars identities of nodes that were caught at a lie
 */
export function listCandidates(parameters: {
  readonly nodes: readonly VerifiedNode[]
  readonly attestations: (node: VerifiedNode) => AttestationState
  readonly measurements: Measurements | undefined
  readonly operators: NetworkOptions['pinnedOperators']
  readonly liars: ReadonlySet<string>
  readonly now: number
}): readonly Candidate[] {
  const { nodes, attestations, measurements, operators, liars, now } = parameters
  return nodes.flatMap((at) => {
    const { description, identity } = at
    const attestation = attestations(at)
    const refused = liars.has(identity.text)
      ? 'lied'
      : !isPinned(operators, description.operator, identity.text)
        ? 'operator'
        : !isValidAt(description, now / 1000)
          ? 'expired'
          : null
    return description.models.map((offered): Candidate => {
      const claimsAttested = offered.privacy === 'attested'
      const measured = measurements?.nodes.find(
        ({ node, model }) => node === description.name && model === offered.id,
      )
      return {
        model: offered.id,
        node: description.name,
        operator: description.operator,
        identity: identity.text,
        // Whoever attests runs the model at least, which is the next weaker word; unproven, it is no more.
        privacy: claimsAttested && attestation !== 'verified' ? 'private' : offered.privacy,
        price: offered.price,
        context: offered.context,
        serves: offered.serves,
        firstByteMs: measured?.firstByteMs ?? null,
        errorPercent: measured?.errorPercent ?? null,
        attestation,
        refused: refused ?? (claimsAttested && unproven.has(attestation) ? 'attestation' : null),
        at,
        offered,
      }
    })
  })
}

/** With these a node that claims to be attested is not used, not even as a weaker one. */
const unproven: ReadonlySet<AttestationState> = new Set(['failed', 'none', 'unchecked'])

function isPinned(pinned: NetworkOptions['pinnedOperators'], operator: string, identity: string): boolean {
  if (pinned === undefined) return true
  if (isNames(pinned)) return pinned.includes(operator)
  return Object.hasOwn(pinned, operator) && (pinned[operator]?.includes(identity) ?? false)
}

const isNames = (pinned: NonNullable<NetworkOptions['pinnedOperators']>): pinned is readonly string[] =>
  Array.isArray(pinned)

/** How long an attestation is believed, and why not. */
export type Judgement = {
  readonly state: AttestationState
  /** Milliseconds since 1970. */
  readonly until: number
  /** The refusal, where there is one. */
  readonly error?: unknown
}

/** Verifies a node's attestation against what is pinned. A refusal is an answer here: the node is not used. */
export function judgeAttestation(
  node: VerifiedNode,
  pinned: PinnedTrust | undefined,
  now: number,
): Judgement {
  const { attestation } = node.description
  const until = Number.POSITIVE_INFINITY
  if (attestation === undefined) return { state: 'none', until }
  if (pinned === undefined) return { state: 'unpinned', until }
  try {
    const { validUntil } = verifyAttestation({
      attestation,
      identity: node.identity.bytes,
      keyConfigs: node.keys,
      pinned,
      now,
    })
    return { state: 'verified', until: validUntil }
  } catch (error) {
    return { state: 'failed', until, error }
  }
}

/** The list of models as OpenAI's API has it, with what a private network adds. */
export function modelList(
  entries: readonly CatalogueEntry[],
  privacy: Privacy,
  accepts: (word: Privacy) => boolean,
) {
  const ids = [...new Set(entries.map(({ model }) => model))]
  return {
    object: 'list' as const,
    data: ids.flatMap((id) => {
      const usable = entries.filter(
        (each) => each.model === id && each.refused === null && accepts(each.privacy),
      )
      return usable.length === 0 ? [] : [modelOf(id, usable, privacy)]
    }),
  }
}

/** One model, with the least that is promised by any node that may answer, and the dearest price. */
function modelOf(id: string, nodes: readonly CatalogueEntry[], asked: Privacy) {
  const words = new Set(nodes.map(({ privacy }) => privacy))
  const most = (pick: (price: Price) => number) => Math.max(...nodes.map(({ price }) => pick(price)))
  const contexts = nodes.flatMap(({ context }) => (context === null ? [] : [context]))
  return {
    id,
    object: 'model' as const,
    created: 0,
    owned_by: [...new Set(nodes.map(({ operator }) => operator))].sort().join(', '),
    privacy: words.size === 1 ? ([...words][0] ?? asked) : asked,
    price: { prompt: most(({ prompt }) => prompt), completion: most(({ completion }) => completion) },
    context: contexts.length === 0 ? null : Math.min(...contexts),
    nodes: nodes.length,
  }
}
