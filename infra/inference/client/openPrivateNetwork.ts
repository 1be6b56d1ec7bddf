import { setTimeout as delay } from 'node:timers/promises'
import type { Measurements } from '../protocol/network/directory.ts'
import { type Privacy, satisfiesPrivacy } from '../protocol/network/privacy.ts'
import type { Balance } from '../tokens/wallet/openWallet.ts'
import { answer } from './answer.ts'
import { assemble } from './assemble.ts'
import { warmUp } from './attempt.ts'
import { type CatalogueEntry, modelList } from './catalogue.ts'
import { coverBody, RecentForms, scheduleCover } from './cover.ts'
import { PrivateNetworkError } from './errors.ts'
import type { ConfirmedDirectory } from './fetchDirectory.ts'
import type { NetworkOptions } from './options.ts'
import { orAbort } from './orAbort.ts'
import { type FetchRequest, readAsked, readFetch } from './readFetch.ts'
import { refuse } from './refusals.ts'
import { respondRefusal } from './respond.ts'
import { createTopUp, type TopUp } from './topUp.ts'

/** A `fetch` that goes through a private network. */
export type PrivateFetch = typeof globalThis.fetch

/** A private network that is open. */
export type PrivateNetwork = {
  readonly fetch: PrivateFetch
  /**
   * Resolves when the directory is confirmed and the wallet filled as far as the mint gives; requests wait for it by
   * themselves. A failed start is tried again with the next call or request.
   *
   * @throws {PrivateNetworkError} why there is no confirmed directory
   */
  ready(): Promise<void>
  /** All models of all nodes, those included that no request goes to, with the reason. @throws {PrivateNetworkError} */
  catalogue(): Promise<readonly CatalogueEntry[]>
  /** The confirmed directory: its epoch, digest, keys, and who confirmed it. @throws {PrivateNetworkError} */
  directory(): Promise<ConfirmedDirectory>
  /** The gateway's latest measurements of its nodes; undefined before the first. */
  measurements(): Measurements | undefined
  /** Tokens that are good at this gateway, once the start has filled the wallet. @throws {PrivateNetworkError} */
  balance(): Promise<Balance>
  /** Buys tokens now. @returns how many came @throws {PrivateNetworkError} `mint_unconfigured`, or why there are none */
  buy(count: number): Promise<number>
  /** Fetches the directory again. @throws {PrivateNetworkError} */
  refresh(): Promise<ConfirmedDirectory>
  /** Asks now for the change of all payments whose end was not seen. @returns how many tokens came back */
  reclaim(): Promise<number>
  /**
   * Ends it: no request begins, cover requests stop, and what is paid gets `grace` milliseconds (5,000 by default) to be
   * settled. What is not is asked for when the wallet is used next.
   */
  close(grace?: number): Promise<void>
}

/** Milliseconds between two looks for payments whose end was not seen; each is asked for ever more seldom. */
const reclaimEvery = 60_000
/** Milliseconds between two such payments at most. */
const reclaimApart = 60_000
/** For how many nodes something is sealed at the start. */
const warmNodes = 8
/** How many blindings are made ahead: the change of one request of the largest class. */
const preparedAhead = 16

/**
 * Opens a private network: everything that goes into its `fetch` reaches a node that knows the prompt and not who asked,
 * by a relay that knows who asked and nothing else, paid for at a gateway with tokens that nobody can trace.
 *
 * It starts at once, in the background. The wallet stays the caller's: close it after the network.
 *
 * @throws {ClientOptionError, IdentityError} when the options make no sense
 * @example
 * const network = openPrivateNetwork({ relay, gateway, wallet, mint, privacy: 'private', onPath: console.table })
 * const client = new OpenAI({ baseURL: 'http://private/v1', apiKey: 'none', fetch: network.fetch })
 */
