import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringToHex } from 'viem'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RialtoError } from '../../runtime/core/errors.ts'
import { book, policyFile } from '../../runtime/guards/guardScene.fixture.ts'
import { PolicyError } from '../../runtime/guards/policy.ts'
import { packageRoot } from '../process/packageRoot.ts'
import { ConfigError, ConfigFileError } from './errors.ts'
import { findDirectory } from './findDirectory.ts'
import { loadConfig } from './loadConfig.ts'

const home = process.cwd()
let folder: string
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'rialto-config-')))
  await put('policy.json', JSON.stringify(policyFile))
  await put('book.json', JSON.stringify(book))
  process.chdir(folder)
})
afterEach(async () => {
  process.chdir(home)
  await rm(folder, { recursive: true })
})

const put = async (name: string, text: string): Promise<string> => {
  await writeFile(join(folder, name), text)
  return join(folder, name)
}
const agent = { id: 'guardian', role: 'lending-guardian', policy: 'policy.json' }
const config = (changes: object = {}) =>
  put('rialto.config.json', JSON.stringify({ agents: [agent], ...changes }))
const SAFE = '0x3A05fEBB9e70d5531D9230B025Dc6B8D8c8FFc67'
/** Three RPCs, one of them with a limit. */
const several = {
  kind: 'rpc',
  rpcUrls: [
    'https://a.example.org/key',
    { url: 'https://b.example.net', requestsPerSecond: 25 },
    'http://127.0.0.1:8545',
  ],
  chainId: 31_337,
  addressBook: 'book.json',
}
const rpc = { kind: 'rpc', rpcUrl: 'https://rpc.example.org/key', chainId: 31_337, addressBook: 'book.json' }

