import { describe, expect, it } from 'vitest'
import { book, policyFile } from '../../runtime/guards/guardScene.fixture.ts'
import { PolicyError } from '../../runtime/guards/policy.ts'
import { agent, configScene, rpc, SAFE, several } from './configScene.fixture.ts'
import { ConfigError, ConfigFileError } from './errors.ts'
import { loadConfig } from './loadConfig.ts'

const scene = configScene()
const { put, config, said } = scene

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
