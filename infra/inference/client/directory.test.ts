import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { signDirectory } from '../protocol/network/directory.ts'
import { generateIdentity } from '../protocol/network/identity.ts'
import { generateTokenKey } from '../tokens/blindRsa/keys.ts'
import { openEpochMemory } from './epochMemory.ts'
import { openPrivateNetwork, type PrivateNetwork } from './openPrivateNetwork.ts'
import { startTestNetwork, type TestNetwork } from './testNetwork.ts'

let network: TestNetwork
let opened: PrivateNetwork[] = []
const honest = {} as TestNetwork['script']
beforeAll(async () => {
  network = await startTestNetwork()
  Object.assign(honest, network.script)
})
afterAll(() => network.close())
afterEach(async () => {
  Object.assign(network.script, honest)
  for (const each of opened) await each.close()
  opened = []
  network.notices.length = 0
})

const open = async (changes: Parameters<TestNetwork['options']>[1] = {}): Promise<PrivateNetwork> => {
  const options = network.options(await network.wallet(), changes)
  // Nothing is bought here: what is tried is whom the keys come from.
  const one = openPrivateNetwork({
    ...options,
    mint: { url: network.url, name: 'mint', account: 'A'.repeat(43), lowWater: 0 },
    ...changes,
  })
  opened.push(one)
  return one
}
const code = (work: Promise<unknown>) =>
  work.then(
    () => 'fine',
    (error: { code: string }) => error.code,
  )
const none = { status: 404, body: '' }

describe('the directory', () => {
  it('is confirmed by a witness', async () => {
    const directory = await (await open()).directory()
    expect(directory).toMatchObject({ confirmedBy: [network.url], silent: [], mintKeys: 'same' })
    expect(directory.document).toBe(network.document())
  })

  it.each([
    ['answers with nothing', none],
    ['fails', { status: 500, body: 'x' }],
  ])('is not used where its only witness %s', async (_, answer) => {
    network.script.witness = () => answer
    expect(await code((await open()).directory())).toBe('INFERENCE_KEYS_UNCONFIRMED')
  })

  it('is not used where any witness contradicts it, whatever the others say', async () => {
    const other = await startTestNetwork()
    try {
      const gateway = {
        name: 'gate',
        identity: network.identity.identity.text,
        witnesses: [network.url, other.url],
      }
      expect(await code((await open({ gateway })).directory())).toBe('INFERENCE_KEYS_INCONSISTENT')
    } finally {
      await other.close()
    }
  })

  it('is not used where a witness has seen two of its epoch', async () => {
    network.script.witness = () => ({
      status: 409,
      body: '{"error":{"message":"","type":"","param":null,"code":"equivocation"}}',
    })
    expect(await code((await open()).directory())).toBe('INFERENCE_KEYS_INCONSISTENT')
  })

  it('needs one witness of several', async () => {
    const gateway = {
      name: 'gate',
      identity: network.identity.identity.text,
      witnesses: ['http://127.0.0.1:1', network.url],
    }
    expect(await (await open({ gateway })).directory()).toMatchObject({
      confirmedBy: [network.url],
      silent: ['http://127.0.0.1:1'],
    })
  })

  it('is not used when another identity signed it', async () => {
    const gateway = { name: 'gate', identity: generateIdentity().identity.text, witnesses: [network.url] }
    expect(await code((await open({ gateway })).directory())).toBe('INFERENCE_DIRECTORY_UNAVAILABLE')
  })

  it('comes from another relay where one has none', async () => {
    let count = 0
    network.script.directory = (document) => (count++ === 0 ? none : document)
    expect(await code((await open()).directory())).toBe('fine')
  })

  it('is not used beyond its time', async () => {
    const now = Date.now() + 7_200_000
    expect(await code((await open({ now: () => now })).directory())).toBe('INFERENCE_DIRECTORY_EXPIRED')
  })

  it('is not used when the mint publishes another key than it names', async () => {
    const { publicKey } = await generateTokenKey()
    const seconds = Math.floor(Date.now() / 1000)
    const key = {
      key: Buffer.from(publicKey.spki).toString('base64'),
      notBefore: seconds - 5,
      notAfter: seconds + 500,
    }
    await network.publish({ mints: [{ name: 'mint', url: network.url, keys: [key] }] })
    expect(await code((await open()).directory())).toBe('INFERENCE_KEYS_INCONSISTENT')
    await network.publish()
  })

  it('is used while the mint is silent', async () => {
    const silent = await open({
      mint: { url: 'http://127.0.0.1:1', name: 'mint', account: 'A'.repeat(43), lowWater: 0 },
    })
    expect(await silent.directory()).toMatchObject({ mintKeys: 'unchecked' })
  })

  it('is fetched again when asked for, once for all who ask', async () => {
    const { directory, refresh } = await open()
    const { directory: first } = await directory()
    await network.publish()
    const before = network.seen.directories
    const [second, third] = await Promise.all([refresh(), refresh()])
    expect(second.directory.epoch).toBe(first.epoch + 1)
    expect(third).toBe(second)
    expect(network.seen.directories).toBe(before + 2)
  })

  it('of an older epoch is never taken again', async () => {
    const old = network.document()
    await network.publish()
    const { directory, refresh, fetch } = await open()
    const { directory: newest } = await directory()
    network.script.directory = () => old
    expect(await code(refresh())).toBe('INFERENCE_DIRECTORY_EXPIRED')
    // What is known is still good.
    expect((await directory()).directory.epoch).toBe(newest.epoch)
    expect((await fetch('http://x/v1/models')).status).toBe(200)
  })

  it('of one epoch in two forms stops everything, although the witness has the second one too', async () => {
    const { directory, refresh } = await open()
    const { directory: known } = await directory()
    const twin = await signDirectory(network.identity, { ...known, notAfter: known.notAfter + 1 })
    network.script.directory = () => twin
    network.script.witness = () => twin
    expect(await code(refresh())).toBe('INFERENCE_KEYS_INCONSISTENT')
    expect(await code(directory())).toBe('INFERENCE_KEYS_INCONSISTENT')
  })

  it('is a refusal in a request', async () => {
    network.script.witness = () => none
    const { fetch } = await open()
    const said = await fetch('http://x/v1/chat/completions', {
      method: 'POST',
      body: '{"model":"test-model","messages":[]}',
    })
    expect(said.status).toBe(503)
    expect(await said.json()).toMatchObject({
      error: { code: 'keys_unconfirmed', rialto: { role: 'client', spent: 0 } },
    })
    network.script.witness = honest.witness
    // A start that failed is tried again.
    expect((await fetch('http://x/v1/models')).status).toBe(200)
  })
})

