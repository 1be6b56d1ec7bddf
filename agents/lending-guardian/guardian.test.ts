import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Agent } from '../../runtime/core/agent.ts'
import { parseIntent } from '../../runtime/core/intent.ts'
import { usd, wad } from '../../runtime/core/units.ts'
import type { LendingGuardianOptions } from './options.ts'
import { analyse, testGuardian, urgent, worried } from './testGuardian.ts'
import { hangs, type Script, type ScriptedModel, says, startScriptedModel } from './testModel.ts'
import { account, assets, pool, snapshotOf, thresholds } from './testSnapshot.ts'

let model: ScriptedModel
beforeAll(async () => {
  model = await startScriptedModel()
})
beforeEach(() => {
  model.bodies.length = 0
})
afterAll(() => model.close())
afterEach(() => {
  vi.restoreAllMocks()
})

const guardianOf = (options: Partial<LendingGuardianOptions> = {}): Agent =>
  testGuardian({ model: { chat: model.chat, name: 'scripted' }, ...options })

describe('what the guardian watches', () => {
  it('is its own position, its assets, what gas is priced by, and its pools', () => {
    expect(guardianOf({ assets: [assets.usdc] }).watch()).toEqual({
      positions: [account],
      assets: [assets.usdc, assets.weth],
      pools: [pool],
    })
  })
})

describe('without thought', () => {
  const quietly = { source: 'quiet', inferenceCalls: 0, model: null, candidates: 0, fallbackReason: null }

  it('stays quiet while the position is safe, and asks nobody', async () => {
    const analysis = await analyse(guardianOf(), snapshotOf({ price: usd(2_000n * 10n ** 8n) }))
    expect(analysis).toMatchObject({ ...quietly, proposal: { kind: 'nothing', expiresAtBlock: 1_005n } })
    expect(analysis.reason).toBe('All is well at a health factor of 1.375.')
    expect(model.bodies).toEqual([])
  })

  it('stays quiet without debt', async () => {
    expect(await analyse(guardianOf(), snapshotOf({ owed: 0n }))).toMatchObject({
      ...quietly,
      reason: 'There is no debt.',
    })
  })

  it.each([
    ['stale', 'a stale price'],
    ['deviating', 'a price that the market contradicts'],
  ] as const)('does nothing on a %s oracle, and says so', async (mark, problem) => {
    const glitch = snapshotOf({ price: usd(400n * 10n ** 8n), oracle: { [mark]: true } })
    const analysis = await analyse(guardianOf(), glitch)
    expect(analysis).toMatchObject({ ...quietly, source: 'rule', proposal: { kind: 'nothing' } })
    expect(analysis.reason).toBe(
      `Nothing is done: WETH has ${problem}, and a price that cannot be trusted is not acted on.`,
    )
    expect(model.bodies).toEqual([])
  })

  it('does nothing about a position that its mathematics does not reproduce', async () => {
    const [position] = worried.positions
    if (position === undefined) throw new RangeError('no position')
    const odd = { ...worried, positions: [{ ...position, eMode: 1 }] }
    expect((await analyse(guardianOf(), odd)).reason).toContain('e-mode')
  })

  it('does nothing where gas cannot be weighed', async () => {
    const analysis = await analyse(guardianOf({ wrappedNative: pool }), worried)
    expect(analysis.reason).toBe('Nothing is done: the native coin has no price, so gas cannot be weighed.')
  })

  it('refuses a snapshot without its position', async () => {
    await expect(analyse(guardianOf(), { ...worried, positions: [] })).rejects.toMatchObject({
      code: 'INVARIANT',
    })
  })
})

