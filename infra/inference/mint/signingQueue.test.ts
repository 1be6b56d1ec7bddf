import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import { generateTokenKey } from '../tokens/blindRsa/keys.ts'
import { issueToken } from '../tokens/privacyPass/issuance.ts'
import { newRequests } from './mint.fixture.ts'
import { createSigningQueue } from './signingQueue.ts'

const pair = await generateTokenKey()
const other = await generateTokenKey()
const tasks = (count: number) => newRequests(pair.publicKey, count).map(({ request }) => ({ pair, request }))
const always = () => true

it('signs each request as it is signed alone, in its order', async () => {
  const queue = createSigningQueue(1)
  const batches = [tasks(30), tasks(0), tasks(1), tasks(7)]
  const signed = await Promise.all(batches.map((batch) => queue.sign(batch, always)))
  expect(signed).toEqual(batches.map((batch) => batch.map(({ request }) => issueToken([pair], request))))
})

it('lets everything else have its turn while it signs', async () => {
  const queue = createSigningQueue(0)
  let isDone = false
  let turns = 0
  const count = () => {
    if (isDone) return
    turns += 1
    setImmediate(count)
  }
  setImmediate(count)
  await queue.sign(tasks(60), always)
  isDone = true
  // A slice of no length holds one signature.
  expect(turns).toBeGreaterThan(50)
})

it('lets a small request pass a large one', async () => {
  const queue = createSigningQueue(1)
  const order: string[] = []
  const large = queue.sign(tasks(100), always).then(() => order.push('large'))
  const small = queue.sign(tasks(1), always).then(() => order.push('small'))
  await Promise.all([large, small])
  expect(order).toEqual(['small', 'large'])
})

it('stops when nobody wants it any more', async () => {
  const queue = createSigningQueue(1)
  let asked = 0
  const signed = await queue.sign(tasks(50), () => ++asked <= 3)
  expect([signed, asked]).toEqual([undefined, 4])
  expect(await queue.sign(tasks(2), always)).toHaveLength(2)
})

it('withholds a signature that came out wrong, and goes on', async () => {
  const queue = createSigningQueue(1)
  const wrong = { publicKey: pair.publicKey, privateKey: other.privateKey }
  const [task] = tasks(1)
  const failing = queue.sign(task === undefined ? [] : [{ ...task, pair: wrong }], always)
  const good = queue.sign(tasks(3), always)
  await expect(failing).rejects.toMatchObject({ code: 'SIGNING_FAILED' })
  expect(await good).toHaveLength(3)
  await expect(
    queue.sign([{ pair, request: { truncatedTokenKeyId: 0, blindedMessage: randomBytes(256) } }], always),
  ).rejects.toThrow()
})
