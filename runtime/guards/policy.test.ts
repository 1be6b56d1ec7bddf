import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeCall } from '../protocols/decodeCall.ts'
import { assertPolicyFits } from './assertPolicyFits.ts'
import { planOf } from './guardPlans.fixture.ts'
import { book, dollars, factor, gweis, intents, policy, policyFile } from './guardScene.fixture.ts'
import { actionKinds, checkPolicy, jsonPath, PolicyError, parsePolicy, withMode } from './policy.ts'

type File = typeof policyFile
type Loose = Record<string, unknown>

/** What is said of a policy file with one change. */
function said(change: (file: File & Loose) => unknown): readonly string[] {
  const file = structuredClone(policyFile) as File & Loose
  change(file)
  const checked = checkPolicy(file)
  return 'policy' in checked ? [] : checked.issues.map(({ path, message }) => `${jsonPath(path)} ${message}`)
}

const OWNER = '0x00000000000000000000000000000000000000A1'

describe('parsePolicy', () => {
  it('gives every limit its unit', () => {
    expect(policy).toMatchObject({
      spend: { perTransaction: dollars('200'), rolling: dollars('1000'), windowSeconds: 86_400 },
      slippage: { oracle: 50n, pool: 50n },
      oracle: { maxAgeSeconds: 600, maxDeviation: 100n },
      healthFactor: { floor: factor('1.05'), minAfter: factor('1.2') },
      gas: { maxFeePerGas: gweis('100'), maxCost: dollars('150') },
      drawdownStop: 2_000n,
      maxDeviation: 100n,
      approvals: { personAbove: null },
      riskReducing: {
        spend: { perTransaction: dollars('2000'), rolling: dollars('5000') },
        gas: { maxFeePerGas: gweis('400'), penaltyPart: 5_000n },
      },
    })
    const asking = structuredClone(policyFile) as File & Loose
    Object.assign(asking.approvals, { personAboveUsd: '0.5', owners: [OWNER] })
    expect(parsePolicy(asking).approvals).toMatchObject({ personAbove: dollars('0.5'), threshold: 1 })
  })

  it('versions the limits, not the way they are written', () => {
    expect(policy.version).toMatch(/^[0-9a-f]{16}$/)
    const reversed = Object.fromEntries(Object.entries(policyFile).reverse())
    expect(parsePolicy(reversed).version).toBe(policy.version)
    expect(parsePolicy({ ...policyFile, gas: { maxFeeGwei: '100.0', maxCostUsd: '150.00' } }).version).toBe(
      policy.version,
    )
    expect(parsePolicy({ ...policyFile, cooldownSeconds: 301 }).version).not.toBe(policy.version)
  })

  it('cannot be changed afterwards', () => {
    expect(Object.isFrozen(policy)).toBe(true)
  })

  it('names everything that is wrong in one line, with what to do', () => {
    const file = structuredClone(policyFile) as Loose
    delete file.cooldownSeconds
    file.mode = 'yolo'
    const thrown = (() => {
      try {
        return parsePolicy(file)
      } catch (error) {
        return error
      }
    })()
    expect(thrown).toBeInstanceOf(PolicyError)
    expect(thrown).toMatchObject({ code: 'POLICY', retryable: false })
    expect((thrown as PolicyError).toLine()).toBe(
      'Wrong policy: mode is "yolo": it must be one of "observe", "propose", "execute" · ' +
        'cooldownSeconds is missing: set it to a whole number of seconds from 0 to 315360000. ' +
        'Correct it and start again.',
    )
  })

  it('needs every single value: none has a default', () => {
    const paths: (readonly string[])[] = []
    const walk = (value: unknown, path: readonly string[]) => {
      const isOpen = path[0] === 'contracts' || path.at(-1) === 'allowances'
      if (path.length > 0) paths.push(path)
      if (typeof value === 'object' && value !== null && !Array.isArray(value) && !isOpen)
        for (const [key, child] of Object.entries(value)) walk(child, [...path, key])
    }
    const whole = { ...policyFile, protector: { rollingUsd: '3000', allowances: { native: '1' } } }
    walk(whole, [])
    expect(paths.length).toBeGreaterThan(40)
    for (const path of paths) {
      const issues = said((file) => {
        Object.assign(file, structuredClone(whole))
        const parent = path.slice(0, -1).reduce<Loose>((part, key) => part[key] as Loose, file)
        delete parent[path.at(-1) as string]
      })
      expect(issues, path.join('.')).toHaveLength(1)
      expect(issues[0]).toMatch(new RegExp(`^${path.join('\\.')} is missing: set it to .+`))
    }
  })

  it('refuses a key that it does not know, at every depth', () => {
    expect(said((file) => Object.assign(file, { cooldown: 1 }))).toEqual([
      'the file has the unknown key "cooldown": remove it or correct its spelling',
    ])
    expect(said((file) => Object.assign(file.riskReducing.gas, { maxCostUsd: '1' }))).toEqual([
      'riskReducing.gas has the unknown key "maxCostUsd": remove it or correct its spelling',
    ])
  })

  it('takes nothing but a policy', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(() => parsePolicy(value)).toThrow(PolicyError)
      }),
    )
  })
})

