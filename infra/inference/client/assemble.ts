import { setMaxListeners } from 'node:events'
import { readIdentity } from '../protocol/network/identity.ts'
import { createAttestations } from './attestations.ts'
import { OperatorWindow } from './chooseNode.ts'
import { createCatalogue } from './createCatalogue.ts'
import { ClientOptionError } from './errors.ts'
import type { DirectorySource } from './fetchDirectory.ts'
import { createGatewayLink } from './gatewayLink.ts'
import { keepDirectory } from './keepDirectory.ts'
import { keepMeasurements, type MeasurementKeeper } from './keepMeasurements.ts'
import type { NetworkState } from './networkState.ts'
import { type ClientTimeouts, defaultTimeouts, type NetworkOptions, type Notice } from './options.ts'
import { createTransport, type Transport, transportOf } from './transport.ts'
import { createTreasury } from './treasury.ts'

/** The parts of a private network, put together and not yet started. */
export type Assembly = {
  readonly state: NetworkState
  readonly transport: Transport
  readonly timeouts: ClientTimeouts
  readonly measurements: MeasurementKeeper
  /** Ends what is under way when it is aborted. */
  readonly gone: AbortController
  /** What is followed in the background. */
  readonly following: ReadonlySet<Promise<unknown>>
}

/**
 * Checks the options and puts the parts together. Nothing is asked of anybody.
 *
 * @param hooks.afterSpending called whenever a payment has ended
 * @throws {ClientOptionError, IdentityError}
 */
export function assemble(
  options: NetworkOptions,
  hooks: { readonly afterSpending: () => void; readonly isClosing: () => boolean },
): Assembly {
  const { gateway, wallet, mint, privacy, pinnedOperators, attestation, operatorShare = 1 } = options
  const relays = typeof options.relay === 'string' ? [options.relay] : options.relay
  requireOptions(options, relays)
  const now = options.now ?? Date.now
  const timeouts = { ...defaultTimeouts, ...options.timeouts }
  const tries = options.tries ?? 3
  const transport = options.fetch === undefined ? createTransport() : transportOf(options.fetch)
  const gone = new AbortController()
  // Every request listens.
  setMaxListeners(0, gone.signal)
  const following = new Set<Promise<unknown>>()

  const notice = (what: Notice['what'], error: unknown) => options.onNotice?.({ what, error })
  const source: DirectorySource = {
    transport,
    relays,
    gateway: { ...gateway, identity: readIdentity(gateway.identity) },
    mint,
    timeout: timeouts.short,
    now,
  }
  const liars = new Set<string>()
  const keeper = keepDirectory({
    source,
    memory: options.memory,
    random: options.random ?? Math.random,
    onTrouble: (error) => notice('directory', error),
    onChange: () => undefined,
  })
  const link = createGatewayLink({
    relays,
    gateway: gateway.name,
    keeper,
    transport,
    timeouts,
    tries,
    signal: gone.signal,
  })
  const measurements = keepMeasurements(link, now, options.random ?? Math.random, options.looks)

  const attestations = createAttestations({
    pinned: attestation,
    now,
    random: options.random ?? Math.random,
    onFailed: (error) => notice('directory', error),
  })

  const state: NetworkState = {
    gateway: gateway.name,
    privacy,
    keeper,
    link,
    treasury: createTreasury({
      wallet,
      gateway: gateway.name,
      mint: mint?.name,
      now,
      onTrouble: (error) => notice('settlement', error),
    }),
    operators: new OperatorWindow(operatorShare),
    liars,
    form: { cells: options.cells ?? 1024, cadence: options.cadence ?? 'off' },
    tries,
    ceiling: options.ceiling ?? 1024,
    now,
    random: options.random ?? Math.random,
    candidates: createCatalogue({ attestations, measurements, liars, now, operators: pinnedOperators }),
    measurements: () => measurements.latest(),
    background(what, work) {
      const followed = work
        .catch((error: unknown) => notice(what, error))
        .finally(() => following.delete(followed))
      following.add(followed)
    },
    notice,
    report(report) {
      const { onPath } = options
      // In a turn of its own: what a listener throws must not end the request that it is told of.
      if (onPath !== undefined) queueMicrotask(() => onPath(report))
    },
    ...hooks,
  }
  return { state, transport, timeouts, measurements, gone, following }
}

function requireOptions(options: NetworkOptions, relays: readonly string[]): void {
  const {
    gateway,
    mint,
    operatorShare = 1,
    cells = 1024,
    cadence = 'off',
    tries = 3,
    ceiling = 1024,
  } = options
  const urls = [...relays, ...gateway.witnesses, ...(mint === undefined ? [] : [mint.url])]
  const wrong = urls.find((url) => !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
  if (wrong !== undefined)
    throw new ClientOptionError('an address is none', 'Name URLs that begin with http:// or https://.')
  if (relays.length === 0) throw new ClientOptionError('it has no relay', 'Name the URL of a relay.')
  if (gateway.witnesses.length === 0)
    throw new ClientOptionError(
      'it has no witness for the keys of its gateway',
      'Name a second source of the directory, such as the mint.',
    )
  if (!(operatorShare > 0 && operatorShare <= 1))
    throw new ClientOptionError('operatorShare is out of range', 'Name a number over 0 and up to 1.')
  if (cells !== 'off' && !(Number.isInteger(cells) && cells >= 64 && cells <= 16_384))
    throw new ClientOptionError('cells is out of range', 'Name 64 to 16384 bytes, or "off".')
  if (cadence !== 'off' && !(Number.isInteger(cadence) && cadence >= 5 && cadence <= 10_000))
    throw new ClientOptionError('cadence is out of range', 'Name 5 to 10000 milliseconds, or "off".')
  // Without cells there is nothing to send at each tick: a cadence that is asked for and not kept would be a lie.
  if (cells === 'off' && cadence !== 'off')
    throw new ClientOptionError('a cadence goes with cells only', 'Name the bytes of a cell, or no cadence.')
  for (const [name, value] of Object.entries({ tries, ceiling }))
    if (!(Number.isInteger(value) && value >= 1))
      throw new ClientOptionError(`${name} is no number of times or tokens`, 'Name a whole number from 1 on.')
}
