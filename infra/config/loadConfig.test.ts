import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { stringToHex } from 'viem'
import { describe, expect, it } from 'vitest'
import { book } from '../../runtime/guards/guardScene.fixture.ts'
import { packageRoot } from '../process/packageRoot.ts'
import { agent, configScene, rpc, SAFE, several } from './configScene.fixture.ts'
import { loadConfig } from './loadConfig.ts'

const scene = configScene()
const { put, config, said } = scene

describe('loadConfig', () => {
  it('loads the example that ships', async () => {
    const root = packageRoot(import.meta.url)
    const loaded = await loadConfig(join(root, 'rialto.config.ts'))
    expect(loaded).toMatchObject({
      directory: join(root, '.rialto'),
      chain: { kind: 'world' },
      inference: { url: null, model: null, key: null, network: null, passphrase: null, privacy: 'private' },
      store: { databaseUrl: null },
      queue: { redisUrl: null },
    })
    expect(loaded.agents.map(({ role }) => role)).toEqual(['lending-guardian', 'liquidator'])
  })

  it('takes where to evacuate to, and refuses what would give nothing back', async () => {
    const owner = '0x000000000000000000000000000000000000bEEF'
    const own = '0x00000000000000000000000000000000000000A1'
    const to = (evacuateTo: string) =>
      config({ chain: rpc, agents: [{ ...agent, account: own, evacuateTo }] })
    await to(owner)
    expect((await loadConfig()).agents).toMatchObject([{ evacuateTo: owner }])
    await to(own)
    expect(await said()).toMatch(/agents\[0\]\.evacuateTo is the account that would be evacuated: name/)
    await to(book.aaveV3.pool)
    expect(await said()).toMatch(/evacuateTo is the contract aave-v3\.pool, which would give nothing back/)
    await to('0xdeadbeef')
    expect(await said()).toMatch(/evacuateTo/)
  })

  it('takes a Safe, and a short name for its role', async () => {
    const account = { safe: SAFE, modifier: book.aaveV3.pool, roleKey: 'guardian', multiSend: SAFE }
    await config({ chain: rpc, agents: [{ ...agent, account: { ...account, firstBlock: 7 } }] })
    expect((await loadConfig()).agents).toMatchObject([
      {
        account: SAFE,
        safe: { ...account, roleKey: `0x677561726469616e${'0'.repeat(48)}`, firstBlock: 7n },
      },
    ])
  })

  it('gives the protector of a Safe a key and a role of its own, as named or after the agent’s', async () => {
    const account = { safe: SAFE, modifier: book.aaveV3.pool, roleKey: 'guardian', multiSend: SAFE }
    const protectorOf = async (protector?: object) => {
      await config({ chain: rpc, agents: [{ ...agent, account: { ...account, protector } }] })
      return (await loadConfig()).agents[0]?.safe?.protector
    }
    expect(await protectorOf()).toEqual({
      ...{ label: 'guardian-protector', key: { kind: 'keystore' } },
      roleKey: stringToHex('guardian-protector', { size: 32 }),
    })
    const named = { roleKey: 'rescue', key: { kind: 'keystore', label: 'other' } }
    expect(await protectorOf(named)).toEqual({
      ...{ label: 'other', key: { kind: 'keystore' } },
      roleKey: stringToHex('rescue', { size: 32 }),
    })
    const kms = { kind: 'kms', keyId: 'alias/protector', address: SAFE }
    expect(await protectorOf({ key: kms })).toMatchObject({ label: 'guardian-protector', key: kms })
  })

  it('takes a place for the passphrase of the keystore, from its own scene.folder, and never the passphrase', async () => {
    await config()
    expect((await loadConfig()).signer).toEqual({ passphrase: null })
    await config({ signer: { passphrase: { kind: 'file', path: 'secrets/passphrase' } } })
    expect((await loadConfig()).signer).toEqual({
      passphrase: { kind: 'file', path: join(scene.folder, 'secrets/passphrase') },
    })
    for (const passphrase of [{ kind: 'prompt' }, { kind: 'fd', fd: 4 }]) {
      await config({ signer: { passphrase } })
      expect((await loadConfig()).signer).toEqual({ passphrase })
    }
    for (const [passphrase, message] of [
      ['correct horse battery', 'signer.passphrase is not known: write { kind: "file", path }'],
      [{ kind: 'environment' }, 'is not known'],
      [{ kind: 'fd', fd: 1 }, 'an inherited file descriptor, from 3'],
      [{ kind: 'prompt', path: 'x' }, 'unknown key'],
    ] as const) {
      await config({ signer: { passphrase } })
      const line = await said()
      expect(line).toContain(message)
      expect(line).not.toContain('horse')
    }
  })

  it('fills in what is left out', async () => {
    await config()
    expect(await loadConfig()).toMatchObject({
      path: join(scene.folder, 'rialto.config.json'),
      directory: join(scene.folder, '.rialto'),
      chain: { kind: 'world' },
      agents: [
        {
          ...agent,
          account: null,
          safe: null,
          policyPath: join(scene.folder, 'policy.json'),
          policy: { mode: 'execute' },
        },
      ],
    })
  })

  it('takes what is said, and resolves paths from the folder of the file', async () => {
    await mkdir(join(scene.folder, 'deep'))
    const account = book.aaveV3.pool
    const path = await put(
      'deep/my.json',
      JSON.stringify({
        chain: { ...rpc, addressBook: '../book.json', blockSeconds: 2 },
        agents: [{ ...agent, policy: '../policy.json', account, mode: 'propose' }],
        inference: { url: 'http://localhost:11434/v1', model: 'llama' },
        store: { databaseUrl: 'postgres://localhost/rialto' },
        queue: { redisUrl: 'redis://localhost:6379' },
        directory: 'state',
      }),
    )
    expect(await loadConfig(path)).toMatchObject({
      directory: join(scene.folder, 'deep/state'),
      chain: { kind: 'rpc', rpcUrl: rpc.rpcUrl, chainId: 31_337, addressBook: book, blockSeconds: 2 },
      agents: [{ account, policy: { mode: 'propose' }, policyPath: join(scene.folder, 'policy.json') }],
      inference: { url: 'http://localhost:11434/v1', model: 'llama', key: null },
      store: { databaseUrl: 'postgres://localhost/rialto' },
      queue: { redisUrl: 'redis://localhost:6379' },
    })
  })

  it('takes one RPC or several, and a majority of them for a quorum', async () => {
    const chainOf = async (chain: object, environment = {}) => {
      await config({ chain })
      return (await loadConfig(undefined, environment)).chain
    }
    expect(await chainOf(rpc)).toMatchObject({
      nodes: [{ url: rpc.rpcUrl, requestsPerSecond: null }],
      quorum: 1,
      privateRoute: null,
    })
    const nodes = [
      { url: 'https://a.example.org/key', requestsPerSecond: null },
      { url: 'https://b.example.net', requestsPerSecond: 25 },
      { url: 'http://127.0.0.1:8545', requestsPerSecond: null },
    ]
    expect(await chainOf(several)).toMatchObject({ nodes, quorum: 2, rpcUrl: 'https://a.example.org/key' })
    expect(await chainOf({ ...several, quorum: 3 })).toMatchObject({ nodes, quorum: 3 })
    const route = { url: 'https://p.example.org/key', kind: 'send-private', maxBlocks: 25 }
    expect(await chainOf({ ...several, private: route })).toMatchObject({ privateRoute: route })
    expect(await chainOf(several, { rpcUrl: 'https://x.example.org, https://y.example.org' })).toMatchObject({
      nodes: [
        { url: 'https://x.example.org', requestsPerSecond: null },
        { url: 'https://y.example.org', requestsPerSecond: null },
      ],
      quorum: 2,
    })
  })

  it('holds the RPCs of the environment against the quorum of the file', async () => {
    await config({ chain: { ...several, quorum: 3 } })
    await expect(
      loadConfig(undefined, { rpcUrl: 'https://x.example.org,https://y.example.org' }),
    ).rejects.toThrow('chain.quorum is 3, but only 2 RPCs are named by RIALTO_RPC_URL')
    await config({ chain: several })
    await expect(
      loadConfig(undefined, { rpcUrl: 'http://localhost:8545,http://127.0.0.1:8545/key' }),
    ).rejects.toThrow('names a node that is named before')
  })

  it('lets the environment override the file', async () => {
    await config({ chain: rpc, inference: { url: 'http://localhost:1/', model: 'a' }, directory: 'a' })
    expect(
      await loadConfig(undefined, {
        inferenceUrl: 'http://localhost:2/',
        inferenceModel: 'b',
        inferenceKey: 'k',
        rpcUrl: 'http://b/',
        databaseUrl: 'postgres://b/b',
        redisUrl: 'redis://b',
        directory: '/b',
      }),
    ).toMatchObject({
      directory: '/b',
      chain: { rpcUrl: 'http://b/', blockSeconds: 12 },
      inference: {
        url: 'http://localhost:2/',
        model: 'b',
        key: 'k',
        network: null,
        passphrase: null,
        privacy: 'local',
      },
      store: { databaseUrl: 'postgres://b/b' },
      queue: { redisUrl: 'redis://b' },
    })
  })

  it.each(['rialto.config.ts', 'rialto.config.mts', 'rialto.config.js', 'rialto.config.mjs'])(
    'runs %s, which may import rialto/config from anywhere',
    async (name) => {
      await put(
        name,
        `import { defineConfig } from 'rialto/config'\nexport default defineConfig({ agents: [${JSON.stringify(agent)}] })\n`,
      )
      expect((await loadConfig()).path).toBe(join(scene.folder, name))
    },
  )

  it('takes TypeScript before JSON', async () => {
    await config()
    const path = await put(
      'rialto.config.ts',
      `export default { agents: [${JSON.stringify(agent)}] } as const`,
    )
    expect((await loadConfig()).path).toBe(path)
  })
})

