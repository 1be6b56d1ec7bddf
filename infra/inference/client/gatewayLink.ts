import type { BinaryRequest, BinaryResponse, Field } from '../protocol/bhttp/message.ts'
import { BrokenStreamError } from '../protocol/errors.ts'
import { type gatewayResources, routes } from '../protocol/network/routes.ts'
import { StaleKeyError, TransportError, UnsealedAnswerError } from './errors.ts'
import { joinUrl } from './joinUrl.ts'
import type { DirectoryKeeper } from './keepDirectory.ts'
import type { ClientTimeouts } from './options.ts'
import { refuse } from './refusals.ts'
import { renewKeys } from './renewKeys.ts'
import { type Sent, sendSealed } from './sendSealed.ts'
import type { Transport } from './transport.ts'

/** The way to one gateway, over whichever relay is next. */
export type GatewayLink = {
  /** Which relay is asked for a turn, as a URL. */
  relayOf(turn: number): string
  /** The next turn: requests go over the relays one after the other. */
  nextTurn(): number
  /** Sends one request over one relay, sealed anew. Throws what {@link sendSealed} throws. */
  send(request: BinaryRequest, options: { turn: number; firstByte?: number }): Promise<Sent>
  /**
   * Asks for something that may be asked for again: over one relay after the other, with a new directory where the key
   * is another by now.
   *
   * @throws {PrivateNetworkError} `outcome_unknown` when nobody answered
   */
  ask(request: BinaryRequest): Promise<BinaryResponse>
}

/** Whether an error says that an answer was not received, and not that it was wrong. */
export const isConnectionLoss = (error: unknown): boolean =>
  error instanceof TransportError ||
  error instanceof UnsealedAnswerError ||
  (error instanceof BrokenStreamError && error.fault === 'truncated')

/** The largest answer to a small question, in bytes. */
const mostAnswer = 1024 * 1024

export function createGatewayLink(parameters: {
  readonly relays: readonly string[]
  readonly gateway: string
  readonly keeper: DirectoryKeeper
  readonly transport: Transport
  readonly timeouts: ClientTimeouts
  readonly tries: number
  readonly signal: AbortSignal
}): GatewayLink {
  const { relays, gateway, keeper, transport, timeouts, tries, signal } = parameters
  let turns = 0
  const relayOf = (turn: number): string => relays[turn % relays.length] ?? ''

  const link: GatewayLink = {
    relayOf,
    nextTurn: () => turns++,
    async send(request, { turn, firstByte = timeouts.firstByte }) {
      const { gatewayKey } = await keeper.current()
      return sendSealed({
        transport,
        url: joinUrl(relayOf(turn), routes.relay.gateway(gateway)),
        key: gatewayKey,
        request,
        firstByte,
        idle: timeouts.idle,
        signal,
      })
    },
    async ask(request) {
      let cause: unknown
      for (let attempt = 0; attempt < tries; attempt++) {
        try {
          const { response } = await link.send(request, { turn: link.nextTurn(), firstByte: timeouts.short })
          const { content, trailers } = await gather(response.content)
          return { informational: [], status: response.status, headers: response.headers, content, trailers }
        } catch (error) {
          if (error instanceof StaleKeyError) await renewKeys(keeper, attempt)
          else if (!isConnectionLoss(error)) throw error
          cause = error
        }
      }
      throw refuse('outcome_unknown', { cause })
    },
  }
  return link
}

async function gather(pieces: AsyncGenerator<Uint8Array, readonly Field[], undefined>) {
  const content: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await pieces.next()
    if (done === true) return { content: Buffer.concat(content), trailers: value }
    length += value.length
    if (length > mostAnswer) {
      await pieces.return([])
      throw refuse('answer_too_large')
    }
    content.push(value)
  }
}

/** A request for a gateway, before it is sealed. */
export const gatewayRequest = (
  path: (typeof gatewayResources)[keyof typeof gatewayResources],
  options: { readonly content?: Uint8Array; readonly headers?: readonly Field[] } = {},
): BinaryRequest => ({
  method: options.content === undefined ? 'GET' : 'POST',
  scheme: 'https',
  authority: '',
  path,
  headers: options.headers ?? [],
  content: options.content ?? new Uint8Array(0),
  trailers: [],
})
