import type { Hex } from 'viem'
import { z } from 'zod'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Answered } from '../approvals/desk.ts'
import { type ApprovalView, answerSchema, viewsSchema } from '../approvals/view.ts'
import { type Answer, ask, RuntimeAnswerError, refusal } from './client.ts'

const UNPROCESSABLE = 422

/** The running runtime did not take an answer to a request for approval. */
export class ApprovalRefusedError extends InvalidInputError {
  override readonly name = 'ApprovalRefusedError'
  constructor({ error, code, fix }: z.output<typeof refusedSchema>) {
    super(error, { code, ...(fix === null ? {} : { fix }) })
  }
}

const refusedSchema = z.object({
  error: z.string(),
  code: z.string().regex(/^[A-Z_]{1,64}$/),
  fix: z.string().nullable(),
})

/**
 * @returns what people are asked; null when no runtime runs on the folder
 * @throws {RuntimeAnswerError} when one runs, but does not answer in time or as it should.
 */
export async function fetchApprovals(
  directory: string,
  all: boolean,
): Promise<readonly ApprovalView[] | null> {
  const answer = await ask(directory, `/approvals${all ? '?all' : ''}`, { method: 'GET' })
  if (answer === null) return null
  if (answer.status !== 200) throw refusal('did not say what is asked', answer)
  return parsed(viewsSchema, answer.body).approvals
}

/**
 * @returns what came of it; null when no runtime runs on the folder
 * @throws {ApprovalRefusedError} when the signature does not count, or nobody is asked (any more).
 */
export const sendSignature = (directory: string, id: Hash, signature: Hex): Promise<Answered | null> =>
  send(directory, `/approvals/${id}/signatures`, { signature })

/** As {@link sendSignature}, for a no. */
export const sendRejection = (directory: string, id: Hash, reason: string): Promise<Answered | null> =>
  send(directory, `/approvals/${id}/rejection`, { reason })

async function send(directory: string, path: string, body: unknown): Promise<Answered | null> {
  const answer = await ask(directory, path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  })
  if (answer === null) return null
  if (answer.status === UNPROCESSABLE) throw refused(answer)
  if (answer.status !== 200) throw refusal('did not take the answer', answer)
  return parsed(answerSchema, answer.body)
}

function refused(answer: Answer): Error {
  const said = refusedSchema.safeParse(answer.body)
  return said.success ? new ApprovalRefusedError(said.data) : refusal('did not take the answer', answer)
}

function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  throw new RuntimeAnswerError('is of another version')
}
