import type { Address, Hex } from 'viem'

/**
 * What Safe publishes of a version: its addresses follow from the code (CREATE2), so whatever is there is that code.
 *
 * Source: `safe-global/safe-deployments`; they are what the code of Safe's packages comes to.
 */
export type SafeRelease = {
  readonly version: string
  /** What a Safe is a proxy of: on Ethereum, and elsewhere, where what it does is said in events as well. */
  readonly singleton: Address
  readonly singletonL2: Address
  readonly proxyFactory: Address
  readonly fallbackHandler: Address
  readonly multiSendCallOnly: Address
  /** Keccak of what a proxy is made by, which the factory gives (`proxyCreationCode`). */
  readonly proxyCodeHash: Hex
}

const PROXY_1_3_0 = '0x44425997c3cd3b9f0cd37ae80e154b1bfc14d921d252ee5368c53f1ccb5c932b'

/** The first that is on a chain is taken. */
export const SAFE_RELEASES: readonly SafeRelease[] = [
  {
    version: '1.4.1',
    singleton: '0x41675C099F32341bf84BFc5382aF534df5C7461a',
    singletonL2: '0x29fcB43b46531BcA003ddC8FCB67FFE91900C762',
    proxyFactory: '0x4e1DCf7AD4e460CfD30791CCC4F9c8a4f820ec67',
    fallbackHandler: '0xfd0732Dc9E303f09fCEf3a7388Ad10A83459Ec99',
    multiSendCallOnly: '0x9641d764fc13c8B624c04430C7356C1C7C8102e2',
    proxyCodeHash: '0x1856e0ee08399d74e0ea0b03adca210aeade6f748969ac023cdcb4dd62dcaf5f',
  },
  {
    version: '1.5.0',
    singleton: '0xFf51A5898e281Db6DfC7855790607438dF2ca44b',
    singletonL2: '0xEdd160fEBBD92E350D4D398fb636302fccd67C7e',
    proxyFactory: '0x14F2982D601c9458F93bd70B218933A6f8165e7b',
    fallbackHandler: '0x3EfCBb83A4A7AfcB4F68D501E2c2203a38be77f4',
    multiSendCallOnly: '0xA83c336B20401Af773B6219BA5027174338D1836',
    proxyCodeHash: '0x941b3e88811b2f33b8e26783c7407d2e978404581a21c9f07abf2cad9cb87e12',
  },
  {
    version: '1.3.0',
    singleton: '0xd9Db270c1B5E3Bd161E8c8503c55cEABeE709552',
    singletonL2: '0x3E5c63644E683549055b9Be8653de26E0B4CD36E',
    proxyFactory: '0xa6B71E26C5e0845f74c812102Ca7114b6a896AB2',
    fallbackHandler: '0xf48f2B2d2a534e402487b3ee7C18c33Aec0Fe5e4',
    multiSendCallOnly: '0x40A2aCCbd92BCA938b02010E17A5b8929b49130D',
    proxyCodeHash: PROXY_1_3_0,
  },
  // The same code, on chains that take no transaction without a chain id.
  {
    version: '1.3.0',
    singleton: '0x69f4D1788e39c87893C980c06EdF4b7f686e2938',
    singletonL2: '0xfb1bffC9d739B8D520DaF37dF666da4C687191EA',
    proxyFactory: '0xC22834581EbC8527d974F8a1c97E1bEA4EF910BC',
    fallbackHandler: '0x017062a1dE2FE6b99BE3d9d37841FeD19F573804',
    multiSendCallOnly: '0xA1dabEF33b3B82c7814B6D82A79e50F4AC44102B',
    proxyCodeHash: PROXY_1_3_0,
  },
]
