import { getAddress } from 'viem'
import { describe, expect, it } from 'vitest'
import { RpcUnreachableError } from '../../runtime/core/chainErrors.ts'
import { agentId, type Hash } from '../../runtime/core/ids.ts'
import type { Chain, Signer } from '../../runtime/core/ports.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { at, book, owner, policy, snapshot } from '../../runtime/guards/guardScene.fixture.ts'
import type { AgentConfig } from '../config/loadConfig.ts'
import { SignerError } from '../signer/errors.ts'
import { type Evacuee, runEvacuation } from './runEvacuation.ts'

const other = getAddress(at(0xacc))
const evacuee = (id: string, account: Evacuee['account']): Evacuee => ({
  config: { id: agentId(id), policy } as AgentConfig,
  account,
  destination: getAddress(at(0xf00d)),
})
const hashOf = (number: bigint) => `0x${number.toString(16).padStart(64, '0')}` as Hash
const blockAt = (number: bigint): BlockRef => ({
  ...snapshot.block,
  number,
  hash: hashOf(number),
  parentHash: hashOf(number - 1n),
})
const silent = { debug() {}, info() {}, warn() {}, error() {} }

describe('the evacuation of several accounts', () => {
  it.each([
    [
      'that the signer does not know',
      new SignerError('UNKNOWN_ACCOUNT', 'The signer holds no key of it.'),
      /was started from another configuration: stop it, .*holds no key of it/,
    ],
    ['whose ledger is damaged', new SignerError('LEDGER_CORRUPT', 'It was edited.'), /^It was edited\.$/],
    ['that a defect is in the way of', new TypeError('x is undefined'), /x is undefined/],
  ])('goes on with the others when there is one %s', async (_what, failure, why) => {
    let head = 10n
    const chain = {
      head: async () => blockAt(head++),
      block: async (number: bigint) => blockAt(number),
      nonce: async () => 0n,
    } as unknown as Chain
    /** Asked for the second one: it fails twice in a way that passes, then its owner takes the order back. */
    let asked = 0
    const signer = {
      async signedFrom(account: Evacuee['account']) {
        if (account === owner) throw failure
        asked += 1
        throw new RpcUnreachableError('signedFrom', 'node.example', 'busy')
      },
    } as unknown as Pick<Signer, 'sign' | 'signedFrom'>
    const evacuees = [evacuee('first', owner), evacuee('second', other)]
    const cancelled: string[] = []
    const ends = await runEvacuation({
      chain,
      signer,
      orders: { evacuates: ({ account }) => account === owner || asked < 2 },
      book,
      evacuees,
      blockSeconds: 1,
      patience: 50,
      logger: silent,
      signal: new AbortController().signal,
      searchFor: ({ config }) => ({
        found: () => [],
        isOver: () => true,
        end: Promise.resolve(null),
        cancel: () => cancelled.push(config.id),
      }),
    })
    expect(ends).toMatchObject([
      { evacuee: { config: { id: 'first' } }, stopped: expect.stringMatching(why) },
      { evacuee: { config: { id: 'second' } }, stopped: expect.stringContaining('does not hold any more') },
    ])
    expect(asked).toBe(2)
    expect(cancelled).toContain('first')
  })
})