describe('with a model that answers', () => {
  it('proposes what the model chose, with amounts that only code made', async () => {
    model.script = says({ candidate: 'c1', size: 90, reason: 'Falling fast.' })
    const analysis = await analyse(guardianOf(), worried)
    expect(analysis).toMatchObject({
      source: 'model',
      fallbackReason: null,
      candidates: 3,
      inferenceCalls: 1,
      model: 'scripted',
      // Nine tenths of the way from 1.10 to 1.30 take 40 % of a debt of 12,000 USDC.
      proposal: {
        kind: 'deleverage',
        repayAmount: 4_800_000_000n,
        collateral: assets.weth,
        debt: assets.usdc,
        pool,
      },
    })
    expect(parseIntent(analysis.proposal)).toEqual(analysis.proposal)
    expect(analysis.reason).toMatch(
      /^Deleverage through a swap \(40 %\): health factor 1\.1000 to 1\.28\d\d for about \d+\.\d\d dollars\. The model: “Falling fast\.”$/,
    )
  })

  it('waits when the model says so above the hard floor', async () => {
    model.script = says({ candidate: 'c2', size: 0, reason: 'It is calm.' })
    expect(await analyse(guardianOf(), worried)).toMatchObject({
      source: 'model',
      proposal: { kind: 'nothing' },
      reason: 'Wait at a health factor of 1.1000. The model: “It is calm.”',
    })
  })

  it('keeps a model’s words as one quoted, bounded line and nothing else', async () => {
    const reason = `Line\u2028one\n\u001b]0;title\u0007 “transfer everything to 0x${'ab'.repeat(20)}” \u202e${'x'.repeat(5_000)}`
    model.script = says({ candidate: 'c2', size: 0, reason })
    const analysis = await analyse(guardianOf(), worried)
    expect(analysis.proposal.kind).toBe('nothing')
    expect(analysis.reason).toContain("The model: “Line one ]0;title 'transfer everything")
    expect(analysis.reason).toMatch(/^[^\p{C}]{1,400}$/u)
    expect(analysis.reason.endsWith('x…”')).toBe(true)
  })

  it('asks with a JSON schema, at temperature 0, once', async () => {
    await analyse(guardianOf(), worried)
    expect(model.bodies).toHaveLength(1)
    expect(JSON.parse(model.bodies[0] ?? '')).toMatchObject({
      temperature: 0,
      response_format: {
        type: 'json_schema',
        json_schema: { strict: true, schema: { required: ['candidate', 'size', 'reason'] } },
      },
      messages: [{ role: 'system' }, { role: 'user' }],
    })
  })
})

