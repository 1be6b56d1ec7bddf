import { describe, expect, test } from 'vitest'
import { threeDoors } from './threeDoors.fixture.ts'

// What nodes that lie, lag or keep silent make of what is sent.

const { world, client, doors, a, b, c, open, failureOf, signed, isKnown, asked } = await threeDoors()

describe('sendRaw', () => {
  const refusal = (message: string) => ({ kind: 'error', code: -32000, message }) as const
  const send = 'eth_sendRawTransaction'

  test('hands the bytes to all, and is content with one', async () => {
    const chain = await open()
    const { raw, hash } = await signed()
    a.on({ method: send, fault: refusal('txpool is full') })
    b.on({ method: send, fault: { kind: 'refuse' } })
    expect(await chain.sendRaw(raw)).toBe(hash)
    await Promise.all(doors.map((door) => door.seen(send)))
    expect(await isKnown(hash)).toBe(true)
  })

  test('is refused when all refuse, for the reason that most give', async () => {
    const chain = await open()
    const { raw } = await signed()
    a.on({ method: send, fault: refusal('txpool is full') })
    b.on({ method: send, fault: refusal('intrinsic gas too low') })
    c.on({ method: send, fault: refusal('intrinsic gas too low') })
    expect(await failureOf(chain.sendRaw(raw))).toMatchObject({
      code: 'TRANSACTION_REFUSED',
      reason: 'GAS_TOO_LOW',
    })
  })

  test('is unknown as soon as one that did not refuse may have the bytes', async () => {
    const chain = await open()
    const { raw, hash } = await signed()
    a.on({ method: send, fault: refusal('intrinsic gas too low') })
    b.on({ method: send, fault: { kind: 'drop' } })
    c.on({ method: send, fault: refusal('intrinsic gas too low') })
    expect(await failureOf(chain.sendRaw(raw))).toMatchObject({ code: 'OUTCOME_UNKNOWN', hash })
    expect(await isKnown(hash)).toBe(true)
  })
})

describe('the private route', () => {
  const operator = async (answer: (method: string, params: readonly unknown[]) => unknown) => {
    const calls: { method: string; params: readonly unknown[] }[] = []
    const requester = {
      async request({ method, params }: { method: string; params: unknown }) {
        calls.push({ method, params: params as readonly unknown[] })
        return answer(method, params as readonly unknown[])
      },
    }
    return { calls, requester }
  }
  const url = 'https://builder.example.org/key'

  test('takes what is to go privately, and nobody else sees it', async () => {
    const { raw, hash } = await signed()
    const { calls, requester } = await operator(() => hash)
    const chain = await open({ privateRoute: { url, kind: 'send-private', maxBlocks: 25, requester } })
    const { number } = await chain.head()
    expect(await chain.sendRaw(raw, 'private')).toBe(hash)
    expect(calls).toEqual([
      {
        method: 'eth_sendPrivateTransaction',
        params: [{ tx: raw, maxBlockNumber: `0x${(number + 25n).toString(16)}` }],
      },
    ])
    expect(doors.map((door) => asked(door, 'eth_sendRawTransaction'))).toEqual([0, 0, 0])
    expect(await chain.transaction(hash)).toBeNull()
  })

  test('is plain eth_sendRawTransaction at a protected RPC', async () => {
    const { raw, hash } = await signed()
    const { calls, requester } = await operator(() => hash)
    const chain = await open({ privateRoute: { url, kind: 'protected-rpc', requester } })
    expect(await chain.sendRaw(raw, 'private')).toBe(hash)
    expect(calls).toEqual([{ method: 'eth_sendRawTransaction', params: [raw] }])
  })

  test('does not fall back to the public when it fails', async () => {
    const { raw, hash } = await signed()
    const { requester } = await operator(() => {
      throw Object.assign(new Error('down'), { code: -32603 })
    })
    const chain = await open({ privateRoute: { url, kind: 'send-private', requester } })
    const error = await failureOf(chain.sendRaw(raw, 'private'))
    expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', hash })
    expect(error.message).toContain('builder.example.org')
    expect(error.message).not.toContain('key')
    expect(await isKnown(hash)).toBe(false)
  })

  test('takes "nonce too low" for success when a quorum shows that the bytes were mined', async () => {
    const { raw, hash } = await signed()
    const { requester } = await operator(() => {
      throw Object.assign(new Error('nonce too low'), { code: -32000 })
    })
    const chain = await open({ privateRoute: { url, kind: 'send-private', requester } })
    expect(await failureOf(chain.sendRaw(raw, 'private'))).toMatchObject({ reason: 'NONCE_TOO_LOW' })
    await world.rpc('eth_sendRawTransaction', raw)
    await client.mine({ blocks: 1 })
    expect(await chain.sendRaw(raw, 'private')).toBe(hash)
    for (const door of [a, b]) door.on({ method: 'eth_getTransactionByHash', fault: { kind: 'refuse' } })
    expect((await failureOf(chain.sendRaw(raw, 'private'))).code).toBe('OUTCOME_UNKNOWN')
  })
})
