import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getAddress } from 'viem'
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { agentId } from '../../../runtime/core/ids.ts'
import { writeRuntimeFile } from '../../api/runtimeFile.ts'
import { giveOwnerOrder, openOrders } from '../../orders/ownerOrders.ts'
import { haltCommand, resumeCommand } from './halt.ts'

// What is said when the runtime or the journal cannot be told. A runtime that hangs is in test/e2e/killSwitch.test.ts.

const ACCOUNT = '0x00000000000000000000000000000000000000A1'
/** Nobody listens there. */
const NO_DATABASE = 'postgres://ann@127.0.0.1:9/rialto'

let folder: string
let directory: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-halt-'))
  directory = join(folder, '.rialto')
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  vi.stubEnv('RIALTO_DIR', directory)
  onTestFinished(() => void vi.unstubAllEnvs())
  mkdirSync(directory, { recursive: true })
  configure({})
})

function configure(more: object): void {
  const agents = [{ id: 'guardian', role: 'lending-guardian', policy: 'policy.json', account: ACCOUNT }]
  writeFileSync(join(folder, 'rialto.config.json'), JSON.stringify({ agents, ...more }))
}

async function run(verb: 'halt' | 'resume', ...argv: readonly string[]): Promise<string> {
  const lines: string[] = []
  const terminal = {
    out: (line: string) => void lines.push(line),
    note: () => undefined,
    step: expect.unreachable,
  }
  const command = verb === 'halt' ? haltCommand(terminal) : resumeCommand(terminal)
  command.exitOverride()
  await command.parseAsync([...argv, '--config', join(folder, 'rialto.config.json')], { from: 'user' })
  return lines.join('\n')
}

const stateOf = (agent: string) => openOrders(directory).stateFor({ agent, account: ACCOUNT })

/** A runtime that answers like this. */
async function serve(status: number, body: object): Promise<void> {
  const server = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  mkdirSync(directory, { recursive: true })
  await writeRuntimeFile(directory, {
    pid: process.pid,
    url: `http://127.0.0.1:${port}`,
    token: 'x'.repeat(32),
  })
}

describe.each([
  ['an agent', ['--agent', 'guardian']],
  ['an account', ['--account', ACCOUNT]],
  ['all', []],
])('an order to %s', (_whom, scope) => {
  it('holds here when the journal cannot be told, and says where it may not', async () => {
    configure({ store: { databaseUrl: NO_DATABASE } })
    await expect(run('halt', ...scope)).rejects.toMatchObject({
      code: 'ORDER_ONLY_HERE',
      message: expect.stringMatching(/: halted for all that runs on .*No PostgreSQL answers/),
      fix: expect.stringMatching(/Workers on other machines do not know/),
    })
    expect(stateOf('guardian')).toBe('halted')
  })

  it('is all that is needed when a runtime with an embedded journal does not take it', async () => {
    await serve(500, { error: 'The disk is full.' })
    expect(await run('halt', '--reduce-only', ...scope)).toMatch(
      /: reducing \(the runtime could not be told; /,
    )
    expect(stateOf('guardian')).toBe('reducing')
  })

  it('is taken back only when the journal is', async () => {
    await serve(500, { error: 'The disk is full.' })
    await run('halt', ...scope)
    await expect(run('resume', ...scope)).rejects.toMatchObject({ code: 'RUNTIME_ANSWER' })
    expect(stateOf('guardian')).toBe('halted')
  })
})

it('writes nothing for a name where nothing was ever started and no configuration says who that is', async () => {
  rmSync(folder, { recursive: true })
  mkdirSync(folder)
  await expect(run('halt', '--agent', 'guardian')).rejects.toMatchObject({ code: 'CONFIG_FILE' })
  expect(existsSync(directory)).toBe(false)
  await expect(run('halt')).rejects.toMatchObject({ code: 'ORDER_ONLY_HERE' })
  expect(stateOf('guardian')).toBe('halted')
})

describe('an order to nobody', () => {
  it.each([
    ['--agent', 'guardain'],
    ['--account', '0x0000000000000000000000000000000000000002'],
  ])('is an error that leaves nothing behind (%s), by the configuration', async (option, value) => {
    await expect(run('halt', option, value)).rejects.toMatchObject({
      code: 'UNKNOWN_AGENT',
      message: expect.stringContaining(value),
    })
    expect(openOrders(directory).list()).toEqual([])
  })

  it.each([
    ['halted', ['--agent', 'guardain'], 422],
    ['halted', ['--agent', 'guardain'], 500],
    ['reducing', ['--account', '0x0000000000000000000000000000000000000002'], 500],
  ])(
    'is an error whatever a runtime says or does not, and lifts no halt that stands (%s, %j, %i)',
    async (state, scope, status) => {
      const [agent, account] = scope[0] === '--agent' ? [scope[1]] : [undefined, scope[1]]
      const named = agent === undefined ? { account: getAddress(`${account}`) } : { agent: agentId(agent) }
      giveOwnerOrder(directory, { scope: named, state: 'halted', reason: 'by an earlier configuration' })
      const before = openOrders(directory).list()
      await serve(status, { error: 'There is no such one.' })
      const argv = state === 'reducing' ? ['--reduce-only', ...scope] : scope
      await expect(run('halt', ...argv)).rejects.toMatchObject({ code: 'UNKNOWN_AGENT' })
      expect(openOrders(directory).list()).toEqual(before)
    },
  )
})

it('holds for whom the configuration names, although the runtime was started from another', async () => {
  await serve(422, { error: 'There is no agent "guardian".' })
  expect(await run('halt', '--agent', 'guardian')).toMatch(
    /^guardian: halted \(the runtime was started from another configuration, without it; /,
  )
  expect(stateOf('guardian')).toBe('halted')
  await expect(run('resume', '--agent', 'guardian')).rejects.toMatchObject({ code: 'UNKNOWN_AGENT' })
  expect(stateOf('guardian')).toBe('halted')
})

it('takes the word of a runtime for one whom the configuration names no more', async () => {
  await serve(200, { agents: [{ id: 'retired', tradingState: 'halted' }] })
  expect(await run('halt', '--agent', 'retired')).toBe('retired: halted.')
  expect(openOrders(directory).stateFor({ agent: 'retired' })).toBe('halted')
})

it('rather halts a name too many than one too few where no configuration can be read and no runtime answers', async () => {
  writeFileSync(join(folder, 'rialto.config.json'), '{')
  await serve(500, { error: 'The disk is full.' })
  await expect(run('halt', '--agent', 'guardian')).rejects.toMatchObject({ code: 'ORDER_ONLY_HERE' })
  expect(stateOf('guardian')).toBe('halted')
})