describe('a malformed value', () => {
  const cases: readonly (readonly [(file: File & Loose) => unknown, string])[] = [
    [
      (f) => Object.assign(f.spend, { rollingUsd: 1000 }),
      'spend.rollingUsd is 1000: it must be a decimal string',
    ],
    [
      (f) => Object.assign(f.spend, { rollingUsd: '-5' }),
      'spend.rollingUsd is "-5": it must be a decimal string',
    ],
    [(f) => Object.assign(f.spend, { rollingUsd: '1e3' }), 'spend.rollingUsd is "1e3"'],
    [(f) => Object.assign(f.spend, { rollingUsd: '1,000' }), 'spend.rollingUsd is "1,000"'],
    [(f) => Object.assign(f.spend, { rollingUsd: '0.123456789' }), 'spend.rollingUsd is "0.123456789"'],
    [(f) => Object.assign(f.spend, { rollingUsd: '9'.repeat(31) }), 'spend.rollingUsd is "999'],
    [
      (f) => Object.assign(f.slippage, { oracleBps: '50' }),
      'slippage.oracleBps is "50": it must be a whole number',
    ],
    [(f) => Object.assign(f.slippage, { oracleBps: 0.5 }), 'slippage.oracleBps is 0.5'],
    [(f) => Object.assign(f.slippage, { oracleBps: -1 }), 'slippage.oracleBps is -1'],
    [(f) => Object.assign(f.slippage, { oracleBps: 10_001 }), 'slippage.oracleBps is 10001'],
    [
      (f) => Object.assign(f, { cooldownSeconds: -1 }),
      'cooldownSeconds is -1: it must be a whole number of seconds',
    ],
    [
      (f) => Object.assign(f, { confirmations: 0 }),
      'confirmations is 0: it must be a whole number of blocks',
    ],
    [(f) => Object.assign(f.gas, { maxFeeGwei: '0.0000000001' }), 'gas.maxFeeGwei is "0.0000000001"'],
    [(f) => Object.assign(f.healthFactor, { floor: '1.05x' }), 'healthFactor.floor is "1.05x"'],
    [(f) => Object.assign(f, { intents: ['nothing'] }), 'intents[0] is "nothing": it must be one of'],
    [
      (f) => Object.assign(f, { intents: 'repay' }),
      'intents is "repay": it must be a list of kinds of intent',
    ],
    [(f) => Object.assign(f, { recipients: ['0x123'] }), 'recipients[0] is "0x123": it must be an address'],
    [
      (f) => Object.assign(f, { recipients: [`${book.aaveV3.pool.slice(0, -2)}aB`] }),
      'recipients[0] is "0x00000000000000000000000000000000000000aB": it must be an address with the right checksum',
    ],
    [
      (f) => Object.assign(f, { intents: ['repay', 'repay'] }),
      'intents lists something twice: name each once',
    ],
    [
      (f) => Object.assign(f.approvals, { personAboveUsd: null }),
      'approvals.personAboveUsd is null: it must be "none"',
    ],
    [
      (f) => Object.assign(f, { name: 'a b' }),
      'name is "a b": it must be a name of letters, digits and dashes',
    ],
    [(f) => Object.assign(f.contracts, { 'AAVE POOL': ['supply'] }), 'contracts["AAVE POOL"]'],
  ]
  it.each(cases)('%# is refused with its path', (change, message) => {
    const issues = said(change)
    expect(issues).toHaveLength(1)
    expect(issues[0]?.startsWith(message), `${issues[0]}\n${message}`).toBe(true)
  })
})

