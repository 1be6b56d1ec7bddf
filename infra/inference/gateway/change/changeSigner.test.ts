import { randomBytes } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeAll, expect, it, vi } from 'vitest'
import * as workers from '../../../process/startWorker.ts'
import { generateTokenKey, type TokenKeyPair } from '../../tokens/blindRsa/keys.ts'
import { signChange } from '../../tokens/change/signChange.ts'
import type { TokenRequest } from '../../tokens/privacyPass/issuance.ts'
import { type ChangeSigner, startChangeSigner } from './changeSigner.ts'

let keys: readonly TokenKeyPair[]
let others: readonly TokenKeyPair[]
let signer: ChangeSigner | undefined
beforeAll(async () => {
  keys = [await generateTokenKey()]
  others = [await generateTokenKey()]
})
afterEach(async () => {
  vi.restoreAllMocks()
  await signer?.close()
})

const requestsFor = ([pair]: readonly TokenKeyPair[], count: number): TokenRequest[] =>
  Array.from({ length: count }, () => {
    const blindedMessage = new Uint8Array(randomBytes(256))
    blindedMessage[0] = 0x40
    return { truncatedTokenKeyId: pair?.publicKey.id.at(-1) ?? 0, blindedMessage }
  })

it('signs as the event loop would, for many at once and as keys change', async () => {
  const started = startChangeSigner()
  signer = started
  await Promise.all(
    Array.from({ length: 20 }, async (_, at) => {
      const pairs = at % 2 === 0 ? keys : others
      const requests = requestsFor(pairs, 4)
      const job = { keys: pairs, requests, paid: 4, due: at % 5 }
      const signatures = await started.sign(job)
      expect(signatures.map((each) => Buffer.from(each))).toEqual(
        signChange(job).map((each) => Buffer.from(each)),
      )
    }),
  )
})

it('refuses what cannot be signed, and goes on', async () => {
  signer = startChangeSigner()
  const wrong = { keys, requests: requestsFor(keys, 2), paid: 4, due: 2 }
  await expect(signer.sign(wrong)).rejects.toMatchObject({ code: 'GATEWAY_CHANGE_SIGNER' })
  expect(await signer.sign({ ...wrong, paid: 2 })).toHaveLength(2)
})

it('starts a thread anew that has ended, and does what it had left', async () => {
  const threads: Worker[] = []
  const start = workers.startWorker
  vi.spyOn(workers, 'startWorker').mockImplementation((...parameters) => {
    const thread = start(...parameters)
    threads.push(thread)
    return thread
  })
  signer = startChangeSigner()
  const job = { keys, requests: requestsFor(keys, 4), paid: 4, due: 3 }
  const first = signer.sign(job)
  await threads[0]?.terminate()
  expect(await first).toHaveLength(3)
  await threads.at(-1)?.terminate()
  expect(await signer.sign(job)).toEqual(await first)
  expect(threads.length).toBeGreaterThanOrEqual(2)
})

it('gives up when threads end before they have signed anything', async () => {
  vi.spyOn(workers, 'startWorker').mockImplementation(() => new Worker('process.exit(1)', { eval: true }))
  signer = startChangeSigner()
  const job = { keys, requests: requestsFor(keys, 1), paid: 1, due: 1 }
  await expect(signer.sign(job)).rejects.toMatchObject({ code: 'GATEWAY_CHANGE_SIGNER' })
  await expect(signer.sign(job)).rejects.toMatchObject({ code: 'GATEWAY_CHANGE_SIGNER' })
})

it('rejects what is left when it is closed, and everything after', async () => {
  const started = startChangeSigner()
  const job = { keys, requests: requestsFor(keys, 4), paid: 4, due: 4 }
  const left = expect(started.sign(job)).rejects.toMatchObject({ code: 'GATEWAY_CHANGE_SIGNER' })
  await started.close()
  await left
  await expect(started.sign(job)).rejects.toMatchObject({ code: 'GATEWAY_CHANGE_SIGNER' })
})
