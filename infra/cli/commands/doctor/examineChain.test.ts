import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { startRpcProxy } from '../../../../test/proxy/rpcProxy.ts'
import { testWorld } from '../../../world/testWorld.ts'
import { chainWarnings, examineChain } from './examineChain.ts'

const world = await testWorld({ automine: false })
const doors = [await startRpcProxy(world.url), await startRpcProxy(world.url), await startRpcProxy(world.url)]
afterAll(() => Promise.all(doors.map((door) => door.close())))
beforeEach(() => {
  for (const door of doors) door.reset()
})

const settings = (urls: readonly string[], quorum = 2) => ({
  kind: 'rpc' as const,
  nodes: urls.map((url) => ({ url, requestsPerSecond: null })),
  rpcUrl: urls[0] ?? '',
  quorum,
  privateRoute: null,
  chainId: world.chainId,
  addressBook: world.addressBook,
  blockSeconds: 12,
})
const urls = doors.map(({ url }) => url)
const linesOf = (findings: Awaited<ReturnType<typeof examineChain>>) =>
  findings.map(({ ok, warning, name, detail }) => `${ok ? (warning ? '!' : '✓') : '✗'} ${name}: ${detail}`)

describe('nodes', () => {
  test('that agree are counted', async () => {
    const { number } = await world.client.getBlock()
    const lines = linesOf(await examineChain(settings(urls), true))
    expect(lines[0]).toBe(
      `✓ chain: chain 31337 answers, with eth_simulateV1, at block ${number}: 3 of 3 RPCs agree, 2 have to`,
    )
    for (const [index, url] of urls.entries())
      expect(lines[index + 1]).toMatch(
        new RegExp(`^✓ rpc: ${new URL(url).host} agrees, block ${number}, \\d+ ms$`),
      )
  })

  test('that differ, rest or are away are told with what they do', async () => {
    doors[1]?.on({
      method: 'eth_getBlockByNumber',
      fault: {
        kind: 'rewrite',
        change: (block) => ({ ...(block as object), hash: `0x${'12'.repeat(32)}` }),
      },
    })
    const lying = linesOf(await examineChain(settings(urls), true))
    expect(lying[0]).toContain('2 of 3 RPCs agree')
    expect(lying[2]).toMatch(
      /^! rpc: .* differs from the others: the genesis block: said 0x121212…1212 where 0x.* has a quorum$/,
    )
    doors[1]?.reset()
    doors[1]?.on({ fault: { kind: 'refuse' } })
    const away = linesOf(await examineChain(settings(urls), true))
    expect(away[2]).toMatch(/^! rpc: .* is not used: no answer \(.*\)$/)
  })

  test('that are no quorum are a failure', async () => {
    for (const door of doors.slice(1)) door.on({ fault: { kind: 'refuse' } })
    const [chain] = await examineChain(settings(urls), true)
    expect(chain).toMatchObject({ ok: false })
    expect(chain?.detail).toMatch(/^No 2 RPCs agree/)
  })
})

describe('what an owner should know', () => {
  const warnings = (...parameters: Parameters<typeof settings>) =>
    chainWarnings(settings(...parameters)).map(({ detail }) => detail)
  const strangers = ['https://a.example.org/secret-key', 'https://b.example.net', 'https://c.example.com']

  test('is what operators learn, without a key', () => {
    const [learns, ...others] = warnings(strangers)
    expect(learns).toBe(
      "whoever runs a.example.org, b.example.net or c.example.com learns this machine's IP address, every address that is asked about, when, and transactions before they are mined",
    )
    expect(others).toEqual([])
  })

  test('is nothing of nodes on this machine', () => {
    expect(warnings(urls.slice(0, 1), 1).join()).not.toContain('learns')
  })

  test('is that one RPC is believed', () => {
    expect(warnings(['https://a.example.org'], 1).at(-1)).toMatch(/^one RPC is believed: if it lies/)
    expect(warnings(strangers, 1).at(-1)).toMatch(
      /^one RPC is believed, whichever of the 3 answers first: if it lies/,
    )
  })

  test('is that one which is down stops everything', () => {
    const said = /^all 2 RPCs have to agree: while one of them is down/
    expect(warnings(strangers.slice(0, 2))).toContainEqual(expect.stringMatching(said))
    expect(warnings(strangers)).not.toContainEqual(expect.stringMatching(said))
  })

  test('is that all are run by one operator', () => {
    expect(warnings(['https://a.example.org', 'https://b.example.org']).at(-1)).toBe(
      'all RPCs are run by one operator, as it seems (example.org): they can lie or fail together',
    )
  })

  test('is that one is asked without TLS', () => {
    expect(warnings([...strangers, 'http://d.example.dev/key']).join('; ')).toContain(
      'd.example.dev is asked without TLS',
    )
  })

  test('is that the operator of a private route sees transactions', () => {
    const found = chainWarnings({
      ...settings(strangers),
      privateRoute: { url: 'https://p.example.io/key', kind: 'protected-rpc', maxBlocks: null },
    }).map(({ detail }) => detail)
    expect(found.join('; ')).toContain(
      'whoever runs p.example.io sees transactions that go privately before they are mined',
    )
    expect(found[0]).toContain('those transactions that do not go privately')
  })
})
