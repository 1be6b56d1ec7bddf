import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { Address } from 'viem'
import { describe, expect, it } from 'vitest'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { testWorld } from '../world/testWorld.ts'
import { checkBook, requireBook } from './checkBook.ts'
import { createRpc } from './rpc.ts'
import { openStateReader } from './stateReader.ts'

const { url, addressBook: book } = await testWorld()
const rpcAt = (href: string) => createRpc({ url: new URL(href), timeout: 10_000, retries: 0 })
const rpc = rpcAt(url)
const check = async (other: AddressBook) => checkBook(await openStateReader(rpc), other, true)

/** Every place in a value where an address is, as a path. */
function pathsOf(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value === 'string') return /^0x[0-9a-fA-F]{40}$/.test(value) ? [path] : []
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]) => pathsOf(member, [...path, key]))
}

/** A copy of the book with something else in one place. */
function changed(path: readonly string[], value: unknown): AddressBook {
  const copy = structuredClone(book)
  let at = copy as unknown as Record<string, unknown>
  for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>
  at[path.at(-1) ?? ''] = value
  return copy
}

/** What other parts of the book refer to, and what says nothing that a contract could contradict. */
const REFERENCES = /^(wrappedNative|chainlink\.\d+\.asset)$/

describe('checkBook', () => {
  it('finds nothing wrong with the book of the world', async () => {
    expect(await check(book)).toEqual([])
  })

  it.each(
    pathsOf(book)
      .filter((path) => !REFERENCES.test(path.join('.')))
      .map((path) => [path.join('.'), path] as const),
  )('finds another contract, and nobody, at %s', async (_name, path) => {
    // Contracts that answer to much, each in the place of each: a token, and code of ours.
    const token = book.tokens[0]?.address as Address
    const named = path.reduce((at: unknown, key) => (at as Record<string, unknown>)[key], book)
    const other = named === token ? book.aaveV3.pool : token
    expect(await check(changed(path, other))).not.toEqual([])
    const nobody = '0x00000000000000000000000000000000000000aa'
    expect((await check(changed(path, nobody))).join()).toContain(path[0])
  })

  it('finds decimals and fees that are others', async () => {
    expect(await check(changed(['tokens', '1', 'decimals'], 18))).toEqual([
      `tokens: USDC at ${book.tokens[1]?.address} has 6 decimals, not 18`,
    ])
    expect((await check(changed(['uniswapV3', 'pools', '0', 'fee'], 3_000))).join()).toContain(
      'the factory names',
    )
  })

  it('does not miss our own contracts where the book has none', async () => {
    const { rialto: _rialto, ...without } = book
    expect(await check(without)).toEqual([])
  })
})

describe('who only observes', () => {
  it('needs none of our contracts, and everything else as it is', async () => {
    const absent = changed(['rialto', 'assert'], '0x00000000000000000000000000000000000000aa')
    expect(await checkBook(await openStateReader(rpc), absent, false)).toEqual([])
    const wrong = changed(['tokens', '1', 'decimals'], 18)
    expect(await checkBook(await openStateReader(rpc), wrong, false)).toHaveLength(1)
  })
})

describe('requireBook', () => {
  const wrong = changed(['rialto', 'batchAccount'], book.rialto?.assert)

  it('names everything that is wrong, and how to mend it', async () => {
    await expect(requireBook({ rpcs: [rpc], quorum: 1, book: wrong, acts: true })).rejects.toMatchObject({
      code: 'ADDRESS_BOOK_MISMATCH',
      message: expect.stringContaining('rialto.batchAccount at'),
      fix: expect.stringContaining('address book'),
    })
  })

  it('goes on when a quorum has answered, whoever is silent, and not with less', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const sockets = new Set<Socket>()
    server.on('connection', (socket) => sockets.add(socket))
    const { port } = server.address() as AddressInfo
    const silent = rpcAt(`http://127.0.0.1:${port}`)
    expect(await requireBook({ rpcs: [silent, rpc], quorum: 1, book, acts: true })).toEqual([rpc.host])
    const few = requireBook({ rpcs: [silent, rpc], quorum: 2, book, acts: true })
    // Only now does it answer, by hanging up.
    server.on('connection', (socket) => socket.destroy())
    for (const socket of sockets) socket.destroy()
    await expect(few).rejects.toMatchObject({ code: 'RPC_UNREACHABLE' })
    server.close()
  })
})
