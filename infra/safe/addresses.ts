import type { Address, Hex } from 'viem'

/**
 * What Zodiac publishes of Roles 2.1.0, at the same address on every chain: the addresses follow from the code
 * (CREATE2 through ERC-2470), so whatever is there is that code.
 */
export const ZODIAC = {
  /** What a modifier is a minimal proxy of. */
  rolesMastercopy: '0x9646fDAD06d3e24444381f44362a3B0eB343D337',
  /** `ModuleProxyFactory`: makes minimal proxies, whose addresses follow from what they are set up with. */
  moduleFactory: '0x000000000000aDdB49795b0f9bA5BC298cDda236',
  /** Reads a MultiSend batch for the modifier, so that every call of it is checked. */
  multiSendUnwrapper: '0xB4Cd4bb764C089f20DA18700CE8bc5e49F369efD',
  /** ERC-2470: the modifier keeps conditions as code that it deploys through it. */
  singletonFactory: '0xce0042B868300000d44A59004Da54A005ffdcf9f',
} as const satisfies Record<string, Address>

/** `MultiSend` and `MultiSendCallOnly` as Safe publishes them: 1.3.0 (both deployments), 1.4.1 and 1.5.0. */
export const MULTI_SENDS: readonly Address[] = [
  '0xA238CBeb142c10Ef7Ad8442C6D1f9E89e07e7761',
  '0x998739BFdAAdde7C933B942a68053933098f9EDa',
  '0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526',
  '0x218543288004CD07832472D464648173c77D7eB7',
  '0x40A2aCCbd92BCA938b02010E17A5b8929b49130D',
  '0xA1dabEF33b3B82c7814B6D82A79e50F4AC44102B',
  '0x9641d764fc13c8B624c04430C7356C1C7C8102e2',
  '0xA83c336B20401Af773B6219BA5027174338D1836',
]

/** Handlers of calls that a Safe does not know, as Safe publishes them for the same versions. */
export const FALLBACK_HANDLERS: readonly Address[] = [
  '0xf48f2B2d2a534e402487b3ee7C18c33Aec0Fe5e4',
  '0x017062a1dE2FE6b99BE3d9d37841FeD19F573804',
  '0xfd0732Dc9E303f09fCEf3a7388Ad10A83459Ec99',
  '0x3EfCBb83A4A7AfcB4F68D501E2c2203a38be77f4',
]

/** EIP-1167: the code of a proxy that a factory of Zodiac makes. */
export const minimalProxyCode = (implementation: Address): Hex =>
  `0x363d3d373d3d3d363d73${implementation.slice(2).toLowerCase()}5af43d82803e903d91602b57fd5bf3`