export function openPrivateNetwork(options: NetworkOptions): PrivateNetwork {
  const parts = assemble(options, { afterSpending, isClosing: () => isClosed })
  const { state, transport, timeouts, measurements, gone, following } = parts
  const { keeper, treasury, link, random, privacy } = state
  const forms = new RecentForms()
  const topUp: TopUp | undefined =
    options.mint === undefined
      ? undefined
      : createTopUp({
          mint: options.mint,
          wallet: options.wallet,
          treasury,
          keeper,
          link: { transport, timeout: timeouts.short, signal: gone.signal },
          now: state.now,
          random,
          onTrouble: (error) => state.notice('top-up', error),
        })
  let starting: Promise<void> | undefined
  let isClosed = false
  let isReclaiming = false
  const closing = new AbortController()
  let active = 0
  let preparing: NodeJS.Immediate | undefined

  async function start(): Promise<void> {
    const directory = await keeper.current()
    const largest = Math.max(...directory.directory.ceilings)
    // A wallet that cannot pay one request is filled at once; any other is not, since this may be a request's moment.
    if (topUp !== undefined && treasury.balance(directory).ready < largest)
      await topUp.fill().catch((error: unknown) => state.notice('top-up', error))
    state.background('directory', warmUp(state, directory.nodes.slice(0, warmNodes)))
    reclaimInBackground()
    afterSpending()
  }

  const ready = (): Promise<void> => {
    if (isClosed) return Promise.reject(refuse('closing'))
    starting ??= start().catch((error: unknown) => {
      starting = undefined
      throw error
    })
    return starting
  }

  /** Everything that can wait, waits until no request is under way. */
  function afterSpending(): void {
    if (isClosed) return
    topUp?.plan()
    const measuring = measurements.refresh()
    if (measuring !== undefined) state.background('measurements', measuring)
    preparing ??= setImmediate(prepareOne, 1)
  }

  /** One blinding at a time, a third of a millisecond each, so that a request that comes meanwhile does not wait. */
  function prepareOne(count: number): void {
    preparing = undefined
    const directory = keeper.peek()
    if (isClosed || active > 0 || directory === undefined || count > preparedAhead) return
    options.wallet.prepare(treasury.issuers(directory).change, count)
    preparing = setImmediate(prepareOne, count + 1)
  }

  /** One at once, so that a short run settles one too, and the others at random times. */
  function reclaimInBackground(): void {
    if (isReclaiming || treasury.unsettled().length === 0) return
    isReclaiming = true
    const apart = () =>
      delay(random() * reclaimApart, true, { signal: closing.signal, ref: false }).catch(() => false)
    const work = treasury.reclaim(link, { directory: keeper.peek, apart }).finally(() => {
      isReclaiming = false
    })
    state.background('reclaim', work)
  }
  const reclaiming = setInterval(reclaimInBackground, reclaimEvery)
  reclaiming.unref()

  const catalogue = async () => state.candidates(await keeper.current())
  const accepts = (offered: Privacy) => satisfiesPrivacy({ asked: privacy, offered })

  async function models(path: string): Promise<Response> {
    const list = modelList(await catalogue(), privacy, accepts)
    if (path === '/models') return Response.json(list)
    const id = decode(path.slice('/models/'.length))
    const found = list.data.find((each) => each.id === id)
    if (found === undefined) throw refuse('model_not_found')
    return Response.json(found)
  }

  async function serve({ method, path, signal, body }: FetchRequest): Promise<Response> {
    if (isClosed) throw refuse('closing')
    if (method === 'GET' && path !== null && /^\/models(\/|$)/.test(path)) {
      await orAbort(ready(), signal)
      return models(path)
    }
    if (method !== 'POST' || (path !== '/chat/completions' && path !== '/embeddings'))
      throw refuse('unknown_url')
    const asked = readAsked(`/v1${path}`, await body())
    await orAbort(ready(), signal)
    return follow(answer(state, asked, { signal, onPaid: (form) => forms.enter(form) }))
  }

  /** Counts a request as under way, for who prepares and for who closes. */
  async function follow(answering: Promise<Response>): Promise<Response> {
    active += 1
    const ended = answering.then(
      () => undefined,
      // Whoever asked is told.
      () => undefined,
    )
    state.background('settlement', ended)
    try {
      return await answering
    } finally {
      active -= 1
    }
  }

  const fetch: PrivateFetch = async (input, init) => {
    const request = readFetch(input, init)
    request.signal?.throwIfAborted()
    try {
      return await serve(request)
    } catch (error) {
      if (!(error instanceof PrivateNetworkError)) throw error
      return respondRefusal(error.refusal, { spent: 0, returned: 0 })
    }
  }

  async function sendCover(model: string): Promise<void> {
    try {
      await ready()
      const { bucket, paid } = forms.draw(random)
      const asked = readAsked('/v1/chat/completions', coverBody(model, random))
      const response = await follow(answer(state, asked, { kind: 'cover', bucket, atLeast: paid }))
      for await (const _ of response.body ?? []) if (isClosed) return
    } catch (error) {
      state.notice('cover', error)
    }
  }
  const { cover } = options
  const stopCover =
    cover === undefined ? undefined : scheduleCover(cover, random, () => sendCover(cover.model))

  // Whoever asks is told; a start that nobody waits for is tried again when somebody does.
  ready().catch((error: unknown) => state.notice('directory', error))

  return {
    fetch,
    ready,
    catalogue,
    directory: () => keeper.current(),
    measurements: () => measurements.latest(),
    async balance() {
      await ready()
      return treasury.balance(await keeper.current())
    },
    async buy(count) {
      if (topUp === undefined) throw refuse('mint_unconfigured')
      return topUp.buy(count)
    },
    refresh: () => keeper.refresh(),
    reclaim: () => treasury.reclaim(link, { directory: keeper.peek }),
    async close(grace = 5_000) {
      if (isClosed) return
      isClosed = true
      closing.abort()
      stopCover?.()
      topUp?.close()
      clearInterval(reclaiming)
      clearImmediate(preparing)
      const cut = setTimeout(() => gone.abort(), grace)
      while (following.size > 0) await Promise.all(following)
      clearTimeout(cut)
      gone.abort()
      keeper.close()
      transport.close()
    },
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
