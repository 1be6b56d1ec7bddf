import { afterAll, beforeAll, expect, it } from 'vitest'
import { openPrivateNetwork } from './openPrivateNetwork.ts'
import { startTestNetwork, type TestNetwork } from './testNetwork.ts'

let network: TestNetwork
beforeAll(async () => {
  network = await startTestNetwork()
})
afterAll(() => network.close())

const open = async () => {
  const wallet = await network.wallet()
  const opened = openPrivateNetwork(network.options(wallet))
  await opened.ready()
  network.paths.length = 0
  return { ...opened, wallet }
}
const url = 'http://x/v1/chat/completions'
const ask = (changes: object = {}): RequestInit => ({
  method: 'POST',
  body: JSON.stringify({
    model: 'test-model',
    messages: [{ role: 'user', content: 'hi' }],
    max_tokens: 50,
    ...changes,
  }),
})

it('leaves what is not settled within its grace in the wallet', async () => {
  const { fetch, close, wallet } = await open()
  network.script.node = () => ({ events: ['data: {}\n\n', new Promise(() => undefined)] })
  const said = await fetch(url, ask({ stream: true }))
  const reader = said.body?.getReader()
  await reader?.read()
  await reader?.cancel()
  await close(0)
  expect(wallet.unsettled()).toHaveLength(1)
  expect(network.paths).toMatchObject([{ outcome: 'aborted', unsettled: 1 }])
})

it('gives a request that is under way its time when it is closed', async () => {
  const { fetch, close, wallet } = await open()
  let release = (): void => undefined
  const waited = new Promise<void>((resolve) => {
    release = resolve
  })
  network.script.node = async () => {
    await waited
    return {}
  }
  const from = network.seen.asked.length
  const answer = fetch(url, ask())
  await expect.poll(() => network.seen.asked.length).toBeGreaterThan(from)
  const closed = close()
  release()
  expect((await answer).status).toBe(200)
  await closed
  expect(wallet.unsettled()).toEqual([])
})
