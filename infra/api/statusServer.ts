import { randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { describeError, RialtoError } from '../../runtime/core/errors.ts'
import type { ApprovalDesk } from '../approvals/desk.ts'
import { approvalRoutes } from './approvalRoutes.ts'
import { findStranger, type Status, type TradingOrder, tradingOrderSchema } from './status.ts'

/** The status port cannot be opened. */
export class StatusPortError extends RialtoError {
  override readonly name = 'StatusPortError'
  constructor(port: number, cause: unknown) {
    const code = (cause as NodeJS.ErrnoException).code
    super(
      'STATUS_PORT',
      code === 'EADDRINUSE'
        ? `Port ${port} on 127.0.0.1 is taken.`
        : `Port ${port} on 127.0.0.1 cannot be opened (${code ?? 'unknown error'}).`,
      { fix: 'Name another one with --port, or --port 0 for any that is free.', cause, details: { port } },
    )
  }
}

export type StatusServer = {
  readonly url: string
  /** What a client has to show: `Authorization: Bearer <token>`. New on every start. */
  readonly token: string
  close(): Promise<void>
}

export type StatusServerOptions = {
  /** On loopback; 0 takes any that is free. */
  readonly port: number
  status(): Promise<Status>
  /** Whom an order can be for. */
  known(): { readonly agents: readonly string[]; readonly accounts: readonly string[] }
  order(order: TradingOrder): Promise<void>
  /** Where people answer what they are asked. */
  readonly approvals?: ApprovalDesk
}

/**
 * Serves the runtime's status to the same user on the same machine.
 *
 * It listens on loopback only and wants a token that stands in a file which only the user can read: a web page in a
 * browser on the same machine can reach the port, but it cannot show the token.
 *
 * @throws {StatusPortError} when the port is taken.
 */
export async function startStatusServer(options: StatusServerOptions): Promise<StatusServer> {
  const token = randomBytes(24).toString('hex')
  const app = new Hono()
  app.get('/healthz', (context) => context.json({ ok: true }))
  app.use('*', async (context, next) => {
    if (!sameText(context.req.header('authorization') ?? '', `Bearer ${token}`))
      return context.json({ error: 'The token is missing or wrong.' }, 401)
    return next()
  })
  app.get('/status', async (context) => context.json(await options.status()))
  app.post('/trading-state', async (context) => {
    const order = tradingOrderSchema.safeParse(await context.req.json().catch(() => null))
    if (!order.success) return context.json({ error: 'The order is malformed.' }, 400)
    const stranger = findStranger(order.data.scope, options.known())
    if (stranger !== null) return context.json({ error: stranger }, 422)
    await options.order(order.data)
    const { agents } = await options.status()
    return context.json({ agents: agents.map(({ id, tradingState }) => ({ id, tradingState })) })
  })
  if (options.approvals !== undefined) app.route('/approvals', approvalRoutes(options.approvals))
  app.notFound((context) => context.json({ error: 'There is no such page.' }, 404))
  app.onError((error, context) => context.json({ error: describeError(error) }, 500))

  const server = createServer(getRequestListener(app.fetch))
  await listen(server, options.port)
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : options.port
  return {
    url: `http://127.0.0.1:${port}`,
    token,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new StatusPortError(port, error)))
    server.listen(port, '127.0.0.1', () => resolve())
  })
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
