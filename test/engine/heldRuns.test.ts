import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemorySaver } from '@langchain/langgraph'
import { describe, expect, it, onTestFinished } from 'vitest'
import { holdRuns } from '../../infra/approvals/holdRuns.ts'
import { createCheckpointer } from '../../infra/store/createCheckpointer.ts'
import { openStore } from '../../infra/store/openStore.ts'
import type { ApprovalRequest } from '../../runtime/core/approvalRecords.ts'
import type { Journal } from '../../runtime/core/ports.ts'
import { requestOf } from '../conformance/journalApprovals.ts'
import { CHAIN_ID, fakeAddress, newAgent, newGenesis, proposeIntent } from '../conformance/journalFixture.ts'
import { memoryJournals } from '../twins/memoryJournal.ts'

const warned: string[] = []
const logger = { warn: (_fields: object, message: string) => void warned.push(message) }

async function ask(journal: Journal, n = 1): Promise<ApprovalRequest> {
  const actor = { agent: newAgent(), account: fakeAddress('owner') }
  const { intent } = await proposeIntent(journal, actor, n)
  const request = requestOf(intent, actor)
  await journal.requestApproval(request)
  return request
}
const openMemory = () => memoryJournals().open(CHAIN_ID, newGenesis())

describe('holdRuns', () => {
  it.each(['rejected', 'expired', 'void'] as const)('holds a run until its request is %s', async (end) => {
    const journal = await openMemory()
    const runs = holdRuns({ journal, checkpointer: new MemorySaver(), logger })
    const { id, intentId, agent, expiresAt } = await ask(journal)
    expect(await runs.heldFor(intentId)).toBeNull()
    await runs.follow()
    await runs.follow()
    expect(await runs.heldFor(intentId)).toEqual({ planHash: id, agent, expiresAt: String(expiresAt) })
    expect(await runs.decided(intentId)).toBeNull()
    await journal.endApproval(id, end, 'because')
    await runs.follow()
    expect(await runs.heldFor(intentId)).toBeNull()
    expect(await runs.decided(intentId)).toBe(end)
  })

  it('goes by the journal where a checkpoint says otherwise', async () => {
    const checkpointer = new MemorySaver()
    const [one, other] = [await openMemory(), await openMemory()]
    const request = await ask(one)
    await holdRuns({ journal: one, checkpointer, logger }).follow()
    // The same intent in another journal, with another plan: a world that was played again.
    const actor = { agent: request.agent, account: request.account }
    const { intent } = await proposeIntent(other, actor, 1)
    expect(intent).toBe(request.intentId)
    const plan = { ...request.plan, gasLimit: 1n }
    const { id } = await other.requestApproval(requestOf(intent, actor, { plan }))
    const runs = holdRuns({ journal: other, checkpointer, logger })
    expect((await runs.heldFor(intent))?.planHash).toBe(request.id)
    await runs.follow()
    expect((await runs.heldFor(intent))?.planHash).toBe(id)
  })

  it('says that it lags, and stops nobody, when the checkpoints fail', async () => {
    const journal = await openMemory()
    await ask(journal)
    const broken = Object.assign(new MemorySaver(), {
      getTuple: async () => {
        throw new RangeError('the disk is full')
      },
    })
    warned.length = 0
    await holdRuns({ journal, checkpointer: broken, logger }).follow()
    expect(warned).toEqual(['the checkpoints of what a person decides lag behind'])
  })

  it('finds what it held after a restart, in the database', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'rialto-held-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const genesis = newGenesis()
    const open = async () => {
      const store = await openStore({ directory })
      const journal = await store.journals.open(CHAIN_ID, genesis)
      const checkpointer = await createCheckpointer(store.database)
      return { store, journal, runs: holdRuns({ journal, checkpointer, logger }) }
    }
    const before = await open()
    const { id, intentId } = await ask(before.journal)
    await before.runs.follow()
    await before.store.close()

    const after = await open()
    onTestFinished(() => after.store.close())
    const [waiting] = await after.journal.approvals('waiting')
    expect((await after.runs.heldFor(intentId))?.planHash).toBe(waiting?.id)
    await after.journal.endApproval(id, 'rejected', 'no')
    await after.runs.follow()
    expect(await after.runs.decided(intentId)).toBe('rejected')
  })
})
