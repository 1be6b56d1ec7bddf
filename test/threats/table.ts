import type { Role } from './network.ts'

/** What a view holds of a fact. */
export type Finding = 'yes' | 'no' | 'by timing'

/** What there is to know of each request. */
export const facts = {
  address: 'the address of the client',
  account: 'its account at the mint',
  chainAccount: 'its account on the chain',
  when: 'when it was asked',
  size: 'how long it was, as a bucket at least',
  model: 'which model',
  tokens: 'which tokens paid, and their nullifiers',
  node: 'which node answered',
  paid: 'the price class',
  used: 'what it cost, in steps',
  prompt: 'the prompt',
  completion: 'the completion',
  sameClient: 'which requests are of one client',
  purchase: 'which account bought the tokens',
  action: 'which on-chain action followed',
  whoWhich: 'who asked which model',
  whoWhat: 'who asked what',
} as const
export type Fact = keyof typeof facts

/** Those who look together. */
export type Coalition = readonly Role[]

type Row = { readonly yes: readonly Fact[]; readonly byTiming?: readonly Fact[] }

const relay = ['address', 'when', 'size', 'sameClient'] as const
const gateway = ['when', 'size', 'model', 'tokens', 'node', 'paid', 'used'] as const
const node = ['when', 'size', 'model', 'node', 'paid', 'used', 'prompt', 'completion'] as const
const mint = ['address', 'account'] as const
const chain = ['address', 'chainAccount'] as const

/**
 * What the complete view of each role holds, of each pair of those that a client deals with or that watch it, and of the
 * three that carry a request: the network's threat model. All that is not named is not there. The tests find it out anew, and docs/threats.md is
 * written from it.
 */
const rows: readonly (readonly [Coalition, Row])[] = [
  [['relay'], { yes: relay }],
  [['gateway'], { yes: gateway }],
  [['node'], { yes: node }],
  [['mint'], { yes: mint }],
  [['upstream'], { yes: ['when', 'size', 'model', 'node', 'used', 'prompt', 'completion'] }],
  [['witness'], { yes: ['address'] }],
  [['chain'], { yes: chain }],
  [['relay', 'gateway'], { yes: [...relay, ...gateway, 'whoWhich'] }],
  [['relay', 'node'], { yes: [...relay, ...node], byTiming: ['whoWhich', 'whoWhat'] }],
  [['relay', 'mint'], { yes: [...relay, ...mint, 'purchase'] }],
  [['relay', 'chain'], { yes: [...relay, ...chain, 'action'] }],
  [['gateway', 'node'], { yes: [...gateway, ...node] }],
  [['gateway', 'mint'], { yes: [...gateway, ...mint], byTiming: ['sameClient', 'purchase', 'whoWhich'] }],
  [['gateway', 'chain'], { yes: [...gateway, ...chain], byTiming: ['sameClient', 'action', 'whoWhich'] }],
  [
    ['node', 'mint'],
    { yes: [...node, ...mint], byTiming: ['sameClient', 'purchase', 'whoWhich', 'whoWhat'] },
  ],
  [
    ['node', 'chain'],
    { yes: [...node, ...chain], byTiming: ['sameClient', 'action', 'whoWhich', 'whoWhat'] },
  ],
  [['mint', 'chain'], { yes: [...mint, ...chain] }],
  // Three are what it takes to know for certain.
  [['relay', 'gateway', 'node'], { yes: [...relay, ...gateway, ...node, 'whoWhich', 'whoWhat'] }],
]

/** The rows as {@link judge} finds them. */
export const table: readonly (readonly [Coalition, Readonly<Record<Fact, Finding>>])[] = rows.map(
  ([coalition, { yes, byTiming = [] }]) => [
    coalition,
    Object.fromEntries(
      (Object.keys(facts) as Fact[]).map((fact): [Fact, Finding] => [
        fact,
        yes.includes(fact) ? 'yes' : byTiming.includes(fact) ? 'by timing' : 'no',
      ]),
    ) as Record<Fact, Finding>,
  ],
)
