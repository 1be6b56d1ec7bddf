import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { RialtoError } from '../../../runtime/core/errors.ts'
import { GetError } from '../../http/errors.ts'
import { get } from '../../http/get.ts'
import { digestOf, isValidAt, readDirectory } from '../protocol/network/directory.ts'
import type { Identity } from '../protocol/network/identity.ts'
import { mediaTypes, routes } from '../protocol/network/routes.ts'
import { writeDurably } from './durableFile.ts'
import { MintStateError } from './errors.ts'
import type { MintLimits } from './limits.ts'
import type { RefusalCode } from './refusals.ts'

/** A gateway that is witnessed: where it is, and who. */
export type WitnessedGateway = { readonly url: string; readonly identity: Identity }

/** Why there is no document. */
export type WitnessRefusal = Extract<
  RefusalCode,
  | 'epoch_unknown'
  | 'equivocation'
  | 'directory_invalid'
  | 'gateway_unreachable'
  | 'gateway_timeout'
  | 'state_unavailable'
>

/** What a witness remembers of one gateway. */
export type Witness = {
  /** The first directory that was seen of an epoch. */
  document(epoch: number): Promise<string | { readonly code: WitnessRefusal }>
  /** That of the newest epoch, after a look at the gateway. */
  latest(): Promise<string | { readonly code: WitnessRefusal }>
}

type Seen = {
  /** Of every document that was seen of the epoch; the first is the one that was first. */
  readonly digests: string[]
}

const NAME = /^(\d{16})-([0-9a-f]{64})\.jwt$/

/**
 * Watches a gateway's directory, and keeps the first document that it sees of each epoch in a folder. What it has, it
 * never gives another for; where it sees another, both stay on the disk, each with the gateway's signature, and the
 * epoch is given to nobody any more.
 *
 * An epoch older than the newest that was seen is not taken: a gateway does not go back, and what was forgotten cannot
 * be shown anew in another form.
 *
 * @param folder is made if there is none
 * @param now milliseconds since 1970
 * @throws {MintStateError}
 */
export async function openWitness(parameters: {
  readonly name: string
  readonly gateway: WitnessedGateway
  readonly folder: string
  readonly limits: MintLimits
  readonly now: () => number
  readonly onEquivocation: (epoch: number) => void
  /** Told what went wrong with a look that nobody waits for. */
  readonly onFailure: (error: unknown) => void
}): Promise<Witness> {
  const { name, gateway, folder, limits, now, onEquivocation, onFailure } = parameters
  const url = new URL(gateway.url.replace(/\/+$/, '') + routes.gateway.directory)
  const epochs = await readFolder(folder)
  let looked: { readonly at: number; readonly result: WitnessRefusal | undefined } | undefined
  let looking: Promise<WitnessRefusal | undefined> | undefined

  const newest = () => Math.max(0, ...epochs.keys())
  const pathOf = (epoch: number, digest: string) =>
    join(folder, `${String(epoch).padStart(16, '0')}-${digest}.jwt`)

  async function give(epoch: number): Promise<string | { readonly code: WitnessRefusal }> {
    const [digest, other] = epochs.get(epoch)?.digests ?? []
    if (digest === undefined) return { code: 'epoch_unknown' }
    if (other !== undefined) return { code: 'equivocation' }
    const path = pathOf(epoch, digest)
    const document = await readFile(path, 'utf8').catch((cause) => {
      throw new MintStateError(path, 'cannot be read', undefined, cause)
    })
    if (digestOf(document) !== digest) throw new MintStateError(path, 'is damaged')
    return document
  }

  /** Fetches the gateway's directory and records what is new. @returns why it could not */
  async function look(): Promise<WitnessRefusal | undefined> {
    try {
      const { status, mediaType, body } = await get(url, {
        most: limits.directoryLength,
        within: limits.directory,
      })
      if (status !== 200 || mediaType !== mediaTypes.directory) return 'gateway_unreachable'
      const document = body.toString('utf8')
      const { directory, digest } = await readDirectory(document, { name, identity: gateway.identity })
      if (!isValidAt(directory, Math.floor(now() / 1_000))) return 'directory_invalid'
      return await record(directory.epoch, digest, document)
    } catch (error) {
      if (error instanceof GetError)
        return error.fault === 'timeout' ? 'gateway_timeout' : 'gateway_unreachable'
      if (error instanceof RialtoError) return 'directory_invalid'
      throw error
    }
  }

  async function record(
    epoch: number,
    digest: string,
    document: string,
  ): Promise<WitnessRefusal | undefined> {
    const seen = epochs.get(epoch)
    if (seen?.digests.includes(digest) || (seen === undefined && epoch < newest())) return undefined
    // Two different ones convict; a third proves no more, and a gateway shall not fill the disk.
    if (seen !== undefined && seen.digests.length > 1) return undefined
    try {
      await writeDurably(pathOf(epoch, digest), document)
    } catch {
      return 'state_unavailable'
    }
    if (seen === undefined) epochs.set(epoch, { digests: [digest] })
    else {
      seen.digests.push(digest)
      onEquivocation(epoch)
    }
    await forgetOld()
    return undefined
  }

  /** Keeps so many epochs, and every one that convicts. */
  async function forgetOld(): Promise<void> {
    const kept = [...epochs].filter(([, { digests }]) => digests.length === 1).sort(([a], [b]) => b - a)
    for (const [epoch, { digests }] of kept.slice(limits.epochs)) {
      epochs.delete(epoch)
      for (const digest of digests) await rm(pathOf(epoch, digest), { force: true })
    }
  }

  /** {@link look}, once for all who ask, and not more often than is allowed. */
  function lookOnce(): Promise<WitnessRefusal | undefined> {
    if (looked !== undefined && performance.now() - looked.at < limits.directoryHold)
      return Promise.resolve(looked.result)
    looking ??= look()
      .then((result) => {
        looked = { at: performance.now(), result }
        return result
      })
      .finally(() => {
        looking = undefined
      })
    return looking
  }

  return {
    async document(epoch) {
      if (epochs.has(epoch)) {
        // Whether the gateway still shows the same: found out beside, since it need not be there for what is known.
        if (epoch === newest()) lookOnce().catch(onFailure)
        return give(epoch)
      }
      // What is older than the newest does not come any more.
      if (epoch < newest()) return { code: 'epoch_unknown' }
      const wasLooking = looking !== undefined
      let refusal = await lookOnce()
      // A look that had begun before may have come too early for what is asked for now.
      if (wasLooking && !epochs.has(epoch)) refusal = await lookOnce()
      return refusal === undefined || epochs.has(epoch) ? give(epoch) : { code: refusal }
    },
    async latest() {
      const refusal = await lookOnce()
      return refusal === undefined ? give(newest()) : { code: refusal }
    },
  }
}

async function readFolder(folder: string): Promise<Map<number, Seen>> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const epochs = new Map<number, Seen>()
  for (const file of (await readdir(folder)).sort()) {
    const [, epoch, digest] = NAME.exec(file) ?? []
    if (epoch === undefined || digest === undefined) continue
    const seen = epochs.get(Number(epoch)) ?? { digests: [] }
    epochs.set(Number(epoch), seen)
    seen.digests.push(digest)
  }
  return epochs
}
