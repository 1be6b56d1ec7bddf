import { Agent, type IncomingMessage, request as send } from 'node:http'
import { join } from 'node:path'
import type { PathReport } from '../../../infra/inference/client/pathReport.ts'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { built } from './built.ts'
import { completion, models, names } from './names.ts'
import type { Part } from './part.ts'
import { type Script, scripted, tokenEvent } from './upstream.ts'

/** Milliseconds to the first token, one figure for each request. */
export type FirstTokens = { readonly direct: number[]; readonly hops: number[]; readonly path: number[] }

/** How long the tokens of one stream took, from the first to the last. */
export type Streamed = { readonly tokens: number; readonly milliseconds: number }

const resource = '/v1/chat/completions'
/** A pause behind each request, in which what a client does beforehand for the next one is done. In milliseconds. */
const PAUSE = 20

/** An application that asks the private network, and the same upstream directly. */
export async function client(options: {
  readonly folder: string
  readonly relay: string
  readonly gateway: string
  readonly mint: string
}): Promise<Part> {
  const inference = 'infra/inference'
  const [{ openPrivateNetwork }, { createAccountKey }, { openWallet }] = await Promise.all([
    built<typeof import('../../../infra/inference/client/openPrivateNetwork.ts')>(
      `${inference}/client/openPrivateNetwork`,
    ),
    built<typeof import('../../../infra/inference/client/mint.ts')>(`${inference}/client/mint`),
    built<typeof import('../../../infra/inference/tokens/wallet/openWallet.ts')>(
      `${inference}/tokens/wallet/openWallet`,
    ),
  ])
  const wallet = await openWallet({
    path: join(options.folder, 'wallet'),
    secret: { kind: 'seed', seed: new Uint8Array(32).fill(7) },
  })
  let tell: (report: PathReport) => void = () => undefined
  const network = openPrivateNetwork({
    relay: options.relay,
    gateway: { name: names.gateway, identity: options.gateway, witnesses: [options.mint] },
    mint: { url: options.mint, name: names.mint, account: createAccountKey(), lowWater: 0 },
    wallet,
    privacy: 'private',
    onPath: (report) => tell(report),
  })
  await network.ready()
  const agent = new Agent({ keepAlive: true, noDelay: true })

  /** Asks in the clear; the answer's head. */
  const post = (url: string, body: string): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      send(`${url}${resource}`, { agent, method: 'POST', headers: { 'content-length': body.length } })
        .on('response', resolve)
        .on('error', reject)
        .end(body)
    })

  /** Asks through the network; pieces of the answer, and at its end what was paid. */
  async function* ask(body: string): AsyncGenerator<Uint8Array, PathReport> {
    const landed = new Promise<PathReport>((resolve) => {
      tell = resolve
    })
    const response = await network.fetch(`http://private${resource}`, { method: 'POST', body })
    if (response.status !== 200 || response.body === null)
      throw new InvariantError(`The private network refused the bench: ${await response.text()}`)
    for await (const bytes of response.body) yield bytes
    return landed
  }

  async function firstDirect(url: string, body: string): Promise<number> {
    const began = performance.now()
    const answer = await post(url, body)
    let first = Number.NaN
    for await (const _ of answer) if (Number.isNaN(first)) first = performance.now() - began
    return first
  }

  async function firstPrivate(body: string): Promise<number> {
    const began = performance.now()
    const pieces = ask(body)
    await pieces.next()
    const first = performance.now() - began
    for (;;) {
      const { done, value } = await pieces.next()
      if (done !== true) continue
      const [only] = value.tries
      const { paid, used } = completion
      if (only?.paid !== paid || only.returned !== paid - used || value.receipt !== 'ok')
        throw new InvariantError('The bench paid something else than it measures.', { report: value })
      return first
    }
  }

  const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE))

  return {
    url: '',
    calls: {
      buy: (count: number) => network.buy(count),

      /** In turn, so that what else the machine does falls on all alike. */
      async firstTokens(given: {
        readonly direct: string
        readonly hops: string
        readonly warmUp: number
        readonly rounds: number
      }): Promise<FirstTokens> {
        const body = scripted(models.priced.id, { kind: 'first', tokens: completion.given })
        const times: FirstTokens = { direct: [], hops: [], path: [] }
        for (let round = -given.warmUp; round < given.rounds; round += 1) {
          const direct = await firstDirect(given.direct, body)
          const hops = await firstDirect(given.hops, body)
          const path = await firstPrivate(body)
          if (round < 0) continue
          await pause()
          times.direct.push(direct)
          times.hops.push(hops)
          times.path.push(path)
        }
        return times
      },

      /** @param given.url of the upstream; absent, it goes through the network */
      async stream(given: { readonly url?: string; readonly script: Script }): Promise<Streamed> {
        const { url, script } = given
        const body = scripted(models.cheap.id, script)
        const pieces = url === undefined ? ask(body) : await post(url, body)
        const whole = script.tokens * tokenEvent(models.cheap.id).length
        let received = 0
        let first = Number.NaN
        let last = Number.NaN
        for await (const bytes of pieces as AsyncIterable<Uint8Array>) {
          const now = performance.now()
          if (received === 0) first = now
          if (received < whole) last = now
          received += bytes.length
        }
        if (received < whole) throw new InvariantError('A stream of the bench was cut.', { received, whole })
        return { tokens: script.tokens, milliseconds: last - first }
      },
    },
    async close() {
      await network.close()
      await wallet.close()
      agent.destroy()
    },
  }
}
