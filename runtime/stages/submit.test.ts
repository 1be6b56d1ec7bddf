import { describe, expect, it } from 'vitest'
import {
  OutcomeUnknownError,
  type RefusalReason,
  RouteMissingError,
  RpcUnreachableError,
  TransactionRefusedError,
} from '../core/chainErrors.ts'
import { InvariantError } from '../core/errors.ts'
import type { AttemptRecord } from '../core/journal.ts'
import type { SubmissionRoute } from '../core/ports.ts'
import type { BlockRef } from '../core/snapshot.ts'
import type { Policy } from '../guards/policy.ts'
import type { Runtime } from './runtime.ts'
import { submit } from './submit.ts'

const HASH = `0x${'ab'.repeat(32)}` as const
const attempt = {
  id: 'i.1',
  raw: '0x02',
  hash: HASH,
  nonce: 7n,
  signedAt: 120n,
  plan: { block: { number: 10n } },
}

/** Sends at a block, to a node that answers as it is told. */
async function send(
  options: {
    answer?: () => Promise<typeof HASH>
    at?: bigint
    first?: object
    submission?: Policy['submission']
  } = {},
) {
  const {
    answer = async () => HASH,
    at = 10n,
    submission = { route: 'public', publicAfterBlocks: null },
  } = options
  const steps: unknown[] = []
  const routes: (SubmissionRoute | undefined)[] = []
  const log = () => {}
  const runtime = {
    chain: {
      sendRaw: (_: string, route?: SubmissionRoute) => {
        routes.push(route)
        return answer()
      },
    },
    journal: { advance: async (_: string, step: unknown) => void steps.push(step) },
    logger: { debug: log, info: log, warn: log, error: log },
    blockSeconds: 12n,
  } as unknown as Runtime
  const head = { number: at, timestamp: at * 12n } as BlockRef
  const sent = submit(
    runtime,
    attempt as unknown as AttemptRecord,
    { submission } as Policy,
    head,
    ...(options.first === undefined ? [] : [options.first as AttemptRecord]),
  )
  return { result: await sent.catch((error: unknown) => error), steps, routes }
}

const refused = (reason: RefusalReason) => async () => {
  throw new TransactionRefusedError(reason, HASH, 'node', 'no')
}

describe('what a node answers', () => {
  it('taken: it is broadcast', async () => {
    expect(await send()).toMatchObject({ result: 'taken', steps: [{ to: 'broadcast' }] })
  })

  it.each([
    ['a lost answer', new OutcomeUnknownError(HASH, 'node', 'timeout')],
    ['what nobody expected', new TypeError('socket of another kind')],
  ])('%s: the outcome is unknown, and that is on record', async (_, error) => {
    const { result, steps } = await send({ answer: () => Promise.reject(error) })
    expect(result).toBe('unknown')
    expect(steps).toMatchObject([{ to: 'unknown', failure: expect.any(String) }])
  })

  it.each(['NONCE_TOO_LOW', 'NONCE_TOO_HIGH'] as const)(
    '%s: the nonces are to be looked at',
    async (reason) => {
      expect(await send({ answer: refused(reason) })).toMatchObject({ result: 'misplaced', steps: [] })
    },
  )

  it.each(['FEE_TOO_LOW', 'INSUFFICIENT_FUNDS', 'POOL_FULL', 'MALFORMED'] as const)(
    '%s: it stays what it is, and keeps its nonce',
    async (reason) => {
      expect(await send({ answer: refused(reason) })).toMatchObject({ result: 'refused', steps: [] })
    },
  )

  it.each([new RpcUnreachableError('eth_sendRawTransaction', 'node', 'away'), new RouteMissingError(1)])(
    'nothing left this machine: $code is thrown, and nothing changes',
    async (error) => {
      const { result, steps } = await send({ answer: () => Promise.reject(error) })
      expect(result).toBe(error)
      expect(steps).toEqual([])
    },
  )

  it('is not asked without bytes', async () => {
    const bare = { ...attempt, raw: null } as unknown as AttemptRecord
    await expect(submit({} as Runtime, bare, {} as Policy, {} as BlockRef)).rejects.toThrow(InvariantError)
  })
})

describe('the route', () => {
  const behind = (publicAfterBlocks: number | null) => ({ route: 'private', publicAfterBlocks }) as const
  it.each([
    { submission: { route: 'public', publicAfterBlocks: null } as const, at: 10n, route: 'public' },
    { submission: behind(3), at: 12n, route: 'private' },
    { submission: behind(3), at: 13n, route: 'public' },
    { submission: behind(null), at: 1_000n, route: 'private' },
    // A replacement counts from the first on its nonce.
    {
      submission: behind(3),
      at: 11n,
      first: { signedAt: 96n, plan: { block: { number: 8n } } },
      route: 'public',
    },
    // What a person let through counts from its signature.
    {
      submission: behind(3),
      at: 11n,
      first: { signedAt: 120n, plan: { block: { number: 1n } } },
      route: 'private',
    },
  ])('$submission at block $at: $route', async ({ route, ...options }) => {
    expect((await send(options)).routes).toEqual([route])
  })
})
