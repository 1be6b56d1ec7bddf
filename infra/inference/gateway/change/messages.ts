import type { TokenKeyPair } from '../../tokens/blindRsa/keys.ts'
import type { TokenRequest } from '../../tokens/privacyPass/issuance.ts'

/** Change that is to be signed. @see signChange */
export type SigningJob = {
  readonly id: number
  readonly requests: readonly TokenRequest[]
  readonly paid: number
  readonly due: number
}

export type ToSigner =
  /** What is signed with from now on. */
  | { readonly kind: 'keys'; readonly keys: readonly TokenKeyPair[] }
  | { readonly kind: 'jobs'; readonly jobs: readonly SigningJob[] }

/** One job that was done, or why it was not: the code of the error, which tells nothing of a key. */
export type FromSigner =
  | { readonly id: number; readonly signatures: readonly Uint8Array[] }
  | { readonly id: number; readonly refused: string }