describe('a contradiction', () => {
  const cases: readonly (readonly [what: string, (file: File & Loose) => unknown, string])[] = [
    [
      'cap of a transaction above the rolling one',
      (f) => (f.spend.perTransactionUsd = '1000.01'),
      'spend.perTransactionUsd is above rollingUsd',
    ],
    [
      'the same for a rescue',
      (f) => (f.riskReducing.spend.perTransactionUsd = '5000.01'),
      'riskReducing.spend.perTransactionUsd is above rollingUsd',
    ],
    [
      'gas above the cap it counts towards',
      (f) => (f.gas.maxCostUsd = '200.01'),
      'gas.maxCostUsd is above spend.perTransactionUsd',
    ],
    [
      'a plan that outlives its intent',
      (f) => (f.lastValidBlocks = 11),
      'lastValidBlocks is above intentExpiryBlocks',
    ],
    [
      'a cooldown longer than the window',
      (f) => (f.cooldownSeconds = 86_401),
      'cooldownSeconds is longer than spend.windowSeconds',
    ],
    ['a floor at liquidation', (f) => (f.healthFactor.floor = '1'), 'healthFactor.floor is not above 1'],
    [
      'a floor at the trigger',
      (f) => (f.healthFactor.floor = '1.15'),
      'healthFactor.floor is not below trigger',
    ],
    [
      'a trigger at the target',
      (f) => Object.assign(f.healthFactor, { trigger: '1.35', minAfter: '1.35' }),
      'healthFactor.trigger is not below target',
    ],
    [
      'a minimum below the trigger',
      (f) => (f.healthFactor.minAfter = '1.1499'),
      'healthFactor.minAfter is below trigger',
    ],
    [
      'a minimum above the target',
      (f) => (f.healthFactor.minAfter = '1.3501'),
      'healthFactor.minAfter is above target',
    ],
    [
      'no limit on slippage',
      (f) => (f.riskReducing.slippage.poolBps = 10_000),
      'riskReducing.slippage.poolBps is 10000, which is the whole amount',
    ],
    ['no drawdown stop', (f) => (f.drawdownStopBps = 10_000), 'drawdownStopBps is 10000'],
    [
      'a cap of nothing',
      (f) => Object.assign(f.gas, { maxFeeGwei: '0' }),
      'gas.maxFeeGwei is zero, which denies every action',
    ],
    [
      'a rescue worth no gas',
      (f) => (f.riskReducing.gas.penaltyPartBps = 0),
      'riskReducing.gas.penaltyPartBps is zero',
    ],
    [
      'tighter spend for a rescue',
      (f) => (f.riskReducing.spend = { perTransactionUsd: '200', rollingUsd: '999' }),
      'riskReducing.spend.rollingUsd is tighter than spend.rollingUsd',
    ],
    [
      'tighter spend per rescue',
      (f) => (f.riskReducing.spend.perTransactionUsd = '199'),
      'riskReducing.spend.perTransactionUsd is tighter than spend.perTransactionUsd',
    ],
    [
      'tighter slippage for a rescue',
      (f) => (f.riskReducing.slippage.oracleBps = 49),
      'riskReducing.slippage.oracleBps is tighter than slippage.oracleBps',
    ],
    [
      'tighter pool slippage for a rescue',
      (f) => (f.riskReducing.slippage.poolBps = 49),
      'riskReducing.slippage.poolBps is tighter than slippage.poolBps',
    ],
    [
      'younger oracles for a rescue',
      (f) => (f.riskReducing.oracle.maxAgeSeconds = 599),
      'riskReducing.oracle.maxAgeSeconds is tighter than oracle.maxAgeSeconds',
    ],
    [
      'closer oracles for a rescue',
      (f) => (f.riskReducing.oracle.maxDeviationBps = 99),
      'riskReducing.oracle.maxDeviationBps is tighter than oracle.maxDeviationBps',
    ],
    [
      'cheaper gas for a rescue',
      (f) => (f.riskReducing.gas.maxFeeGwei = '99'),
      'riskReducing.gas.maxFeeGwei is tighter than gas.maxFeeGwei',
    ],
    ['transfers to nobody', (f) => (f.recipients = []), 'recipients is empty although "transfer" is allowed'],
    [
      'recipients without transfers',
      (f) => (f.intents = ['repay']),
      'recipients names recipients although "transfer" is not allowed',
    ],
    [
      'a kind whose calls are not allowed',
      (f) => (f.contracts['aave-v3.pool'] = ['withdraw', 'borrow', 'repay', 'liquidationCall']),
      'intents[0] allows "supply", which calls supply of aave-v3.pool',
    ],
    [
      'a contract without functions',
      (f) => (f.contracts['erc20:WETH'] = []),
      'contracts["erc20:WETH"] allows no function',
    ],
    [
      'a contract that is never called',
      (f) => Object.assign(f.contracts, { multicall3: ['aggregate3'] }),
      'contracts.multicall3 is no contract that Rialto calls',
    ],
    [
      'a function that is never called',
      (f) => f.contracts['erc20:WETH'].push('increaseAllowance'),
      'contracts["erc20:WETH"][2] is no function of it that Rialto calls',
    ],
    [
      'any token at all',
      (f) => Object.assign(f.contracts, { erc20: ['approve'] }),
      'contracts.erc20 does not say which: write it like "erc20:WETH"',
    ],
    [
      'no coin for gas',
      (f) => Object.assign(f, { allowances: { WETH: '1' } }),
      'allowances does not name "native"',
    ],
    [
      'a reserve without a coin for gas',
      (f) => Object.assign(f, { protector: { rollingUsd: '3000', allowances: { WETH: '1' } } }),
      'protector.allowances does not name "native"',
    ],
    [
      'a reserve that is less than a rescue may cost',
      (f) => Object.assign(f, { protector: { rollingUsd: '1999.99', allowances: { native: '1' } } }),
      'protector.rollingUsd is below riskReducing.spend.perTransactionUsd',
    ],
    [
      'a reserve for rescues that are not allowed',
      (f) =>
        Object.assign(f, {
          ...{ intents: ['swap'], recipients: [] },
          protector: { rollingUsd: '3000', allowances: { native: '1' } },
        }),
      'protector reserves something, but no intent is allowed that reduces risk',
    ],
    [
      'a reserve that is neither',
      (f) => Object.assign(f, { protector: 'some' }),
      'protector is "some": it must be "none" or what is reserved',
    ],
    [
      'a person without owners',
      (f) => Object.assign(f.approvals, { personAboveUsd: '5' }),
      'approvals.owners is empty although personAboveUsd asks for a person',
    ],
    [
      'more signatures than owners',
      (f) => Object.assign(f.approvals, { owners: [OWNER], threshold: 2 }),
      'approvals.threshold asks for 2 signatures of 1 owners',
    ],
    [
      'a graduation that does not begin',
      (f) => Object.assign(f, { graduation: [{ days: 1, mode: 'execute', partBps: 10_000 }] }),
      'graduation[0].days is not 0',
    ],
    [
      'a graduation that never ends',
      (f) => Object.assign(f, { graduation: [{ days: 0, mode: 'propose', partBps: 9_999 }] }),
      'graduation[0].partBps is not 10000',
    ],
    ...(
      [
        [{ days: 0, mode: 'execute', partBps: 10_000 }, 'days is not above the step before'],
        [{ days: 9, mode: 'execute', partBps: 1 }, 'partBps is below the step before'],
        [{ days: 9, mode: 'propose', partBps: 10_000 }, 'mode is stricter than the step before'],
      ] as const
    ).map(
      ([second, message]) =>
        [
          `a graduation that falls back (${message})`,
          (f: File & Loose) =>
            Object.assign(f, { graduation: [{ days: 0, mode: 'execute', partBps: 5_000 }, second] }),
          `graduation[1].${message}`,
        ] as const,
    ),
    [
      'a graduation that ends before the policy',
      (f) => Object.assign(f, { graduation: [{ days: 0, mode: 'propose', partBps: 10_000 }] }),
      'graduation[0].mode is not the policy\'s "execute"',
    ],
    [
      'a graduation beyond the policy',
      (f) =>
        Object.assign(f, { mode: 'propose', graduation: [{ days: 0, mode: 'execute', partBps: 10_000 }] }),
      'graduation[0].mode goes further than the policy\'s "propose"',
    ],
    [
      'one of a single pool',
      (f) => Object.assign(f.contracts, { 'aave-v3.pool:main': ['supply'] }),
      'contracts["aave-v3.pool:main"] names one of many where there is only one',
    ],
  ]
  it.each(cases)('%s is refused with its path and what to do', (_what, change, message) => {
    const issues = said(change)
    expect(issues.length).toBeGreaterThan(0)
    expect(
      issues.some((issue) => issue.startsWith(message)),
      `${issues.join('\n')}\n${message}`,
    ).toBe(true)
    for (const issue of issues) expect(issue).toMatch(/: |; /)
  })

  it('is not seen where equal limits are', () => {
    expect(
      said((file) => {
        file.spend.perTransactionUsd = file.spend.rollingUsd
        file.lastValidBlocks = file.intentExpiryBlocks
        file.healthFactor.minAfter = file.healthFactor.trigger
        file.riskReducing.slippage = { oracleBps: 50, poolBps: 50 }
      }),
    ).toEqual([])
  })

  it('is an agent that could never act, unless it only observes', () => {
    const idle = (mode: string) =>
      said((file) => Object.assign(file, { mode, intents: [], contracts: {}, recipients: [] }))
    expect(idle('observe')).toEqual([])
    expect(idle('propose')).toEqual([
      'intents is empty, so mode "propose" could never act: name a kind, or set mode to "observe"',
    ])
  })
})

