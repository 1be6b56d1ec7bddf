import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { InvariantError } from '../../runtime/core/errors.ts'

/** One JSON-RPC request as it came in. */
export type ProxiedRequest = { readonly method: string; readonly params: readonly unknown[] }

/**
 * What happens to a request. Those that forward do so before anything else: the node has done what it was asked.
 *
 * | fault | forwarded | the caller sees |
 * |---|---|---|
 * | `error` | no | that JSON-RPC error |
 * | `result` | no | that result |
 * | `rewrite` | yes | the node's result, changed |
 * | `hide` | no | "method not found" |
 * | `refuse` | no | a connection that is reset |
 * | `drop` | yes | a connection that is reset |
 * | `stall` | yes | an answer that never comes |
 * | `stallBody` | yes | headers, the first bytes of the answer, and then nothing |
 * | `hold` | yes | the answer once `until` resolves |
 * | `status` | no | that HTTP status, and a body that is no JSON-RPC |
 * | `garbage` | yes | that text in place of JSON |
 */
export type Fault =
  | { readonly kind: 'error'; readonly code: number; readonly message: string; readonly data?: unknown }
  | { readonly kind: 'result'; readonly result: unknown }
  | { readonly kind: 'rewrite'; readonly change: (result: unknown, request: ProxiedRequest) => unknown }
  | { readonly kind: 'hide' | 'refuse' | 'drop' | 'stall' | 'stallBody' }
  | { readonly kind: 'hold'; readonly until: Promise<void> }
  | { readonly kind: 'status'; readonly status: number; readonly body?: string }
  | { readonly kind: 'garbage'; readonly text: string }

export type Rule = {
  /** The methods it is for; all when absent. */
  readonly method?: string | RegExp
  /** Further condition on the request. */
  readonly when?: (request: ProxiedRequest) => boolean
  /** How many matching requests it is for; without end when absent. */
  readonly times?: number
  readonly fault: Fault
}

export type RpcProxy = {
  readonly url: string
  /** All requests so far, in order of arrival. */
  readonly requests: readonly ProxiedRequest[]
  /** Adds a rule. The newest rule that matches decides. @returns takes it away again. */
  on(rule: Rule): () => void
  /** Forgets all rules and requests. */
  reset(): void
  /** Resolves at the n-th request of a method since the last reset, counted from 1. */
  seen(method: string, n?: number): Promise<void>
  /** Closes all connections, those that stall among them. */
  close(): Promise<void>
}

/**
 * A JSON-RPC proxy that passes everything through, but for what its rules say. For the faults that a local node
 * does not have: lost answers, missing methods, lies, and the manners of other nodes.
 *
 * @param upstream the node's HTTP URL
 * @example
 * const proxy = await startRpcProxy(world.url)
 * proxy.on({ method: 'eth_sendRawTransaction', times: 1, fault: { kind: 'drop' } })
 */
export async function startRpcProxy(upstream: string): Promise<RpcProxy> {
  let rules: { rule: Rule; left: number }[] = []
  let requests: ProxiedRequest[] = []
  let waiting: { method: string; n: number; resolve: () => void }[] = []
  const sockets = new Set<Socket>()

  const count = (method: string) => requests.filter((request) => request.method === method).length

  function record(request: ProxiedRequest): void {
    requests.push(request)
    const isDue = ({ method, n }: { method: string; n: number }) => count(method) >= n
    for (const { resolve } of waiting.filter(isDue)) resolve()
    waiting = waiting.filter((entry) => !isDue(entry))
  }

  function faultFor(request: ProxiedRequest): Fault | null {
    const entry = rules.findLast(({ rule, left }) => left > 0 && matches(rule, request))
    if (entry === undefined) return null
    entry.left -= 1
    return entry.rule.fault
  }

  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing, upstream, record, faultFor).catch(() => {
      // The node is gone, or the caller is: what a proxy does then is to hang up.
      outgoing.destroy()
    })
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  return {
    url: `http://127.0.0.1:${port}`,
    get requests() {
      return requests
    },
    on(rule) {
      const entry = { rule, left: rule.times ?? Number.POSITIVE_INFINITY }
      rules.push(entry)
      return () => {
        rules = rules.filter((other) => other !== entry)
      }
    },
    reset() {
      rules = []
      requests = []
    },
    seen: (method, n = 1) =>
      count(method) >= n
        ? Promise.resolve()
        : new Promise((resolve) => {
            waiting.push({ method, n, resolve })
          }),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

const matches = ({ method, when }: Rule, request: ProxiedRequest): boolean =>
  (method === undefined ||
    (typeof method === 'string' ? method === request.method : method.test(request.method))) &&
  (when?.(request) ?? true)

type Answer = { jsonrpc: '2.0'; id: unknown; result?: unknown; error?: unknown }

async function serve(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  upstream: string,
  record: (request: ProxiedRequest) => void,
  faultFor: (request: ProxiedRequest) => Fault | null,
): Promise<void> {
  const parts: Buffer[] = []
  for await (const part of incoming) parts.push(part as Buffer)
  const body = JSON.parse(Buffer.concat(parts).toString('utf8'))
  if (Array.isArray(body)) throw new InvariantError('The proxy takes no batches.')
  const { id, method, params = [] } = body as { id: unknown; method: string; params?: readonly unknown[] }
  const request = { method, params }
  const fault = faultFor(request)
  const answer = (members: Partial<Answer>) => JSON.stringify({ jsonrpc: '2.0', id, ...members })
  const send = (text: string, status = 200) =>
    outgoing.writeHead(status, { 'content-type': 'application/json' }).end(text)
  const forward = async () => {
    const response = await fetch(upstream, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return (await response.json()) as Answer
  }

  if (fault === null) {
    const passed = await forward()
    record(request)
    send(JSON.stringify(passed))
    return
  }
  switch (fault.kind) {
    case 'error':
      record(request)
      send(answer({ error: { code: fault.code, message: fault.message, data: fault.data } }))
      return
    case 'result':
      record(request)
      send(answer({ result: fault.result }))
      return
    case 'hide':
      record(request)
      send(
        answer({ error: { code: -32601, message: `the method ${method} does not exist/is not available` } }),
      )
      return
    case 'refuse':
      record(request)
      outgoing.destroy()
      return
    case 'status':
      record(request)
      send(fault.body ?? 'no', fault.status)
      return
  }
  const passed = await forward()
  record(request)
  switch (fault.kind) {
    case 'rewrite':
      send(
        passed.error === undefined
          ? answer({ result: fault.change(passed.result, request) })
          : JSON.stringify(passed),
      )
      return
    case 'drop':
      outgoing.destroy()
      return
    case 'stall':
      return
    case 'stallBody':
      outgoing.writeHead(200, { 'content-type': 'application/json' }).write('{"jsonrpc":"2.0",')
      return
    case 'hold':
      await fault.until
      send(JSON.stringify(passed))
      return
    case 'garbage':
      send(fault.text)
      return
  }
}