describe('inference', () => {
  const network = {
    relays: ['https://relay.example.org'],
    gateway: {
      name: 'gate',
      identity: Buffer.alloc(32, 7).toString('base64url'),
      witnesses: ['https://mint.example.org'],
    },
    mint: { name: 'mint', url: 'https://mint.example.org' },
  }

  it('takes a private network from a file beside the configuration', async () => {
    await put('network.json', JSON.stringify({ ...network, operatorShare: 0.5, cadence: 'off' }))
    await config({ inference: { network: 'network.json', model: 'm', privacy: 'attested' } })
    expect((await loadConfig()).inference).toEqual({
      url: null,
      key: null,
      model: 'm',
      passphrase: null,
      privacy: 'attested',
      network: { ...network, operatorShare: 0.5, cadence: 'off' },
    })
  })

  it.each([
    [{ ...network, relays: [] }, 'relays is empty: name a relay'],
    [{ ...network, relays: ['ftp://x'] }, 'relays[0] is no http:// or https:// URL'],
    [{ ...network, gateway: { ...network.gateway, witnesses: [] } }, 'gateway.witnesses is empty'],
    [{ ...network, gateway: { ...network.gateway, identity: 'abc' } }, 'gateway.identity is no identity'],
    [{ ...network, mint: undefined }, 'mint is missing'],
    [{ ...network, operatorShare: 0 }, 'operatorShare is 0: it must be a number over 0'],
    [{ ...network, relay: 'x' }, 'has the unknown key "relay"'],
    ['nonsense', 'it must be an object'],
  ])('names what is wrong with a network file: %#', async (content, message) => {
    await put('network.json', JSON.stringify(content))
    await config({ inference: { network: 'network.json', model: 'm' } })
    const line = await said()
    expect(line).toContain(message)
    expect(line).toContain('network.json:1')
  })

  it.each([
    [{ url: 'https://api.example.org/v1', model: 'm' }, 'inference.url is another machine'],
    [{ url: 'http://10.0.0.7:8000/v1', model: 'm' }, 'inference.url is another machine'],
    [{ privacy: 'local' }, 'is "local", but no model of this machine is named'],
    [{ privacy: 'secret' }, 'inference.privacy'],
    [{ network: 'network.json' }, 'inference.model is missing: name a model of the network'],
    [{ network: 'none.json', model: 'm' }, 'none.json'],
    [{ network: 'network.json', url: 'http://localhost:1', model: 'm' }, 'remove one'],
  ])('refuses what would tell more than was asked for: %j', async (inference, message) => {
    await put('network.json', JSON.stringify(network))
    await config({ inference })
    expect(await said()).toContain(message)
  })
})