const said = async (environment = {}, path?: string): Promise<string> => {
  try {
    await loadConfig(path, environment)
  } catch (error) {
    if (error instanceof RialtoError) return error.toLine()
    throw error
  }
  return ''
}

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

  it('takes a place for the passphrase of the keystore, from its own folder, and never the passphrase', async () => {
    await config()
    expect((await loadConfig()).signer).toEqual({ passphrase: null })
    await config({ signer: { passphrase: { kind: 'file', path: 'secrets/passphrase' } } })
    expect((await loadConfig()).signer).toEqual({
      passphrase: { kind: 'file', path: join(folder, 'secrets/passphrase') },
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
      path: join(folder, 'rialto.config.json'),
      directory: join(folder, '.rialto'),
      chain: { kind: 'world' },
      agents: [
        {
          ...agent,
          account: null,
          safe: null,
          policyPath: join(folder, 'policy.json'),
          policy: { mode: 'execute' },
        },
      ],
    })
  })

  it('takes what is said, and resolves paths from the folder of the file', async () => {
    await mkdir(join(folder, 'deep'))
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
      directory: join(folder, 'deep/state'),
      chain: { kind: 'rpc', rpcUrl: rpc.rpcUrl, chainId: 31_337, addressBook: book, blockSeconds: 2 },
      agents: [{ account, policy: { mode: 'propose' }, policyPath: join(folder, 'policy.json') }],
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
      expect((await loadConfig()).path).toBe(join(folder, name))
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

describe('a wrong configuration', () => {
  it('that is not there is said to be missing', async () => {
    expect(await said()).toBe(
      'Cannot read the configuration rialto.config.ts: there is none in the working folder. ' +
        'Go to the folder that holds it, or name the file with --config.',
    )
    expect(await said({}, 'nowhere.ts')).toBe(
      'Cannot read the configuration nowhere.ts: there is no such file. Check its path, or create it.',
    )
    await expect(loadConfig()).rejects.toBeInstanceOf(ConfigFileError)
  })

  const cases: readonly (readonly [what: string, changes: object, message: string])[] = [
    [
      'an unknown key',
      { agent: [] },
      'the file has the unknown key "agent": remove it or correct its spelling',
    ],
    ['no agents', { agents: undefined }, 'agents is missing: set it to a list of agents'],
    ['an empty list of agents', { agents: [] }, 'agents is empty: name an agent, like { id, role, policy }'],
    [
      'an unknown role',
      { agents: [{ ...agent, role: 'trader' }] },
      'agents[0].role is "trader": it must be one of "lending-guardian", "liquidator"',
    ],
    [
      'a bad id',
      { agents: [{ ...agent, id: 'a b' }] },
      'agents[0].id is "a b": it must be a name of letters, digits and dashes',
    ],
    [
      'no policy',
      { agents: [{ ...agent, policy: undefined }] },
      'agents[0].policy is missing: set it to the path of a policy file',
    ],
    [
      'a bad account',
      { agents: [{ ...agent, account: '0x12' }] },
      'agents[0].account is "0x12": it must be an address',
    ],
    [
      'a Safe without its modifier',
      { agents: [{ ...agent, account: { safe: SAFE, roleKey: 'guardian', multiSend: SAFE } }] },
      'agents[0].account modifier is missing: set it to an address',
    ],
    [
      'a Safe with a role key of zeros',
      {
        agents: [
          {
            ...agent,
            account: { safe: SAFE, modifier: SAFE, multiSend: SAFE, roleKey: `0x${'0'.repeat(64)}` },
          },
        ],
      },
      'agents[0].account roleKey is "0x0000',
    ],
    ...(
      [
        [
          { key: { kind: 'keystore', label: 'guardian' } },
          'key.label is "guardian", a key that agent "guardian"',
        ],
        [{ roleKey: 'guardian' }, "roleKey is the agent's own, and the protector has a role of its own"],
      ] as const
    ).map(
      ([protector, message]) =>
        [
          `a protector that is not one of its own (${message})`,
          {
            agents: [
              {
                ...agent,
                account: { safe: SAFE, modifier: SAFE, multiSend: SAFE, roleKey: 'guardian', protector },
              },
            ],
          },
          `agents[0].account.protector.${message}`,
        ] as const,
    ),
    [
      'a Safe whose protector has the name of another agent',
      {
        agents: [
          { ...agent, account: { safe: SAFE, modifier: SAFE, multiSend: SAFE, roleKey: 'guardian' } },
          { ...agent, id: 'guardian-protector' },
        ],
      },
      'agents[0].account.protector.key.label is "guardian-protector", a key that agent "guardian-protector" has',
    ],
    [
      'a Safe on the local world',
      {
        agents: [{ ...agent, account: { safe: SAFE, modifier: SAFE, multiSend: SAFE, roleKey: 'guardian' } }],
      },
      'agents[0].account is a Safe, and the local world has none',
    ],
    [
      'an id twice',
      { agents: [agent, agent] },
      'agents[1].id is "guardian", which another agent has: give it a name of its own',
    ],
    [
      'an unknown kind of chain',
      { chain: { kind: 'moon' } },
      'chain.kind is not known: write { kind: "world" }, or { kind: "rpc"',
    ],
    [
      'a world with an RPC',
      { chain: { kind: 'world', rpcUrl: 'http://x' } },
      'chain has the unknown key "rpcUrl"',
    ],
    [
      'a bad chain id',
      { chain: { ...rpc, chainId: '1' } },
      'chain.chainId is "1": it must be a chain id, like 1',
    ],
    [
      'another chain than the address book',
      { chain: { ...rpc, chainId: 1 } },
      'chain.chainId is 1, but the address book is for chain 31337',
    ],
    [
      'no RPC',
      { chain: { ...rpc, rpcUrl: undefined } },
      'chain.rpcUrl is missing: set it, or RIALTO_RPC_URL',
    ],
    [
      'one RPC and several',
      { chain: { ...rpc, rpcUrls: ['https://a.example.org/'] } },
      'chain.rpcUrl is set, and so is rpcUrls: put all RPCs into rpcUrls, and remove rpcUrl',
    ],
    [
      'a node twice',
      {
        chain: {
          ...several,
          rpcUrls: ['https://a.example.org/key1', 'https://A.example.org./key2pa55pa55pa55'],
        },
      },
      'chain.rpcUrls[1] (https://a.example.org./…) names a node that is named before: it would vote twice; name it once',
    ],
    [
      'no RPC in a list',
      { chain: { ...several, rpcUrls: [] } },
      'chain.rpcUrls is empty: name an RPC, or leave it out',
    ],
    [
      'an RPC of another protocol in a list',
      { chain: { ...several, rpcUrls: ['ftp://u:pa55@h'] } },
      'chain.rpcUrls[0] (ftp://…@h) is no http:// or https:// or ws:// or wss:// URL',
    ],
    [
      'a limit of nothing',
      { chain: { ...several, rpcUrls: [{ url: 'https://a.example.org', requestsPerSecond: 0 }] } },
      'chain.rpcUrls[0].requestsPerSecond is 0: it must be a number of requests per second, like 25',
    ],
    [
      'a quorum of more than there are',
      { chain: { ...several, quorum: 4 } },
      'chain.quorum is 4, but only 3 RPCs are named: lower it, or name more',
    ],
    [
      'a quorum of one too many on one RPC',
      { chain: { ...rpc, quorum: 2 } },
      'chain.quorum is 2, but only 1 RPC is named: lower it, or name more',
    ],
    [
      'a quorum of none',
      { chain: { ...several, quorum: 0 } },
      'chain.quorum is 0: it must be a number of RPCs, like 2',
    ],
    [
      'a private route of an unknown kind',
      { chain: { ...rpc, private: { url: 'https://p.example.org', kind: 'secret' } } },
      'chain.private.kind is "secret": it must be one of "send-private", "protected-rpc"',
    ],
    [
      'a private route without a URL',
      { chain: { ...rpc, private: { kind: 'protected-rpc' } } },
      'chain.private.url is no text: it must be a URL',
    ],
    [
      'a last block for a protected RPC',
      { chain: { ...rpc, private: { url: 'https://p.example.org', kind: 'protected-rpc', maxBlocks: 5 } } },
      'chain.private.maxBlocks means nothing to a protected RPC',
    ],
    [
      'a server without a model',
      { inference: { url: 'http://x' } },
      'inference.model is missing: name a model of the server',
    ],
    [
      'a model without a server',
      { inference: { model: 'm' } },
      'inference.url is missing, and nothing else serves the model "m"',
    ],
    [
      'a secret in the wrong place',
      { inference: 'http://u:pa55@h' },
      'inference is a URL: it must be an object',
    ],
    [
      'no URL of a server',
      { inference: { url: 5, model: 'm' } },
      'inference.url is no text: it must be a URL',
    ],
    [
      'a database of another make',
      { store: { databaseUrl: 'mysql://u:pa55@h/x?y=pa55' } },
      'store.databaseUrl (mysql://…@h/x) is no postgres:// or postgresql:// URL',
    ],
    [
      'a queue of another make',
      { queue: { redisUrl: 'amqp://u:pa55@h' } },
      'queue.redisUrl (amqp://…@h) is no redis:// or rediss:// URL',
    ],
    ['an empty directory', { directory: '' }, 'directory is "": it must be the path of a folder'],
  ]
  it.each(cases)('with %s is refused with file, line and path', async (_what, changes, message) => {
    await config(changes)
    const line = await said()
    expect(line).toContain(`rialto.config.json:1: ${message}`)
    expect(line).not.toContain('pa55')
    expect(line).not.toContain('\n')
    await expect(loadConfig()).rejects.toBeInstanceOf(ConfigError)
  })

  it('names the line where it knows it', async () => {
    await put('rialto.config.json', '{\n  "agents": [\n    { "id": "a", "role": "x", "policy": "p" }\n  ]\n}')
    expect(await said()).toContain('rialto.config.json:3: agents[0].role')
    await put('rialto.config.json', '{\n  "agents": [,]\n}')
    expect(await said()).toContain(
      'rialto.config.json:2: the file is no JSON: a value was expected, not "," (column 14)',
    )
  })

  it('that is code is refused when it does not run, or exports nothing', async () => {
    await put('rialto.config.ts', 'export default {\n')
    expect(await said()).toMatch(/^Wrong configuration: rialto\.config\.ts: the file does not run: [^\n]+$/)
    await put('rialto.config.ts', "throw new TypeError('oh no')\n")
    expect(await said()).toContain('rialto.config.ts: the file does not run: oh no')
    await put('rialto.config.ts', "import { x } from './nowhere.ts'\nexport default x\n")
    expect(await said()).toContain('does not run: ')
    await put('rialto.config.ts', 'export const config = {}\n')
    expect(await said()).toContain('has no default export: write "export default defineConfig({ … })"')
    await put('rialto.config.ts', 'export default { agents: [] }\n')
    expect(await said()).toContain('rialto.config.ts: agents is empty')
  })

  it('does not fit its environment', async () => {
    await config()
    expect(await said({ rpcUrl: 'http://x' })).toContain(
      'chain is the local world, but RIALTO_RPC_URL is set',
    )
    expect(await said({ inferenceKey: 'k3y' })).toContain('although RIALTO_INFERENCE_KEY is set')
    expect(await said({ inferenceKey: 'k3y' })).not.toContain('k3y')
    expect(await said({ inferenceUrl: 'http://x' })).toContain('or in RIALTO_INFERENCE_MODEL')
    expect(await said({ inferenceModel: 'm' })).toContain('inference.url is missing')
  })

  it('names a policy that is wrong, missing, or further than it may go', async () => {
    await config({ agents: [{ ...agent, policy: 'none.json' }] })
    expect(await said()).toContain('Cannot read the policy none.json: there is no such file.')
    await put('policy.json', '{}')
    await config()
    await expect(loadConfig()).rejects.toBeInstanceOf(PolicyError)
    await put('policy.json', JSON.stringify({ ...policyFile, mode: 'propose' }))
    await config({ agents: [{ ...agent, mode: 'execute' }] })
    expect(await said()).toContain(
      'agents[0].mode is "execute", but its policy allows no more than "propose"',
    )
  })

  it("names what a policy allows that the chain's address book does not know", async () => {
    const { rialto: _rialto, ...bare } = book
    await put('book.json', JSON.stringify(bare))
    await config({ chain: rpc })
    expect(await said()).toContain('contracts["rialto.flashRepay"] is not in the address book of chain 31337')
  })
})

describe('an address book', () => {
  const [pool] = book.uniswapV3.pools as [(typeof book.uniswapV3.pools)[number]]
  const stranger = `0x${'ab'.repeat(20)}`
  const cases: readonly (readonly [what: string, changes: object, message: string])[] = [
    ['an unknown key', { pool: 1 }, 'book.json:1: the file has the unknown key "pool"'],
    ['a missing contract', { multicall3: undefined }, 'multicall3 is missing: set it to an address'],
    ['a bad address', { wrappedNative: '0x1' }, 'wrappedNative is "0x1": it must be an address'],
    ['an unknown coin', { wrappedNative: stranger }, 'wrappedNative is not among the tokens'],
    [
      'an unknown feed',
      { chainlink: [{ asset: stranger, feed: stranger, heartbeat: 1 }] },
      'chainlink[0].asset is not among the tokens',
    ],
    [
      'a pool in the wrong order',
      { uniswapV3: { ...book.uniswapV3, pools: [{ ...pool, token0: pool.token1, token1: pool.token0 }] } },
      'uniswapV3.pools[0].token0 is not below token1',
    ],
    ['a contract twice', { multicall3: book.aaveV3.pool }, 'twice'],
  ]
  it.each(cases)('with %s is refused', async (_what, changes, message) => {
    await put('book.json', JSON.stringify({ ...book, ...changes }))
    await config({ chain: rpc })
    expect(await said()).toContain(message)
  })
})

describe('findDirectory', () => {
  it('finds what the environment, the configuration or nobody says', async () => {
    expect(await findDirectory({})).toBe(join(folder, '.rialto'))
    await config({ directory: 'state' })
    expect(await findDirectory({})).toBe(join(folder, 'state'))
    expect(await findDirectory({ directory: '/elsewhere' })).toBe('/elsewhere')
    await mkdir(join(folder, 'deep'))
    const path = await put('deep/other.json', JSON.stringify({ agents: [agent] }))
    expect(await findDirectory({}, path)).toBe(join(folder, 'deep/.rialto'))
  })

  it('does not need policies to be right', async () => {
    await put('policy.json', 'broken')
    await config({ directory: 'state' })
    expect(await findDirectory({})).toBe(join(folder, 'state'))
  })

  it('does not guess when the configuration is broken', async () => {
    await put('rialto.config.json', '{')
    await expect(findDirectory({})).rejects.toBeInstanceOf(ConfigError)
  })
})
