import { type Context, Hono } from 'hono'
import type { Hex } from 'viem'
import { z } from 'zod'
import { RialtoError } from '../../runtime/core/errors.ts'
import type { Answered, ApprovalDesk } from '../approvals/desk.ts'
import { encodeView } from '../approvals/view.ts'

const idSchema = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/i)
  .transform((text) => text.toLowerCase() as Hex)
const signatureSchema = z.strictObject({
  signature: z
    .string()
    .max(1_000)
    .transform((text) => text as Hex),
})
const rejectionSchema = z.strictObject({ reason: z.string().max(200) })

/** What was asked cannot be done, and asking again changes nothing. */
const UNPROCESSABLE = 422

/** `/approvals`, behind the token of the status server: what people are asked, and their answers. */
export function approvalRoutes(desk: ApprovalDesk): Hono {
  const app = new Hono()
  app.get('/', async (context) => {
    const views = await desk.list(context.req.query('all') !== undefined)
    return context.json({ approvals: views.map(encodeView) })
  })
  app.post('/:id/signatures', (context) =>
    answer(context, signatureSchema, (id, { signature }) => desk.approve(id, signature)),
  )
  app.post('/:id/rejection', (context) =>
    answer(context, rejectionSchema, (id, { reason }) => desk.reject(id, reason)),
  )
  return app
}

async function answer<T>(
  context: Context,
  schema: z.ZodType<T>,
  work: (id: Hex, body: T) => Promise<Answered>,
): Promise<Response> {
  const id = idSchema.safeParse(context.req.param('id'))
  const body = schema.safeParse(await context.req.json().catch(() => null))
  if (!id.success || !body.success) return context.json({ error: 'The answer is malformed.' }, 400)
  try {
    const { approval, changed } = await work(id.data, body.data)
    return context.json({ approval: encodeView(approval), changed })
  } catch (error) {
    if (!(error instanceof RialtoError) || error.retryable) throw error
    const { code, message, fix } = error
    return context.json({ error: message, code, fix: fix ?? null }, UNPROCESSABLE)
  }
}
