import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describeError } from '../../../runtime/core/errors.ts'
import { listen } from '../../http/listen.ts'
import { createServerMetrics } from '../../http/operations.ts'
import { lockLog } from '../tokens/log/lockLog.ts'
import { createIssuer } from './createIssuer.ts'
import { openKeyRing } from './keyRing.ts'
import { openLedger } from './ledger.ts'
import { type MintOptions, readMintOptions } from './readMintOptions.ts'
import { createMintHandler } from './serve.ts'
import { createSigningQueue } from './signingQueue.ts'
import { openWitness, type Witness } from './witness.ts'

export type { MintOptions } from './readMintOptions.ts'

export type Mint = {
  /** Such as `http://127.0.0.1:41231`. */
  readonly url: string
  /** Gives what is under way `grace` milliseconds to end (none when absent), then cuts it. */
  close(grace?: number): Promise<void>
}

/** Milliseconds between two looks at whether a key has to be made. */
const KEY_INTERVAL = 60_000

/**
 * Starts a mint: a Privacy Pass issuer (RFC 9578) that sells tokens to accounts, and a witness of gateways'
 * directories.
 *
 * It learns who buys how many tokens. What it signs it does not see, so it cannot tell where a token is spent. Of an
 * account key it keeps the SHA-256; of what it signed, digests.
 *
 * @throws {MintOptionsError, MintStateError, ListenError}
 * @throws {TokenError} `LOG_LOCKED`, `LOG_CORRUPT` or `LOG_UNWRITABLE`
 * @example
 * const mint = await startMint({ state: '.rialto/inference/mint', name: 'mint.local', faucet: 1_000 })
 * await fetch(`${mint.url}/.well-known/private-token-issuer-directory`)
 */
export async function startMint(options: MintOptions): Promise<Mint> {
  const { name, state, faucet, accounts, witness, keyLifetime, now, limits } = readMintOptions(options)
  const { logger } = options
  const path = join(state, 'ledger.log')
  await mkdir(state, { recursive: true, mode: 0o700 })
  const unlock = await lockLog(path, options.patience)
  const undo: (() => Promise<void> | void)[] = [unlock]
  const undoAll = async () => {
    for (const each of undo.splice(0).reverse()) await each()
  }
  try {
    const ring = await openKeyRing({
      folder: join(state, 'keys'),
      lifetime: keyLifetime,
      now,
      onRetire: (id) => ledger.forget(id),
    })
    const ledger = await openLedger({ path, now, isListed: (key) => ring.find(key) !== undefined })
    undo.push(() => ledger.close())
    for (const [account, tokens] of accounts) {
      const given = ledger.configured(account)
      if (tokens > given) ledger.credit(account, tokens - given, 'configured')
    }
    await ledger.recorded()
    await ring.refresh()
    const timer = setInterval(() => {
      ring.refresh().catch((error) => logger?.error({ reason: describeError(error) }, 'No new token key.'))
    }, KEY_INTERVAL)
    timer.unref()
    undo.push(() => clearInterval(timer))

    const witnesses = new Map<string, Witness>()
    for (const [gateway, { url, identity }] of witness)
      witnesses.set(
        gateway,
        await openWitness({
          name: gateway,
          gateway: { url, identity },
          folder: join(state, 'directories', gateway),
          limits,
          now,
          onEquivocation: (epoch) =>
            logger?.warn({ gateway, epoch }, 'A gateway has shown two directories for one epoch.'),
          onFailure: (error) =>
            logger?.error({ gateway, reason: describeError(error) }, 'A directory could not be witnessed.'),
        }),
      )

    const handler = createMintHandler({
      issuer: createIssuer({ ring, ledger, queue: createSigningQueue(limits.signing), faucet }),
      ring,
      isRecording: () => ledger.isRecording(),
      witnesses,
      limits,
      metrics: createServerMetrics('mint', { withProcess: options.withProcessMetrics ?? false }),
      isClosing: () => listening.closing,
      onFailure: (error) => logger?.error({ reason: describeError(error) }, 'A request failed.'),
    })
    const listening = await listen(handler, {
      what: 'mint',
      headTimeout: limits.head,
      ...(options.host === undefined ? {} : { host: options.host }),
      ...(options.port === undefined ? {} : { port: options.port }),
    })
    logger?.info({ url: listening.url, name, witnesses: [...witness.keys()] }, 'The mint listens.')
    return {
      url: listening.url,
      async close(grace) {
        await listening.close(grace)
        await undoAll()
        logger?.info({}, 'The mint has stopped.')
      },
    }
  } catch (error) {
    await undoAll()
    throw error
  }
}
