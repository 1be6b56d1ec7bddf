import { z } from 'zod'

/**
 * An error as OpenAI's clients read it, with what Rialto adds under `rialto`: which limit was hit and what became of
 * the payment.
 */
export const problemSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
    rialto: z
      .object({
        /** Who refused. */
        role: z.enum(['client', 'relay', 'gateway', 'node', 'mint', 'upstream']),
        /** Payment tokens that are gone, and that came back. Filled in by the client, which alone knows. */
        spent: z.int().optional(),
        returned: z.int().optional(),
        limit: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
      })
      .optional(),
  }),
})
export type Problem = z.infer<typeof problemSchema>

/** What a role answers when it refuses. The messages are fixed texts: none quotes what was sent. */
export type Refusal = {
  readonly status: number
  /** A stable word, like `node_unavailable`. */
  readonly code: string
  readonly message: string
  readonly role: 'client' | 'relay' | 'gateway' | 'node' | 'mint' | 'upstream'
  readonly limit?: Readonly<Record<string, string | number>>
}

/** The body of a refusal. */
export const problemOf = ({ status, code, message, role, limit }: Refusal): Problem => ({
  error: {
    message,
    type: typeOf(status),
    param: null,
    code,
    rialto: { role, ...(limit === undefined ? {} : { limit: { ...limit } }) },
  },
})

/** OpenAI's own words for the kinds of errors. */
function typeOf(status: number): string {
  if (status === 401) return 'authentication_error'
  if (status === 402) return 'insufficient_quota'
  if (status === 429) return 'rate_limit_error'
  return status >= 500 ? 'server_error' : 'invalid_request_error'
}
