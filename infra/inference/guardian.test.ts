import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BaseCheckpointSaver } from '@langchain/langgraph'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { analyse, testGuardian } from '../../agents/lending-guardian/testGuardian.ts'
import { snapshotOf } from '../../agents/lending-guardian/testSnapshot.ts'
import type { Agent } from '../../runtime/core/agent.ts'
import { usd } from '../../runtime/core/units.ts'
import { createCheckpointer } from '../store/createCheckpointer.ts'
import { type Database, openDatabase } from '../store/openDatabase.ts'
import { REFERENCE_ANALYST } from './analyst/reply.ts'
import { type ReferenceAnalyst, startReferenceAnalyst } from './analyst/server.ts'
import { createChatModel } from './createChatModel.ts'

let analyst: ReferenceAnalyst
let folder: string
let database: Database
let checkpointer: BaseCheckpointSaver
beforeAll(async () => {
  analyst = await startReferenceAnalyst()
  folder = await mkdtemp(join(tmpdir(), 'rialto-guardian-'))
  database = await openDatabase({ directory: folder })
  checkpointer = await createCheckpointer(database)
})
afterAll(async () => {
  await database.close()
  await analyst.close()
  await rm(folder, { recursive: true })
})

async function guardian(): Promise<Agent> {
  const { model, name } = await createChatModel({ url: analyst.url })
  return testGuardian({ model: { chat: model, name }, checkpointer })
}
/** A crash in 12 % over 30 blocks, or the same price all the time. */
const answers = (last: bigint, fall: bigint) =>
  Array.from({ length: 31 }, (_, index) => (last * (10_000n + (fall * BigInt(30 - index)) / 30n)) / 10_000n)

describe('the guardian with the reference analyst and checkpoints in PostgreSQL', () => {
  it('deleverages to the target in a falling market', async () => {
    const price = 1_600n * 10n ** 8n
    const falling = snapshotOf({ price: usd(price), answers: answers(price, 1_200n), block: 1n })
    const analysis = await analyse(await guardian(), falling)
    expect(analysis).toMatchObject({
      source: 'model',
      fallbackReason: null,
      model: REFERENCE_ANALYST,
      inferenceCalls: 1,
      proposal: { kind: 'deleverage' },
    })
    expect(analysis.reason).toMatch(
      /health factor 1\.1000 to 1\.3\d{3} .* The model: “By formula: going 100 %/,
    )
  })

  it('waits out a calm market above the hard floor', async () => {
    const price = 1_650n * 10n ** 8n
    const calm = snapshotOf({ price: usd(price), answers: answers(price, 0n), block: 2n })
    expect(await analyse(await guardian(), calm)).toMatchObject({
      source: 'model',
      proposal: { kind: 'nothing' },
    })
  })

  it('acts under the hard floor, however calm it is', async () => {
    const price = 1_540n * 10n ** 8n
    const calm = snapshotOf({ price: usd(price), answers: answers(price, 0n), block: 3n })
    expect(await analyse(await guardian(), calm)).toMatchObject({
      source: 'model',
      proposal: { kind: 'deleverage' },
    })
  })

  it('gives the same analysis on the same snapshot, thought anew or remembered', async () => {
    const snapshot = snapshotOf({ wallet: { usdc: 600_000_000n, weth: 10n ** 17n }, block: 4n })
    const first = await analyse(await guardian(), snapshot)
    expect(await analyse(await guardian(), structuredClone(snapshot), undefined, 'another epoch')).toEqual(
      first,
    )
    expect(await analyse(await guardian(), snapshot)).toEqual(first)
  })

  it('leaves the choice in the database, and neither prompt nor position', async () => {
    const snapshot = snapshotOf({ block: 5n })
    await analyse(await guardian(), snapshot)
    const dump: string[] = []
    for (const table of ['checkpoints', 'checkpoint_blobs', 'checkpoint_writes'])
      for (const row of (await database.pool.query(`select * from rialto_checkpoints.${table}`)).rows)
        dump.push(
          JSON.stringify(row, (_, value) =>
            value?.type === 'Buffer' ? Buffer.from(value.data).toString() : value,
          ),
        )
    const text = dump.join('\n')
    expect(text).toContain('\\"source\\":\\"model\\"')
    expect(text).not.toMatch(/healthFactor|projections|returnsBps|You guard|12000000000|0x[0-9a-f]{40}\b/i)
  })
})
