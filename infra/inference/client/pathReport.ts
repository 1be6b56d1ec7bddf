import type { Privacy } from '../protocol/network/privacy.ts'

/**
 * What a client found when it checked what it was charged.
 *
 * | word | meaning |
 * |---|---|
 * | `ok` | signed by the node for this request and payment, and no more than price times the usage in the answer |
 * | `usage-missing` | signed, and the answer names no usage to compare it with |
 * | `absent` | there is none; then everything has to have come back, and did |
 * | `overcharged` | signed, and more than price times usage |
 * | `forged` | not signed by the node for this request, ceiling and model: the gateway, which checks it too, passed it on |
 * | `change-short` | the gateway returned another number of tokens than the receipt leaves |
 * | `change-invalid` | the gateway's change does not verify, or there is none |
 * | `unknown` | the answer's end did not arrive, or the gateway says that the tokens were spent before |
 */
export type ReceiptCheck =
  | 'ok'
  | 'usage-missing'
  | 'absent'
  | 'overcharged'
  | 'forged'
  | 'change-short'
  | 'change-invalid'
  | 'unknown'

/** One node that was tried. */
export type PathTry = {
  readonly node: string
  readonly operator: string
  /** What was paid, in tokens. */
  readonly paid: number
  /** What came back of it. */
  readonly returned: number
  /** Paid, and not known whether it comes back: the network asks for it later. */
  readonly unsettled: number
  /** Why it was not the answer, such as `node_unavailable`; null for the last one when it answered. */
  readonly code: string | null
  readonly receipt: ReceiptCheck
  /** How often the payment was sent. */
  readonly sent: number
}

/** The path of one request. It holds nothing of what was asked or answered. */
export type PathReport = {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly kind: 'request' | 'cover'
  readonly resource: '/v1/chat/completions' | '/v1/embeddings'
  /** `answered` also when the answer is an error of the model's server. */
  readonly outcome: 'answered' | 'refused' | 'broken' | 'aborted'
  /** The status that the caller got. */
  readonly status: number
  /** The code of a refusal or fault, else null. */
  readonly code: string | null
  readonly model: string
  /** The word that was kept. */
  readonly privacy: Privacy | null
  /** The relay that carried the answer, as a URL; null where none was asked. */
  readonly relay: string | null
  readonly gateway: string | null
  readonly epoch: number | null
  readonly node: string | null
  readonly operator: string | null
  /** Tokens that are gone, over all tries; those not settled yet among them. */
  readonly spent: number
  readonly returned: number
  readonly unsettled: number
  readonly receipt: ReceiptCheck
  /** Bytes: of the sealed request to the node, of that to the gateway, and of the answer as the relay saw it. */
  readonly sizes: { readonly inner: number; readonly outer: number; readonly answer: number }
  /** Milliseconds until the answer began; null when it did not. */
  readonly firstByteMs: number | null
  readonly tries: readonly PathTry[]
}
