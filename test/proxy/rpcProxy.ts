import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
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
 * | `status` | no | that HTTP status with those headers, and a body that is no JSON-RPC |
 * | `garbage` | yes | that text in place of JSON |
 * | `truncate` | yes | headers that promise the whole answer, its first half, and the end of the connection |
 * | `delay` | yes | the answer, that many milliseconds later |
 * | `reorder` | yes | the answer after that of a later request, or after that many milliseconds when none comes |
 * | `duplicate` | twice | the first answer |
 */
export type Fault =
  | { readonly kind: 'error'; readonly code: number; readonly message: string; readonly data?: unknown }
  | { readonly kind: 'result'; readonly result: unknown }
  | { readonly kind: 'rewrite'; readonly change: (result: unknown, request: ProxiedRequest) => unknown }
  | { readonly kind: 'hide' | 'refuse' | 'drop' | 'stall' | 'stallBody' | 'truncate' | 'duplicate' }
  | { readonly kind: 'delay' | 'reorder'; readonly milliseconds: number }
  | { readonly kind: 'hold'; readonly until: Promise<void> }
  | {
      readonly kind: 'status'
      readonly status: number
      readonly body?: string
      readonly headers?: Readonly<Record<string, string>>
    }
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

/** Asks the node behind the proxy. */
export type Forward = (request: ProxiedRequest) => Promise<RpcReply>

export type RpcProxyOptions = {
  /** What befalls a request that no rule is for. Asked once for each, in order of arrival. */
  readonly decide?: (request: ProxiedRequest) => Fault | null
  /** Answers in the node's place whatever is to be forwarded: manners of other nodes. */
  readonly answer?: (request: ProxiedRequest, forward: Forward) => Promise<RpcReply>
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
export async function startRpcProxy(upstream: string, options: RpcProxyOptions = {}): Promise<RpcProxy> {
  let rules: { rule: Rule; left: number }[] = []
  let requests: ProxiedRequest[] = []
  let waiting: { method: string; n: number; resolve: () => void }[] = []
  const sockets = new Set<Socket>()
  const closing = new AbortController()
  /** Resolves those who wait for the answer to a later request. */
  let overtaken: (() => void)[] = []

  const count = (method: string) => requests.filter((request) => request.method === method).length

  function record(request: ProxiedRequest): void {
    requests.push(request)
    const isDue = ({ method, n }: { method: string; n: number }) => count(method) >= n
    for (const { resolve } of waiting.filter(isDue)) resolve()
    waiting = waiting.filter((entry) => !isDue(entry))
  }

  function faultFor(request: ProxiedRequest): Fault | null {
    const entry = rules.findLast(({ rule, left }) => left > 0 && matches(rule, request))
    if (entry === undefined) return options.decide?.(request) ?? null
    entry.left -= 1
    return entry.rule.fault
  }

  const answer = options.answer ?? ((request: ProxiedRequest, forward: Forward) => forward(request))
  const server = createServer((incoming, outgoing) => {
    const node = (request: ProxiedRequest) => askUpstream(upstream, request)
    serve(incoming, outgoing, {
      forward: options.answer === undefined ? node : (request) => answer(request, node),
      record,
      faultFor,
      pause: (milliseconds) => pause(milliseconds, closing.signal),
      untilOvertaken: () =>
        new Promise((resolve) => {
          overtaken.push(resolve)
        }),
      answered() {
        const waiting = overtaken
        overtaken = []
        for (const resolve of waiting) resolve()
      },
    }).catch(() => {
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
      closing.abort()
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

/** A JSON-RPC answer without its id. */
export type RpcReply = {
  readonly result?: unknown
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown }
}

/** Asks a node over HTTP. */
export async function askUpstream(upstream: string, { method, params }: ProxiedRequest): Promise<RpcReply> {
  const response = await fetch(upstream, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  })
  const { result, error } = (await response.json()) as RpcReply
  return error === undefined ? { result } : { error }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(milliseconds, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

type Surroundings = {
  readonly forward: Forward
  readonly record: (request: ProxiedRequest) => void
  readonly faultFor: (request: ProxiedRequest) => Fault | null
  readonly pause: (milliseconds: number) => Promise<void>
  readonly untilOvertaken: () => Promise<void>
  readonly answered: () => void
}

async function serve(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { forward, record, faultFor, pause, untilOvertaken, answered }: Surroundings,
): Promise<void> {
  const parts: Buffer[] = []
  for await (const part of incoming) parts.push(part as Buffer)
  const body = JSON.parse(Buffer.concat(parts).toString('utf8'))
  if (Array.isArray(body)) throw new InvariantError('The proxy takes no batches.')
  const { id, method, params = [] } = body as { id: unknown; method: string; params?: readonly unknown[] }
  const request = { method, params }
  const fault = faultFor(request)
  const json = { 'content-type': 'application/json' }
  const textOf = (reply: RpcReply) => JSON.stringify({ jsonrpc: '2.0', id, ...reply })
  const send = (text: string) => outgoing.writeHead(200, json).end(text, answered)
  const sendError = (code: number, message: string, data?: unknown) =>
    send(textOf({ error: { code, message, ...(data === undefined ? {} : { data }) } }))

  switch (fault?.kind) {
    case 'error':
      record(request)
      return void sendError(fault.code, fault.message, fault.data)
    case 'result':
      record(request)
      return void send(textOf({ result: fault.result }))
    case 'hide':
      record(request)
      return void sendError(-32601, `the method ${method} does not exist/is not available`)
    case 'refuse':
      record(request)
      return void outgoing.destroy()
    case 'status':
      record(request)
      return void outgoing.writeHead(fault.status, { ...json, ...fault.headers }).end(fault.body ?? 'no')
  }
  const [passed] = await Promise.all(
    fault?.kind === 'duplicate' ? [forward(request), forward(request)] : [forward(request)],
  )
  record(request)
  const text = textOf(passed)
  switch (fault?.kind) {
    case undefined:
    case 'duplicate':
      return void send(text)
    case 'rewrite':
      return void send(
        passed.error === undefined ? textOf({ result: fault.change(passed.result, request) }) : text,
      )
    case 'drop':
      return void outgoing.destroy()
    case 'stall':
      return
    case 'stallBody':
      return void outgoing.writeHead(200, json).write('{"jsonrpc":"2.0",')
    case 'truncate': {
      outgoing.writeHead(200, { ...json, 'content-length': String(Buffer.byteLength(text)) })
      return void outgoing.write(text.slice(0, text.length / 2), () => outgoing.destroy())
    }
    case 'hold':
      await fault.until
      return void send(text)
    case 'delay':
      await pause(fault.milliseconds)
      return void send(text)
    case 'reorder':
      await Promise.race([untilOvertaken(), pause(fault.milliseconds)])
      return void send(text)
    case 'garbage':
      return void send(fault.text)
  }
}
