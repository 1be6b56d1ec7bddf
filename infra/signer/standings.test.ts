import fc from 'fast-check'
import type { Address } from 'viem'
import { describe, expect, test } from 'vitest'
import type { DenialCode } from '../../runtime/core/verdict.ts'
import { graduatedPolicies, SECONDS_PER_DAY, WAITING } from '../../runtime/guards/graduation.ts'
import { policyOf } from '../../test/conformance/signerFixture.ts'
import { SignerError } from './errors.ts'
import { createSigningHistory } from './signingHistory.ts'
import { createStandings, type StandingRecord } from './standings.ts'

const ACCOUNT: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const HOUR = 3_600n
const WEEK = 7n * SECONDS_PER_DAY
const REAL = 8_453

const rising = policyOf({
  graduation: [
    { days: 0, mode: 'propose', partBps: 1_000 },
    { days: 7, mode: 'execute', partBps: 2_500 },
    { days: 30, mode: 'execute', partBps: 10_000 },
  ],
})
const steps = graduatedPolicies(rising)

const denied = (denial: DenialCode) => new SignerError('PLAN_REFUSED', 'refused', { details: { denial } })

/** Signers of one ledger, each with a process of its own. */
function setUp(policies = [rising]) {
  const lines: StandingRecord[] = []
  const machine = { uptime: 0, isFull: false }
  const start = () => {
    const history = createSigningHistory()
    for (const line of lines) history.addStanding(line)
    machine.uptime = 0
    return createStandings({
      chainId: REAL,
      graduates: [{ address: ACCOUNT, policies }],
      history,
      append(line) {
        if (machine.isFull) throw new SignerError('LEDGER_UNWRITABLE', 'the disk is full')
        lines.push(line)
      },
      uptime: () => machine.uptime,
    })
  }
  const run = (seconds: bigint) => {
    machine.uptime += Number(seconds) * 1_000
  }
  return { lines, machine, start, run }
}

type Standings = ReturnType<ReturnType<typeof setUp>['start']>

/** The steps under which something would be signed, by their place. */
const passing = (standings: Standings): readonly number[] =>
  steps.flatMap(({ version }, index) => {
    const step = standings.stepOf(ACCOUNT, version) ?? expect.unreachable()
    try {
      standings.require(ACCOUNT, step)
      return [index]
    } catch (error) {
      expect(error).toMatchObject({ code: 'PLAN_REFUSED', details: { denial: 'NOT_GRADUATED' } })
      return []
    }
  })

