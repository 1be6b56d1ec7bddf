import { encodeAbiParameters, type Hex } from 'viem'
import { describe, expect, it } from 'vitest'
import type { Chain, ReadCall, ReadResult } from '../core/ports.ts'
import { balanceOf } from './erc20/read.ts'
import { ReadFailedError } from './errors.ts'
import { combineReads, listReads, mapGroup, mapRead, optionalRead, readAll } from './read.ts'

const TOKEN = '0x0000000000000000000000000000000000000011'
const ALICE = '0x00000000000000000000000000000000000000aa'
const BOB = '0x00000000000000000000000000000000000000bb'
const uint = (value: bigint): Hex => encodeAbiParameters([{ type: 'uint256' }], [value])

/** A chain that answers reads, and nothing else. */
function reader(answer: (call: ReadCall, index: number) => ReadResult) {
  const requests: (readonly ReadCall[])[] = []
  const read: Chain['read'] = async (calls) => {
    requests.push(calls)
    return calls.map(answer)
  }
  return { chain: { read } as Chain, requests }
}

describe('readAll', () => {
  const [alice, bob] = [balanceOf(TOKEN, ALICE), balanceOf(TOKEN, BOB)]

  it('answers named, listed and mapped reads with one request, and asks nothing twice', async () => {
    const { chain, requests } = reader(({ data }) => ({
      success: true,
      data: uint(data.endsWith('aa') ? 1n : 2n),
    }))
    const result = await readAll(chain, '0x01', {
      alice,
      double: mapRead(bob, (value) => value * 2n),
      list: listReads([bob, alice, bob]),
      sum: mapGroup(combineReads({ a: alice, b: bob }), ({ a, b }) => a + b),
      none: listReads<bigint>([]),
    })
    expect(result).toEqual({ alice: 1n, double: 4n, list: [2n, 1n, 2n], sum: 3n, none: [] })
    expect(requests.map((calls) => calls.length)).toEqual([2])
  })

  it('keeps a long list in order', async () => {
    const { chain } = reader(({ target }) => ({ success: true, data: uint(BigInt(target)) }))
    const targets = Array.from(
      { length: 25 },
      (_, i) => `0x${(i + 1).toString(16).padStart(40, '0')}` as const,
    )
    const { list } = await readAll(chain, '0x01', {
      list: listReads(targets.map((target) => balanceOf(target, ALICE))),
    })
    expect(list).toEqual(targets.map(BigInt))
  })

  it('asks nothing when there is nothing to ask', async () => {
    const { chain, requests } = reader(() => ({ success: false, data: '0x' }))
    expect(await readAll(chain, '0x01', {})).toEqual({})
    expect(requests).toEqual([])
  })

  it.each([
    ['the call reverted', { success: false, data: '0x' }],
    ['no contract at the address', { success: true, data: '0x' }],
    ['the answer does not decode', { success: true, data: '0x1234' }],
  ] as const)('names what failed: %s', async (failure, answer) => {
    const { chain } = reader((_, index) => (index === 0 ? { success: true, data: uint(1n) } : answer))
    const failing = readAll(chain, '0x01', { alice, bob })
    await expect(failing).rejects.toBeInstanceOf(ReadFailedError)
    await expect(failing).rejects.toMatchObject({ code: 'READ_FAILED', details: { target: TOKEN, failure } })
    await expect(failing).rejects.toThrow(`balance of ${BOB}`)
  })

  it('takes a revert for an answer only where that was said', async () => {
    const { chain } = reader(() => ({ success: false, data: '0x' }))
    const read = mapRead(optionalRead(alice), (value) => value ?? 'none')
    expect(await readAll(chain, '0x01', { read })).toEqual({ read: 'none' })
    const silent = { chain: { read: async () => [] } as unknown as Chain }
    await expect(readAll(silent.chain, '0x01', { read })).rejects.toBeInstanceOf(ReadFailedError)
  })
})
