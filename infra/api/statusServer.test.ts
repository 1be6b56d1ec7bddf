import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { ApprovalClosedError } from '../../runtime/core/approvalRecords.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import { agentId } from '../../runtime/core/ids.ts'
import { type ApprovalDesk, UnknownApprovalError } from '../approvals/desk.ts'
import { fetchApprovals, sendRejection, sendSignature } from './approvals.ts'
import { fetchStatus, sendOrder } from './client.ts'
import { readRuntimeFile, removeRuntimeFile, writeRuntimeFile } from './runtimeFile.ts'
import type { Status, TradingOrder } from './status.ts'
import { startStatusServer } from './statusServer.ts'

const ACCOUNT = '0x0101010101010101010101010101010101010101'
const STATUS: Status = {
  version: '1.2.3',
  pid: process.pid,
  phase: 'playing',
  chainId: 31337,
  block: 7,
  scenario: null,
  agents: [
    {
      id: 'guardian',
      account: ACCOUNT,
      tradingState: 'halted',
      healthFactor: '1.3',
      equityUsd: null,
      lastDecision: null,
    },
  ],
  inFlight: 0,
}
const ORDER: TradingOrder = { scope: 'all', state: 'halted', reason: 'a bad feeling' }

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-api-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A running status server, written down in the folder. */
async function serve(overrides: Partial<Parameters<typeof startStatusServer>[0]> = {}) {
  const orders: TradingOrder[] = []
  const server = await startStatusServer({
    port: 0,
    known: () => ({ agents: ['guardian'], accounts: [ACCOUNT] }),
    status: async () => STATUS,
    order: async (order) => {
      orders.push(order)
    },
    ...overrides,
  })
  onTestFinished(() => server.close())
  await writeRuntimeFile(folder, { pid: process.pid, url: server.url, token: server.token })
  return { ...server, orders }
}

describe('the status server', () => {
  it('shows nothing and takes nothing without the token', async () => {
    const { url, token, orders } = await serve()
    for (const authorization of [undefined, 'Bearer ', `Bearer ${token}x`, `bearer ${token}`, token])
      for (const [path, method] of [
        ['/status', 'GET'],
        ['/trading-state', 'POST'],
        ['/approvals', 'GET'],
        [`/approvals/0x${'ab'.repeat(32)}/signatures`, 'POST'],
        [`/approvals/0x${'ab'.repeat(32)}/rejection`, 'POST'],
        ['/elsewhere', 'GET'],
      ] as const) {
        const response = await fetch(url + path, {
          method,
          headers: authorization === undefined ? {} : { authorization },
          ...(method === 'POST' ? { body: JSON.stringify(ORDER) } : {}),
        })
        expect(response.status).toBe(401)
        expect(await response.text()).not.toContain('guardian')
      }
    expect(orders).toEqual([])
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  })

  it('listens on loopback alone, with a token of its own on each start', async () => {
    const [a, b] = [await serve(), await serve()]
    expect(new URL(a.url).hostname).toBe('127.0.0.1')
    expect(a.token).toMatch(/^[0-9a-f]{48}$/)
    expect(a.token).not.toBe(b.token)
  })

  it('refuses an order that is malformed', async () => {
    const { url, token, orders } = await serve()
    for (const body of [
      '',
      'null',
      '{',
      '{"scope":"all"}',
      JSON.stringify({ ...ORDER, scope: { account: '0x1' } }),
      JSON.stringify({ ...ORDER, state: 'rich' }),
    ]) {
      const headers = { authorization: `Bearer ${token}` }
      expect((await fetch(`${url}/trading-state`, { method: 'POST', body, headers })).status).toBe(400)
    }
    expect(orders).toEqual([])
  })

  it('says that its port is taken, and what to do', async () => {
    const { url } = await serve()
    const port = Number(new URL(url).port)
    await expect(serve({ port })).rejects.toMatchObject({
      code: 'STATUS_PORT',
      fix: expect.stringMatching(/--port/),
    })
  })
})