describe('with a model that does not', () => {
  const failures: [string, Script, string][] = [
    ['nonsense', says('Buy low, sell high!'), 'UNREADABLE'],
    ['JSON of another shape', says({ action: 'buy' }), 'UNREADABLE'],
    ['a size that is no number', says({ candidate: 'c1', size: 'half', reason: '' }), 'UNREADABLE'],
    ['a size between the steps', says({ candidate: 'c1', size: 40.5, reason: '' }), 'UNREADABLE'],
    ['nothing', says(''), 'UNREADABLE'],
    ['a refusal', says('', { content: null, refusal: 'I cannot give financial advice.' }), 'UNREADABLE'],
    ['a candidate that there is not', says({ candidate: 'c9', size: 10, reason: '' }), 'UNKNOWN_CANDIDATE'],
    ['the name of a prototype', says({ candidate: '__proto__', size: 10, reason: '' }), 'UNKNOWN_CANDIDATE'],
    ['a size out of bounds', says({ candidate: 'c1', size: 0, reason: '' }), 'SIZE_OUT_OF_BOUNDS'],
    ['a size for waiting', says({ candidate: 'c2', size: 50, reason: '' }), 'SIZE_OUT_OF_BOUNDS'],
    [
      'status 500',
      (response) => {
        response.statusCode = 500
        response.end('{"error":{"message":"out of memory"}}')
      },
      'NO_ANSWER',
    ],
    [
      'a closed socket',
      (_, request) => {
        request.socket.destroy()
      },
      'NO_ANSWER',
    ],
    [
      'half an answer',
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1_000 })
        response.write('{"choices":[{"message":{"content":"{', () => response.destroy())
      },
      'NO_ANSWER',
    ],
    [
      'no choices',
      (response) => {
        response.setHeader('content-type', 'application/json')
        response.end('{"choices":[]}')
      },
      'UNREADABLE',
    ],
    [
      'a web page',
      (response) => {
        response.setHeader('content-type', 'text/html')
        response.end('<html>login</html>')
      },
      'UNREADABLE',
    ],
  ]

  it.each(failures)('falls back on %s', async (_, script, fallbackReason) => {
    model.script = script
    const [byRule, analysis] = [
      await analyse(guardianOf({ model: null }), worried),
      await analyse(guardianOf(), worried),
    ]
    expect(analysis).toMatchObject({
      source: 'fallback',
      fallbackReason,
      inferenceCalls: 1,
      model: 'scripted',
    })
    expect(analysis.proposal).toEqual(byRule.proposal)
    expect(analysis.proposal.kind).toBe('deleverage')
    expect(model.bodies).toHaveLength(1)
    // Neither the prompt nor what the model sent shows.
    expect(analysis.reason).toMatch(/By rule: [^“]+\.$/)
    expect(analysis.reason).not.toMatch(/sell high|memory|advice|html|c9/)
  })

  it('falls back when the model would wait under the hard floor', async () => {
    model.script = says({ candidate: 'c2', size: 0, reason: 'Patience.' })
    const analysis = await analyse(guardianOf(), urgent)
    expect(analysis).toMatchObject({
      source: 'fallback',
      fallbackReason: 'WAIT_UNDER_FLOOR',
      proposal: { kind: 'deleverage' },
    })
    expect(analysis.reason).not.toContain('Patience')
  })

  it('falls back when the model takes longer than it may', async () => {
    model.script = hangs
    expect(await analyse(guardianOf({ modelTimeout: 30 }), worried)).toMatchObject({
      source: 'fallback',
      fallbackReason: 'LATE',
      inferenceCalls: 1,
      proposal: { kind: 'deleverage' },
    })
  })

  it('does not ask a model again for ten blocks that left it waiting, and acts at once meanwhile', async () => {
    model.script = hangs
    const guardian = guardianOf({ modelTimeout: 30 })
    const at = (block: bigint) => analyse(guardian, snapshotOf({ wallet: { usdc: 600_000_000n }, block }))
    expect(await at(100n)).toMatchObject({ fallbackReason: 'LATE', inferenceCalls: 1 })
    expect(await at(101n)).toMatchObject({
      source: 'fallback',
      fallbackReason: 'MODEL_RESTS',
      inferenceCalls: 0,
      proposal: { kind: 'deleverage' },
    })
    expect(await at(109n)).toMatchObject({ fallbackReason: 'MODEL_RESTS' })
    expect(await at(110n)).toMatchObject({ fallbackReason: 'LATE', inferenceCalls: 1 })
  })

  it('falls back when the run is over while the model thinks', async () => {
    model.script = hangs
    const run = new AbortController()
    const asked = model.asked()
    const analysis = analyse(guardianOf(), worried, run.signal)
    await asked
    run.abort()
    expect(await analysis).toMatchObject({ source: 'fallback', fallbackReason: 'LATE', inferenceCalls: 1 })
  })

  it('does not even ask when the run was over before', async () => {
    expect(await analyse(guardianOf(), worried, AbortSignal.abort())).toMatchObject({
      source: 'fallback',
      fallbackReason: 'LATE',
      inferenceCalls: 0,
      model: null,
    })
    expect(model.bodies).toEqual([])
  })

  it('falls back when nobody is there', async () => {
    const other = await startScriptedModel()
    await other.close()
    const guardian = guardianOf({ model: { chat: other.chat, name: 'gone' } })
    expect(await analyse(guardian, worried)).toMatchObject({ fallbackReason: 'NO_ANSWER', model: 'gone' })
  })

  it('acts by rule, and is no fallback, where there is no model', async () => {
    const analysis = await analyse(guardianOf({ model: null }), worried)
    expect(analysis).toMatchObject({ source: 'rule', fallbackReason: null, inferenceCalls: 0, model: null })
    expect(analysis.reason.endsWith('By rule.')).toBe(true)
  })

  it('asks nobody where waiting is all there is', async () => {
    const stuck = snapshotOf({ liquidity: 1n })
    expect(await analyse(guardianOf(), stuck)).toMatchObject({
      source: 'rule',
      proposal: { kind: 'nothing' },
      candidates: 1,
    })
    expect(model.bodies).toEqual([])
  })
})

describe('the same snapshot', () => {
  it('gives the same analysis', async () => {
    model.script = says({ candidate: 'c1', size: 33, reason: 'Same.' })
    const all = await Promise.all([1, 2, 3].map(() => analyse(guardianOf(), structuredClone(worried))))
    expect(
      new Set(
        all.map((analysis) =>
          JSON.stringify(analysis, (_, value) => (typeof value === 'bigint' ? `${value}` : value)),
        ),
      ).size,
    ).toBe(1)
  })
})

describe('options', () => {
  it.each([
    ['a floor of 1', { floor: wad(10n ** 18n) }],
    ['a trigger under the floor', { trigger: wad(1_050_000_000_000_000_000n) }],
    ['a target at the trigger', { target: thresholds.trigger }],
    ['a target beyond all reason', { target: wad(11n * 10n ** 18n) }],
  ])('refuse %s', (_, wrong) => {
    expect(() => guardianOf({ thresholds: { ...thresholds, ...wrong } })).toThrow('must rise from above 1')
  })

  it.each([
    ['horizonBlocks', { horizonBlocks: 0 }],
    ['blockSeconds', { blockSeconds: 0.5 }],
    ['modelTimeout', { modelTimeout: Number.NaN }],
    ['validForBlocks', { validForBlocks: 0n }],
  ])('refuse %s out of range', (name, wrong) => {
    expect(() => guardianOf(wrong)).toThrow(`${name} is out of range`)
  })
})
