import { concatHex } from 'viem'
import { describe, expect, it } from 'vitest'
import type { Call } from '../core/lifecycle.ts'
import { wei } from '../core/units.ts'
import { allowlist } from './allowlist.ts'
import { planOf } from './guardPlans.fixture.ts'
import { at, book, context, intents, seeing, snapshot, stranger, under } from './guardScene.fixture.ts'

const swap = planOf(intents.swap)
const [approval, exchange, ...assertions] = swap.calls as [Call, Call, ...Call[]]
const judge = (calls: readonly Call[], by = context) =>
  allowlist(by, intents.swap, planOf(intents.swap, { plan: { calls } }))

describe('allowlist', () => {
  it('allows what encodeIntent makes of every kind of intent', () => {
    for (const intent of Object.values(intents))
      expect(allowlist(context, intent, planOf(intent))).toMatchObject({ allowed: true })
  })

  it('denies a contract that is not in the book, or not in the policy', () => {
    expect(judge([approval, { ...exchange, to: stranger }])).toMatchObject({
      code: 'CONTRACT_NOT_ALLOWED',
      observed: stranger,
    })
    expect(judge([approval, { ...exchange, to: book.multicall3 }])).toMatchObject({
      code: 'CONTRACT_NOT_ALLOWED',
      observed: 'multicall3',
    })
  })

  it('denies a function that the policy does not name', () => {
    const narrow = under((file) => {
      file.intents = ['repay']
      file.recipients = []
      file.contracts['erc20:WETH'] = ['transfer']
    })
    expect(judge([approval], narrow)).toMatchObject({
      code: 'SELECTOR_NOT_ALLOWED',
      limit: 'transfer',
      observed: 'approve',
    })
  })

  it('denies calldata that nobody can read, or that carries more than it says', () => {
    for (const data of ['0x', '0xdeadbeef', concatHex([exchange.data, '0x00'])] as const)
      expect(judge([approval, { ...exchange, data }])).toMatchObject({ code: 'CALLDATA_UNREADABLE' })
  })

  it('denies one bad call among good ones', () => {
    expect(judge([approval, exchange, ...assertions, { ...exchange, to: stranger }]).allowed).toBe(false)
  })

  it('denies native coin sent along', () => {
    expect(judge([approval, { ...exchange, value: wei(1n) }])).toMatchObject({
      code: 'RECIPIENT_NOT_ALLOWED',
    })
  })

  it('lets no code run as the account but ours', () => {
    const delegating = (delegateTo: typeof stranger | null, delegation: typeof stranger | null) =>
      allowlist(
        seeing({ wallet: { ...snapshot.wallet, delegation } }),
        intents.swap,
        planOf(intents.swap, { plan: { delegateTo } }),
      )
    expect(delegating(at(0x51), null).allowed).toBe(true)
    expect(delegating(at(0x51), stranger).allowed).toBe(true)
    expect(delegating(null, at(0x51)).allowed).toBe(true)
    expect(delegating(null, stranger)).toMatchObject({ code: 'CONTRACT_NOT_ALLOWED', observed: stranger })
    expect(delegating(stranger, at(0x51))).toMatchObject({ code: 'CONTRACT_NOT_ALLOWED', observed: stranger })
    expect(delegating(null, null)).toMatchObject({ code: 'EFFECT_UNEXPECTED' })
    const { rialto: _rialto, ...bare } = book
    expect(judge(swap.calls, { ...context, book: bare })).toMatchObject({ code: 'CONTRACT_NOT_ALLOWED' })
  })

  it('takes a Safe, which acts through its modifier and delegates to nothing', () => {
    const via = {
      kind: 'roles' as const,
      modifier: stranger,
      multiSend: stranger,
      roleKey: snapshot.block.hash,
      sender: stranger,
    }
    const acting = (delegateTo: typeof stranger | null, delegation: typeof stranger | null) =>
      allowlist(
        seeing({ wallet: { ...snapshot.wallet, delegation } }),
        intents.swap,
        planOf(intents.swap, { plan: { delegateTo, via } }),
      )
    expect(acting(null, null).allowed).toBe(true)
    expect(acting(stranger, null)).toMatchObject({ code: 'CONTRACT_NOT_ALLOWED' })
    expect(acting(null, stranger)).toMatchObject({ code: 'CONTRACT_NOT_ALLOWED' })
  })
})
