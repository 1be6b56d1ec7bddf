import type { Address } from 'viem'
import { expect } from 'vitest'
import type { Signer } from '../../runtime/core/ports.ts'

/** A signer under test, and its two accounts. */
export type SignerBench = { readonly signer: Signer; readonly account: Address; readonly other: Address }

/** An error of the signer. */
export const refusal = (code: string, details: object = {}) =>
  expect.objectContaining({ code, details: expect.objectContaining(details) })