describe('contracts', () => {
  it('have to allow all that encodeIntent calls for a kind, and nothing more', () => {
    for (const kind of actionKinds) {
      const called: Record<string, string[]> = {}
      for (const call of planOf(intents[kind]).calls) {
        const decoded = decodeCall(call, book)
        if (decoded === null) throw new TypeError('encodeIntent made a call that decodeCall cannot read')
        const functions = called[decoded.contract] ?? []
        called[decoded.contract] = [...new Set([...functions, decoded.functionName])]
      }
      const only = (contracts: Record<string, string[]>) =>
        said((file) =>
          Object.assign(file, {
            intents: [kind],
            contracts,
            recipients: kind === 'transfer' ? file.recipients : [],
          }),
        )
      expect(only(called), kind).toEqual([])
      for (const [contract, functions] of Object.entries(called))
        for (const name of functions) {
          const rest = functions.filter((other) => other !== name)
          const { [contract]: _gone, ...others } = called
          const without = rest.length === 0 ? others : { ...called, [contract]: rest }
          expect(only(without).join(), `${kind} without ${contract}.${name}`).toContain(name)
        }
    }
  })
})

describe('assertPolicyFits', () => {
  it('takes a policy whose names are all in the book', () => {
    expect(() => assertPolicyFits(policy, book)).not.toThrow()
  })

  it('names every contract and token that is not', () => {
    const file = structuredClone(policyFile) as File & Loose
    Object.assign(file.contracts, { 'erc20:DAI': ['approve'] })
    Object.assign(file.oracle, { withoutReferencePool: ['WETH', 'DAI'] })
    expect(() => assertPolicyFits(parsePolicy(file), book, 'p.json')).toThrow(
      'Wrong policy: p.json: contracts["erc20:DAI"] is not in the address book of chain 31337: correct the name, or ' +
        'add it to the book · p.json: oracle.withoutReferencePool[1] is no token in the address book of chain 31337',
    )
    const { rialto: _rialto, ...bare } = book
    expect(() => assertPolicyFits(policy, bare)).toThrow('contracts["rialto.flashRepay"]')
  })
})

describe('withMode', () => {
  it('changes the mode and the version, and nothing else', () => {
    const held = withMode(policy, 'propose')
    expect(held).toEqual({ ...policy, mode: 'propose', version: held.version })
    expect(held.version).toBe(parsePolicy({ ...policyFile, mode: 'propose' }).version)
    expect(held.version).not.toBe(policy.version)
    expect(withMode(held, 'execute')).toEqual(policy)
  })
})
