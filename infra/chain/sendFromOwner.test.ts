import { type Hex, keccak256 } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { describe, expect, it } from 'vitest'
import { NotDeployedError } from '../contracts/errors.ts'
import { createRpc } from './rpc.ts'
import { sendFromOwner } from './sendFromOwner.ts'

const owner = privateKeyToAccount(generatePrivateKey())
const word = (value: bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`
const never = () => new Promise<never>(() => undefined)
const error = (code: number, message: string) => Object.assign(new Error(message), { code, message })
const head = {
  ...{ number: '0x9', hash: word(9n), parentHash: word(8n) },
  ...{ timestamp: '0x1', baseFeePerGas: '0x1' },
}

/**
 * A node. `send` is what it says of the bytes, which it has then unless that is said otherwise, and `look` what it
 * says before it gives the receipt, one after the other, the last of them for ever.
 */
async function sent({
  send = (hash) => hash,
  look = [],
  pending = '0x0',
}: {
  readonly send?: (hash: Hex) => unknown
  readonly look?: readonly (() => unknown)[] | 'nothing'
  readonly pending?: Hex
}) {
  const bytes: Hex[] = []
  let looks = 0
  const answers: Record<string, (params: readonly unknown[]) => unknown> = {
    eth_getBlockByNumber: () => head,
    eth_estimateGas: () => '0x5208',
    eth_getTransactionCount: ([, at]) => (at === 'pending' ? pending : '0x0'),
    eth_sendRawTransaction([raw]) {
      bytes.push(raw as Hex)
      return send(keccak256(raw as Hex))
    },
    eth_getTransactionReceipt([hash]) {
      const next = look === 'nothing' ? () => null : look[looks++]
      if (next !== undefined) return next()
      const place = { blockNumber: '0x9', blockHash: word(9n), logs: [] }
      return { transactionHash: hash, status: '0x1', gasUsed: '0x1', effectiveGasPrice: '0x1', ...place }
    },
  }
  const rpc = createRpc({
    url: new URL('http://node.example'),
    ...{ timeout: 100, retries: 0 },
    requester: {
      async request({ method, params }) {
        const answer = answers[method]
        if (answer === undefined) throw error(-32601, `no ${method}`)
        return answer(params as readonly unknown[])
      },
    },
  })
  const outcome = await sendFromOwner({
    ...{ rpc, chainId: 1, owner, to: owner.address, data: '0x', patience: look === 'nothing' ? 50 : 5_000 },
    refused: (why) => new NotDeployedError(why),
    nextCommand: 'rialto contracts',
  }).then(
    ({ hash }) => ({ hash }),
    (reason: unknown) => ({ reason }),
  )
  const [raw] = bytes
  return { outcome, bytes, hash: raw === undefined ? null : keccak256(raw) }
}

describe("an owner's transaction", () => {
  it.each([
    ['taken', {}],
    ['taken, without a word of it in time', { send: never }],
    ['taken, with an answer that makes no sense', { send: () => 'yes' }],
    [
      'known already',
      {
        send: () => {
          throw error(-32000, 'already known')
        },
      },
    ],
    [
      'taken by a node that then is down for a while',
      {
        look: [
          () => {
            throw new Error('ECONNRESET')
          },
          () => ({ status: 'none' }),
        ],
      },
    ],
  ])('that is %s is waited for, and sent once', async (_how, node) => {
    const { outcome, hash, bytes } = await sent(node)
    expect(outcome).toEqual({ hash })
    expect(bytes).toHaveLength(1)
  })

  it.each([
    ['is not mined', {}, /was sent, and was not seen mined/],
    ['was perhaps never taken', { send: never }, /may have been sent, .*none within 100 ms/],
  ])('that %s in time keeps its hash', async (_how, node, words) => {
    const { outcome, hash } = await sent({ ...node, look: 'nothing' })
    expect(outcome).toMatchObject({
      reason: {
        code: 'OWNER_TRANSACTION_UNKNOWN',
        message: expect.stringMatching(words),
        fix: expect.stringContaining('rialto contracts'),
        details: { hash },
      },
    })
  })

  it('that the node clearly refuses is not waited for', async () => {
    const refuse = () => {
      throw error(-32000, 'insufficient funds for gas * price + value')
    }
    const { outcome } = await sent({ send: refuse, look: 'nothing' })
    expect(outcome).toMatchObject({
      reason: { code: 'TRANSACTION_REFUSED', details: { reason: 'INSUFFICIENT_FUNDS' } },
    })
  })

  it('is not even signed while another one of the owner is not mined: it may be the same', async () => {
    const { outcome, bytes } = await sent({ pending: '0x2' })
    expect(outcome).toMatchObject({ reason: { code: 'OWNER_BUSY', details: { pending: 2n } } })
    expect(bytes).toEqual([])
  })
})
