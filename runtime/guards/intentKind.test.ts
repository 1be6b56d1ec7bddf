import { describe, expect, it } from 'vitest'
import { context, intents, under } from './guardScene.fixture.ts'
import { intentKind } from './intentKind.ts'

describe('intentKind', () => {
  it('allows what the policy lists', () => {
    for (const intent of Object.values(intents)) expect(intentKind(context, intent, null).allowed).toBe(true)
  })

  it('denies what it does not list', () => {
    const narrow = under((file) => {
      file.intents = file.intents.filter((kind) => kind !== 'borrow')
    })
    expect(intentKind(narrow, intents.borrow, null)).toMatchObject({
      allowed: false,
      code: 'INTENT_KIND_NOT_ALLOWED',
      observed: 'borrow',
    })
    expect(intentKind(narrow, intents.repay, null).allowed).toBe(true)
  })
})