describe('its client', () => {
  it('asks for the status and gives orders', async () => {
    const { orders } = await serve()
    expect(await fetchStatus(folder)).toEqual(STATUS)
    expect(await sendOrder(folder, ORDER)).toEqual({ agents: [{ id: 'guardian', tradingState: 'halted' }] })
    expect(orders).toEqual([ORDER])
  })

  it('is told that there is no such agent, and which there are', async () => {
    const { orders } = await serve()
    await expect(
      sendOrder(folder, { ...ORDER, scope: { agent: agentId('guardain') } }),
    ).rejects.toMatchObject({
      code: 'UNKNOWN_AGENT',
      message: expect.stringMatching(/no agent "guardain".*guardian/),
    })
    const stranger = '0x0202020202020202020202020202020202020202'
    await expect(sendOrder(folder, { ...ORDER, scope: { account: stranger } })).rejects.toMatchObject({
      message: expect.stringMatching(new RegExp(`No agent acts on ${stranger}.*${ACCOUNT}`)),
    })
    expect(orders).toEqual([])
  })

  it('passes on why an order was not taken', async () => {
    await serve({
      order: async () => {
        throw new RialtoError('DISK_FULL', 'The disk is full.')
      },
    })
    await expect(sendOrder(folder, ORDER)).rejects.toThrow(/did not take the order \(The disk is full\.\)/)
  })

  it('finds nobody where nothing is written, what is written is cut off, or nothing listens', async () => {
    expect(await fetchStatus(folder)).toBeNull()
    writeFileSync(join(folder, 'runtime.json'), '{"pid":')
    expect(await fetchStatus(folder)).toBeNull()
    await writeRuntimeFile(folder, { pid: process.pid, url: 'http://127.0.0.1:9', token: 'x'.repeat(32) })
    expect(await sendOrder(folder, ORDER)).toBeNull()
  })

  it('does not take another program on the port of a dead runtime for it', async () => {
    const other = createServer((_request, response) => {
      response.statusCode = 404
      response.end('<html>')
    })
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void other.close())
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
    // No process has that id: it is above what any system gives out.
    await writeRuntimeFile(folder, { pid: 2 ** 30, url, token: 'x'.repeat(32) })
    expect(await fetchStatus(folder)).toBeNull()
    await writeRuntimeFile(folder, { pid: process.pid, url, token: 'x'.repeat(32) })
    await expect(fetchStatus(folder)).rejects.toMatchObject({ code: 'RUNTIME_ANSWER' })
  })

  it('says when the runtime is of another version', async () => {
    await serve({ status: async () => ({ ...STATUS, phase: 'dreaming' }) as unknown as Status })
    await expect(fetchStatus(folder)).rejects.toThrow(/another version/)
  })
})

describe('the runtime file', () => {
  it('can be read by its owner alone, and leaves nothing beside it', async () => {
    const runtime = { pid: 1, url: 'http://127.0.0.1:1', token: 'x'.repeat(32) }
    await writeRuntimeFile(folder, runtime)
    expect(await readRuntimeFile(folder)).toEqual(runtime)
    expect(statSync(join(folder, 'runtime.json')).mode & 0o777).toBe(0o600)
    expect(readdirSync(folder)).toEqual(['runtime.json'])
    await removeRuntimeFile(folder)
    await removeRuntimeFile(folder)
    expect(await readRuntimeFile(folder)).toBeNull()
  })

  it('says in one line when the folder is none', async () => {
    const file = join(folder, 'file')
    writeFileSync(file, '')
    await expect(readRuntimeFile(file)).rejects.toMatchObject({ code: 'DIRECTORY_UNUSABLE' })
  })
})

describe('what people are asked', () => {
  const id = `0x${'ab'.repeat(32)}` as const
  const nothing: ApprovalDesk = {
    list: async () => [],
    approve: async (asked) => {
      throw new UnknownApprovalError(asked)
    },
    reject: async (asked) => {
      throw new ApprovalClosedError(asked, 'it is expired')
    },
  }

  it('is listed, and refusals keep their code and what to do', async () => {
    await serve({ approvals: nothing })
    expect(await fetchApprovals(folder, true)).toEqual([])
    await expect(sendSignature(folder, id, '0x00')).rejects.toMatchObject({
      code: 'UNKNOWN_APPROVAL',
      fix: expect.stringMatching(/approvals list/),
    })
    await expect(sendRejection(folder, id, 'no')).rejects.toMatchObject({
      code: 'APPROVAL_CLOSED',
      message: expect.stringMatching(/it is expired/),
    })
  })

  it('is no page where nothing runs, or nobody has a desk', async () => {
    expect(await fetchApprovals(folder, false)).toBeNull()
    expect(await sendRejection(folder, id, 'no')).toBeNull()
    await serve()
    await expect(fetchApprovals(folder, false)).rejects.toMatchObject({ code: 'RUNTIME_ANSWER' })
  })

  it.each([
    [`/approvals/${id}/signatures`, '{}'],
    [`/approvals/${id}/signatures`, '{'],
    [`/approvals/${id}/signatures`, '{"signature":"0x00","more":1}'],
    ['/approvals/0x12/signatures', '{"signature":"0x00"}'],
    [`/approvals/${id}/rejection`, '{"reason":7}'],
    [`/approvals/${id}/rejection`, JSON.stringify({ reason: 'x'.repeat(201) })],
  ])('takes no malformed answer: %s %s', async (path, body) => {
    const { url, token } = await serve({ approvals: nothing })
    const headers = { authorization: `Bearer ${token}` }
    expect((await fetch(url + path, { method: 'POST', body, headers })).status).toBe(400)
  })
})
