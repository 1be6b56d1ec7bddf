import { describe, expect, it } from 'vitest'
import { startAnvil } from './anvil.ts'
import { WORLD_START } from './deploy/deployWorld.ts'
import { WorldGoneError, WorldMismatchError } from './errors.ts'
import { createRpc } from './rpc.ts'
import { attachWorld, startWorld } from './world.ts'

type Block = { hash: string; timestamp: string; number: string; baseFeePerGas: string; gasLimit: string }

describe('two worlds', () => {
  it('have an identity each, and the same chain', async () => {
    const worlds = await Promise.all([startWorld(), startWorld()])
    try {
      const [a, b] = worlds
      expect(a.genesisHash).not.toBe(b.genesisHash)
      expect(a.addressBook).toEqual(b.addressBook)
      const heads: Block[] = []
      for (const world of worlds) {
        const rpc = createRpc(world.url)
        const before = await rpc<Block>('eth_getBlockByNumber', 'latest', false)
        expect(BigInt(before.timestamp)).toBe(WORLD_START)
        for (let i = 0; i < 5; i++) await rpc('evm_mine')
        heads.push(await rpc<Block>('eth_getBlockByNumber', 'latest', false))
        expect((await rpc<Block>('eth_getBlockByNumber', '0x0', false)).hash).toBe(world.genesisHash)
      }
      expect(heads[0]).toEqual(heads[1])
      expect(BigInt(heads[0]?.timestamp ?? 0)).toBe(WORLD_START + 60n)
      expect(Number(heads[0]?.gasLimit)).toBe(36_000_000)
    } finally {
      await Promise.all(worlds.map((world) => world.stop()))
    }
  })
})

describe('attachWorld', () => {
  it('finds a world again, and ends it', async () => {
    const { pid, url, genesisHash, addressBook, stop } = await startWorld({ detached: true })
    try {
      const found = await attachWorld({ pid, url, genesisHash })
      expect(found.addressBook).toEqual(addressBook)
      await found.stop()
      await expect(attachWorld({ pid, url, genesisHash })).rejects.toBeInstanceOf(WorldGoneError)
      await found.stop()
    } finally {
      await stop()
    }
  })

  it('refuses another genesis', async () => {
    const world = await startWorld()
    try {
      const genesisHash = `0x${'11'.repeat(32)}` as const
      await expect(attachWorld({ pid: world.pid, url: world.url, genesisHash })).rejects.toBeInstanceOf(
        WorldMismatchError,
      )
    } finally {
      await world.stop()
    }
  })

  it('refuses a world that another version built', async () => {
    const anvil = await startAnvil({ timestamp: 1_000 })
    try {
      const { hash } = await createRpc(anvil.url)<Block>('eth_getBlockByNumber', '0x0', false)
      const attached = attachWorld({ pid: anvil.pid, url: anvil.url, genesisHash: hash as `0x${string}` })
      await expect(attached).rejects.toMatchObject({ code: 'WORLD_MISMATCH' })
    } finally {
      await anvil.stop()
    }
  })

  it('refuses a dead process', async () => {
    const world = await startWorld()
    await world.stop()
    await expect(attachWorld(world)).rejects.toMatchObject({ code: 'WORLD_GONE' })
  })
})