describe('what is remembered of epochs', () => {
  it('outlives the process', async () => {
    const memory = join(network.folder, 'epochs')
    const old = network.document()
    await network.publish()
    const first = await open({ memory })
    const { directory, digest } = await first.directory()
    const stored = JSON.parse(await readFile(memory, 'utf8')) as unknown
    expect(stored).toEqual({ [network.identity.identity.text]: { epoch: directory.epoch, digest } })
    network.script.directory = () => old
    expect(await code((await open({ memory })).directory())).toBe('INFERENCE_DIRECTORY_EXPIRED')
  })

  it('never goes back', async () => {
    const memory = openEpochMemory(join(network.folder, 'forward'))
    await memory.put('g', { epoch: 5, digest: 'a' })
    await memory.put('g', { epoch: 4, digest: 'b' })
    await memory.put('g', { epoch: 5, digest: 'c' })
    expect(await memory.get('g')).toEqual({ epoch: 5, digest: 'a' })
    expect(await openEpochMemory(join(network.folder, 'forward')).get('g')).toEqual({ epoch: 5, digest: 'a' })
  })

  it('is not guessed from a damaged file', async () => {
    const memory = join(network.folder, 'damaged')
    await writeFile(memory, '{"g":')
    await expect(openEpochMemory(memory).get('g')).rejects.toMatchObject({ code: 'INFERENCE_EPOCHS' })
    expect(await code((await open({ memory })).directory())).toBe('INFERENCE_EPOCHS')
  })
})
