import { describe, expect, it } from 'vitest'
import { assertPolicyFits } from './assertPolicyFits.ts'
import { book, policy, policyFile } from './guardScene.fixture.ts'
import { type PolicyFile, parsePolicy, withMode } from './policy.ts'

const real = { ...book, chainId: 8_453 }
const beginning = (mode: 'observe' | 'propose' | 'execute') =>
  parsePolicy({
    ...policyFile,
    graduation: [
      { days: 0, mode, partBps: 1_000 },
      { days: 7, mode: 'execute', partBps: 10_000 },
    ],
  } as PolicyFile)

describe('assertPolicyFits, on a real chain', () => {
  it('lets nobody act from the first block, and says what to write', () => {
    const acting = beginning('execute')
    expect(() => assertPolicyFits(acting, book)).not.toThrow()
    expect(() => assertPolicyFits(acting, real, 'p.json')).toThrow(
      'Wrong policy: p.json: graduation[0].mode is "execute", and on chain 8453, which is real, an agent begins by ' +
        'asking: set it to "propose", and let a later step be "execute".',
    )
  })

  it('takes who begins by observing or asking, and who is held back to that', () => {
    const fitting = [
      beginning('observe'),
      beginning('propose'),
      withMode(beginning('execute'), 'propose'),
      // Without steps it is held to asking there.
      policy,
    ]
    for (const each of fitting) expect(() => assertPolicyFits(each, real)).not.toThrow()
  })
})
