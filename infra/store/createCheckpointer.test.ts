import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Annotation, Command, END, interrupt, START, StateGraph } from '@langchain/langgraph'
import { keccak256, stringToHex, zeroAddress } from 'viem'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { agentId, runId } from '../../runtime/core/ids.ts'
import type { Journal } from '../../runtime/core/journal.ts'
import { createCheckpointer } from './createCheckpointer.ts'
import { openStore, type Store } from './openStore.ts'

const directory = mkdtempSync(join(tmpdir(), 'rialto-checkpoints-'))
let store: Store
let journal: Journal
beforeAll(async () => {
  store = await openStore({ directory })
  journal = await store.journals.open(1, keccak256('0x01'))
})
afterAll(async () => {
  await store.close()
  rmSync(directory, { recursive: true })
})

const agent = agentId('guardian')
let blocks = 0
async function startSomeRun(): Promise<void> {
  blocks += 1
  const blockHash = keccak256(stringToHex(String(blocks)))
  await journal.startRun({
    id: runId(agent, blockHash),
    agent,
    account: zeroAddress,
    blockNumber: BigInt(blocks),
    blockHash,
  })
}

const State = Annotation.Root({ steps: Annotation<number>, answer: Annotation<string> })

/** A graph that writes to the journal from within its nodes, and asks a person in between. */
async function graph() {
  return new StateGraph(State)
    .addNode('think', async ({ steps }) => {
      await startSomeRun()
      return { steps: steps + 1 }
    })
    .addNode('ask', async ({ steps }) => ({ answer: interrupt('what now?'), steps: steps + 1 }))
    .addNode('end', async ({ steps }) => {
      await startSomeRun()
      return { steps: steps + 1 }
    })
    .addEdge(START, 'think')
    .addEdge('think', 'ask')
    .addEdge('ask', 'end')
    .addEdge('end', END)
    .compile({ checkpointer: await createCheckpointer(store.database) })
}
const thread = (id: string) => ({ configurable: { thread_id: id } })

describe('createCheckpointer', () => {
  it('can be made as often as one likes', async () => {
    await createCheckpointer(store.database)
    await createCheckpointer(store.database)
  })

  it('takes a graph up where another one left it', async () => {
    await (await graph()).invoke({ steps: 0 }, thread('one'))
    const resumed = await (await graph()).invoke(new Command({ resume: 'go on' }), thread('one'))
    expect(resumed).toMatchObject({ steps: 3, answer: 'go on' })
  })

  it('shares the one connection with the journal without either waiting for ever', async () => {
    const before = (await journal.counts()).runs
    const flow = await graph()
    await Promise.all([
      ...Array.from({ length: 8 }, async (_, n) => {
        await flow.invoke({ steps: 0 }, thread(`many-${n}`))
        return flow.invoke(new Command({ resume: 'go on' }), thread(`many-${n}`))
      }),
      ...Array.from({ length: 30 }, () => journal.history(agent, zeroAddress, 0n)),
    ])
    expect((await journal.counts()).runs - before).toBe(16)
  })

  it('keeps out of the schema of the journal', async () => {
    const { rows } = await store.database.pool.query(
      `SELECT DISTINCT table_schema AS name FROM information_schema.tables
        WHERE table_name LIKE 'checkpoint%' AND table_schema <> 'information_schema'`,
    )
    expect(rows).toEqual([{ name: 'rialto_checkpoints' }])
  })
})