describe('what an account has earned', () => {
  test('is nothing at first, and each step on its day, not a second before', () => {
    const { start, run } = setUp()
    const standings = start()
    expect(passing(standings)).toEqual([0])
    run(WEEK - 1n)
    expect(passing(standings)).toEqual([0])
    run(1n)
    expect(passing(standings)).toEqual([0, 1])
    run(30n * SECONDS_PER_DAY - WEEK - 1n)
    expect(passing(standings)).toEqual([0, 1])
    run(1n)
    expect(passing(standings)).toEqual([0, 1, 2])
  })

  test('says what is missing, in days', () => {
    const { start, run } = setUp()
    const standings = start()
    run(3n * SECONDS_PER_DAY)
    const step = standings.stepOf(ACCOUNT, rising.version) ?? expect.unreachable()
    expect(() => standings.require(ACCOUNT, step)).toThrow(
      'The signer refuses the plan (NOT_GRADUATED): its step takes 30 days in good standing, and the signer counts 3.',
    )
  })

  test('is lost by a plan that is denied, and by none that comes at the wrong time', () => {
    const { start, run, lines } = setUp()
    const standings = start()
    run(WEEK)
    for (const code of WAITING) standings.refused(ACCOUNT, denied(code))
    standings.refused(ACCOUNT, new SignerError('NONCE_SIGNED', 'another has it'))
    standings.refused(ACCOUNT, new RangeError('a defect'))
    expect(passing(standings)).toEqual([0, 1])
    standings.refused(ACCOUNT, denied('RECIPIENT_NOT_ALLOWED'))
    expect(passing(standings)).toEqual([0])
    expect(lines.at(-1)).toEqual({ account: ACCOUNT, seconds: 0n, denial: 'RECIPIENT_NOT_ALLOWED' })
    // After a restart too.
    expect(passing(start())).toEqual([0])
  })

  test('outlives a restart, but for what was not recorded yet', () => {
    const { start, run } = setUp()
    const first = start()
    for (let hour = 0n; hour < 24n; hour += 1n) {
      run(HOUR)
      first.goodFor(ACCOUNT)
    }
    run(HOUR - 1n)
    expect(first.goodFor(ACCOUNT)).toBe(25n * HOUR - 1n)
    expect(start().goodFor(ACCOUNT)).toBe(24n * HOUR)
  })

  test('does not fall back behind a step by a restart', () => {
    const { start, run } = setUp()
    const first = start()
    run(WEEK - HOUR / 2n)
    first.goodFor(ACCOUNT)
    run(HOUR / 2n)
    expect(passing(first)).toEqual([0, 1])
    expect(passing(start())).toEqual([0, 1])
  })

  test('begins anew where the ledger is lost', () => {
    const { start, run, lines } = setUp()
    const first = start()
    run(30n * SECONDS_PER_DAY)
    expect(passing(first)).toEqual([0, 1, 2])
    lines.length = 0
    expect(passing(start())).toEqual([0])
  })

  test('is taken back even where that cannot be recorded, and recorded as soon as it can', () => {
    const { start, run, machine, lines } = setUp()
    const standings = start()
    run(WEEK)
    expect(passing(standings)).toEqual([0, 1])
    machine.isFull = true
    expect(() => standings.refused(ACCOUNT, denied('ALLOWANCE'))).toThrow('the disk is full')
    machine.isFull = false
    expect(passing(standings)).toEqual([0])
    expect(lines.at(-1)).toMatchObject({ seconds: 0n })
  })

  test('is nothing that is written down where there is nothing to rise by', () => {
    const { start, run, lines } = setUp([policyOf()])
    const standings = start()
    run(100n * SECONDS_PER_DAY)
    expect(standings.goodFor(ACCOUNT)).toBe(0n)
    standings.refused(ACCOUNT, denied('ALLOWANCE'))
    expect(lines).toEqual([])
    // Nothing lifts it beyond asking, however long it is good.
    const whole = standings.stepOf(ACCOUNT, policyOf().version) ?? expect.unreachable()
    expect(() => standings.require(ACCOUNT, whole)).toThrow(
      /a policy without steps lets its agent only propose/,
    )
  })

  test('takes a policy of two steps that differ in their days alone as the first', () => {
    const twice = policyOf({
      mode: 'propose',
      graduation: [
        { days: 0, mode: 'propose', partBps: 10_000 },
        { days: 7, mode: 'propose', partBps: 10_000 },
      ],
    })
    expect(setUp([twice]).start().stepOf(ACCOUNT, twice.version)?.after).toBe(0n)
  })
})

/** What may happen to a signer, and to whoever would trick it. */
const deeds = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('run' as const),
      seconds: fc.bigInt({ min: 0n, max: 3n * SECONDS_PER_DAY }),
    }),
    fc.record({ kind: fc.constantFrom('ask', 'deny', 'wait', 'restart') }),
  ),
  { maxLength: 120 },
)

test('no order of running, refusals and restarts lifts it beyond the time that it ran without one', () => {
  fc.assert(
    fc.property(deeds, (order) => {
      const { start, run, lines } = setUp()
      let standings = start()
      let ran = 0n
      let total = 0n
      for (const deed of order) {
        if (deed.kind === 'run' && 'seconds' in deed) {
          run(deed.seconds)
          ran += deed.seconds
          total += deed.seconds
        }
        if (deed.kind === 'ask') expect(standings.goodFor(ACCOUNT)).toBeLessThanOrEqual(ran)
        if (deed.kind === 'wait') standings.refused(ACCOUNT, denied('COOLDOWN'))
        if (deed.kind === 'restart') standings = start()
        if (deed.kind === 'deny') {
          standings.refused(ACCOUNT, denied('ALLOWANCE'))
          ran = 0n
        }
        const highest = passing(standings).at(-1) ?? expect.unreachable()
        expect([0n, WEEK, 30n * SECONDS_PER_DAY][highest]).toBeLessThanOrEqual(ran)
      }
      // However often it is asked: a line an hour, one for each that was lost, and the steps.
      expect(lines.length).toBeLessThanOrEqual(Number((total / HOUR) * 2n) + 1)
    }),
  )
})

test('a worker that has plans refused for ever makes the ledger no longer', () => {
  const { start, run, lines } = setUp()
  const standings = start()
  for (let n = 0; n < 5_000; n += 1) {
    run(1n)
    standings.refused(ACCOUNT, denied('SELECTOR_NOT_ALLOWED'))
    standings.goodFor(ACCOUNT)
  }
  expect(lines).toEqual([])
})
