import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { openPrivateNetwork, type PrivateNetwork } from './openPrivateNetwork.ts'
import { startTestNetwork, type TestNetwork } from './testNetwork.ts'

let network: TestNetwork
let opened: PrivateNetwork
beforeEach(async () => {
  network = await startTestNetwork()
})
afterEach(async () => {
  vi.useRealTimers()
  await opened.close()
  await network.close()
})

const events = Array.from({ length: 9 }, (_, at) => `data: {"at":${at}}\n\n`)

async function ask() {
  const wallet = await network.wallet()
  opened = openPrivateNetwork(network.options(wallet))
  await opened.ready()
  network.script.node = () => ({ events })
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const response = await opened.fetch('http://private.test/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify({
      model: 'test-model',
      messages: [{ role: 'user', content: 'Hi' }],
      max_tokens: 3_000,
      stream: true,
    }),
  })
  return { wallet, response }
}

it('settles a stream that nobody reads, and fails its body', async () => {
  const { wallet, response } = await ask()
  expect(wallet.unsettled()).toHaveLength(1)
  vi.advanceTimersByTime(60_000)
  await expect.poll(() => wallet.unsettled().length).toBe(0)
  expect(network.paths).toMatchObject([{ outcome: 'aborted', spent: 1, returned: 3 }])
  await expect(response.text()).rejects.toMatchObject({ refusal: { code: 'stream_broken' } })
})

it('gives a reader time that takes some of it now and then', async () => {
  const { wallet, response } = await ask()
  const reader = response.body?.getReader()
  let text = ''
  for (;;) {
    const next = await reader?.read()
    if (next === undefined || next.done) break
    text += Buffer.from(next.value).toString()
    vi.advanceTimersByTime(50_000)
  }
  expect(text).toBe(events.join(''))
  expect(wallet.unsettled()).toEqual([])
})
