import { type Address, encodeEventTopics, erc20Abi, getAddress, type Hex, pad } from 'viem'
import { describe, expect, it } from 'vitest'
import { at, book, owner, usdc, weth } from '../../runtime/guards/guardScene.fixture.ts'
import { aaveDebtTokenEventsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import { createRpc, type Rpc } from '../chain/rpc.ts'
import { type SearchParameters, searchApprovals } from './searchApprovals.ts'

type Range = { readonly from: number; readonly to: number }
type Log = { readonly address: Address; readonly topics: readonly Hex[]; readonly block: number }

const stranger = getAddress(at(0xbad))
const borrower = getAddress(at(0xbad2))
const debtToken = book.aaveV3.reserves[0]?.variableDebtToken as Address

function approval(token: Address, spender: Address, block: number, from: Address = owner): Log {
  const [signature] = encodeEventTopics({ abi: erc20Abi, eventName: 'Approval' })
  return { address: token, topics: [signature as Hex, pad(from), pad(spender)], block }
}
function delegation(token: Address, to: Address, block: number): Log {
  const [signature] = encodeEventTopics({
    abi: aaveDebtTokenEventsAbi,
    eventName: 'BorrowAllowanceDelegated',
  })
  return { address: token, topics: [signature as Hex, pad(owner), pad(to), pad(usdc)], block }
}

/** A node that has logs, and answers as it is told to; what it was asked is kept. */
function node(logs: readonly Log[], answer: (range: Range) => unknown = () => null) {
  const asked: Range[] = []
  const rpc: Rpc = createRpc({
    url: new URL('http://node.example'),
    timeout: 5_000,
    retries: 0,
    requester: {
      async request({ params }) {
        const [filter] = params as [{ readonly fromBlock: Hex; readonly toBlock: Hex }]
        const range = { from: Number(filter.fromBlock), to: Number(filter.toBlock) }
        asked.push(range)
        const special = await answer(range)
        if (special !== null) return special
        return logs.filter(({ block }) => block >= range.from && block <= range.to)
      },
    },
  })
  return { rpc, asked }
}

const refusal = (message: string) => Object.assign(new Error(message), { code: -32602, message })

const search = (nodes: readonly { readonly rpc: Rpc }[], changes: Partial<SearchParameters> = {}) =>
  searchApprovals({
    nodes: nodes.map(({ rpc }) => rpc),
    book,
    account: owner,
    quorum: Math.floor(nodes.length / 2) + 1,
    head: 999n,
    first: 0n,
    ...changes,
  })

const found = [
  { token: getAddress(weth), spender: stranger },
  { token: getAddress(debtToken), spender: borrower },
]
const logs = [approval(weth, stranger, 3), delegation(debtToken, borrower, 997)]

describe('a search for approvals', () => {
  it('finds who may take something and who may borrow, in one piece where the node serves that', async () => {
    const one = node(logs)
    const running = search([one])
    expect(running.isOver()).toBe(false)
    expect(await running.end).toBeNull()
    expect(running.isOver()).toBe(true)
    expect(running.found()).toEqual(expect.arrayContaining(found))
    expect(one.asked).toEqual([{ from: 0, to: 999 }])
  })

  it('asks a node that bounds the span for ever smaller pieces, the newest first, without a gap', async () => {
    const bounded = node(logs, ({ from, to }) => {
      if (to - from >= 100) throw refusal('query exceeds max block range 100')
      return null
    })
    const running = search([bounded])
    expect(await running.end).toBeNull()
    expect(running.found()).toEqual(expect.arrayContaining(found))
    const served = bounded.asked.filter(({ from, to }) => to - from < 100)
    expect(served[0]?.to).toBe(999)
    expect(served.at(-1)?.from).toBe(0)
    for (const [index, { from }] of served.entries())
      if (index + 1 < served.length) expect(served[index + 1]?.to).toBe(from - 1)
  })

  it.each([
    [
      'refuses logs altogether',
      () => {
        throw refusal('the method eth_getLogs does not exist')
      },
      /does not exist/,
    ],
    [
      'does not answer',
      () => {
        throw new Error('connection reset')
      },
      /connection reset/,
    ],
    ['answers something else', () => ({ logs: 'none' }), /node\.example/],
  ] as const)('says which blocks nobody looked at when the node %s', async (_what, answer, why) => {
    const unsearched = await search([node(logs, answer)]).end
    expect(unsearched).toMatchObject({ from: 0n, to: 999n, why: expect.stringMatching(why) })
  })

  it('keeps what it found where a node gives up in the middle, and says how far it came', async () => {
    const running = search([
      node(logs, ({ from, to }) => {
        if (to - from >= 100 || to < 500) throw refusal('missing trie node')
        return null
      }),
    ])
    const unsearched = await running.end
    expect(running.found()).toEqual([found[1]])
    expect(unsearched?.from).toBe(0n)
    expect(unsearched?.to).toBeLessThan(500n)
  })

  it('asks every node: one that hides something or is down hides nothing that another tells', async () => {
    const running = search([
      node([]),
      node(logs),
      node(logs, () => {
        throw new Error('down')
      }),
    ])
    expect(await running.end).toBeNull()
    expect(running.found()).toEqual(expect.arrayContaining(found))
  })

  it('lets no node fill the place of what others tell, nor say alone that everything was looked at', async () => {
    const many = Array.from({ length: 9 }, (_, index) => approval(weth, getAddress(at(0x1000 + index)), 5))
    const noise = many.map((log, index) => ({ ...log, address: getAddress(at(0x2000 + index)) }))
    const limits = { milliseconds: 5_000, requests: 99, names: 5 }
    const truth = [found[0], found[1]]
    const [hostile, noisy, honest] = [node(many), node([...noise, ...logs]), node(logs)]
    const running = search([hostile, noisy, honest], { limits })
    // What is of no token of the book is not counted, so that two have told everything.
    expect(await running.end).toBeNull()
    expect(running.found()).toEqual(expect.arrayContaining(truth))
    expect(running.found()).toHaveLength(5 + truth.length)

    const alone = search([hostile, honest], { limits })
    expect(await alone.end).toMatchObject({ to: 999n, why: expect.stringMatching(/more than 5 who/) })
    expect(alone.found()).toEqual(expect.arrayContaining(truth))
    const down = node([], () => {
      throw new Error('down')
    })
    expect(await search([node([]), down, down]).end).toMatchObject({ from: 0n, to: 999n })
    expect(await search([node(logs)], { quorum: 2 }).end).toMatchObject({
      why: expect.stringMatching(/2 nodes have to tell/),
    })
  })

  it('takes no name from what it did not ask for', async () => {
    const lies = [
      approval(weth, stranger, 5, getAddress(at(0xee))),
      { ...approval(weth, stranger, 6), topics: [] },
    ]
    const running = search([node(lies)])
    expect(await running.end).toBeNull()
    expect(running.found()).toEqual([])
  })

  it.each([
    ['requests', { milliseconds: 5_000, requests: 0, names: 99 }, /more than 0 requests/],
    ['names', { milliseconds: 5_000, requests: 99, names: 1 }, /more than 1 who/],
  ])('ends within its bound of %s', async (_what, limits, why) => {
    const unsearched = await search([node(logs)], { limits }).end
    expect(unsearched?.why).toMatch(why)
  })

  it('ends within its bound of time, whatever the node still does', async () => {
    const silent = node(logs, () => new Promise(() => undefined))
    const limits = { milliseconds: 1, requests: 99, names: 99 }
    expect(await search([silent], { limits }).end).toMatchObject({
      why: expect.stringMatching(/had not told all/),
    })
  })

  it('ends when nobody needs it any more, whatever the node still does', async () => {
    const running = search([node(logs, () => new Promise(() => undefined))])
    running.cancel()
    expect(await running.end).toMatchObject({ from: 0n, to: 999n })
  })
})
