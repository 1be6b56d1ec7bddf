import { type Problem, problemOf, problemSchema, type Refusal } from '../protocol/network/problem.ts'

/** What became of the payment, in tokens. */
export type Cost = { readonly spent: number; readonly returned: number }

/** A refusal with what became of the payment, as a response that OpenAI's clients make their own error of. */
export function respondRefusal(
  refusal: Refusal,
  cost: Cost,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const problem = withCost(problemOf(refusal), refusal, cost)
  return new Response(JSON.stringify(problem), {
    status: refusal.status,
    headers: { 'content-type': 'application/json', ...headers },
  })
}

/** The problem with what became of the payment. */
export const withCost = (problem: Problem, { role }: Pick<Refusal, 'role'>, cost: Cost): Problem => ({
  ...problem,
  error: { ...problem.error, rialto: { role, ...problem.error.rialto, ...cost } },
})

/** A body that is a problem in OpenAI's shape, or undefined. */
export function readProblem(body: Uint8Array): Problem | undefined {
  const parsed = problemSchema.safeParse(parseJson(body))
  return parsed.success ? parsed.data : undefined
}

/** A code that looks like one of ours; undefined for any other: what others write there may quote a prompt. */
export const wordIn = (problem: Problem | undefined): string | undefined => {
  const code = problem?.error.code ?? ''
  return /^[a-z_]{1,40}$/.test(code) ? code : undefined
}

/** A JSON value, or undefined where there is none: the parser's error would quote it. */
export function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'))
  } catch {
    return undefined
  }
}
