import { readdir, stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { isValidAt } from '../protocol/network/directory.ts'
import { generateIdentity } from '../protocol/network/identity.ts'
import { signNodeDescription } from '../protocol/network/nodeDescription.ts'
import { decodeKeyConfigs } from '../protocol/ohttp/keyConfig.ts'
import { OHTTP_KEY_PROBLEM } from '../protocol/ohttp/mediaTypes.ts'
import { generateTokenKey } from '../tokens/blindRsa/keys.ts'
import { eventually } from './eventually.fixture.ts'
import { createWorld, type World } from './gateway.fixture.ts'
import { GATEWAY, MINT, startTestNode } from './peers.fixture.ts'

let world: World | undefined
const open = async (...options: Parameters<typeof createWorld>): Promise<World> => {
  world = await createWorld(...options)
  return world
}
afterEach(async () => {
  await world?.close()
  world = undefined
})

const health = async ({ gateway }: World): Promise<{ status: number; reason?: string }> => {
  const response = await fetch(`${gateway.url}/healthz`)
  const { reason } = (await response.json()) as { reason?: string }
  return reason === undefined ? { status: response.status } : { status: response.status, reason }
}
const epochOf = async ({ client }: World) => (await client.directory()).directory.epoch
const hour = 3_600_000
/** Often enough that a change shows at once. */
const often = { nodes: 30, mints: 30 }

describe('a directory', () => {
  it('names the keys, mints, change keys, classes and nodes, signed', async () => {
    const { client, gateway, mint, node } = await open()
    const { directory, nodes } = await client.directory()
    expect(directory).toMatchObject({ version: 1, gateway: GATEWAY, epoch: 1, ceilings: [1, 4, 16] })
    expect(directory.mints).toEqual([
      {
        name: MINT,
        url: mint.url,
        keys: [
          { key: Buffer.from(mint.pair.publicKey.spki).toString('base64'), notBefore: 0, notAfter: 4e9 },
        ],
      },
    ])
    expect(nodes.map(({ identity }) => identity.text)).toEqual([node.identity.identity.text])
    expect(directory.changeKeys.filter((key) => isValidAt(key, Date.now() / 1000))).toHaveLength(1)
    expect(directory.notAfter - directory.notBefore).toBe(24 * 3_600)
    const keys = Buffer.from(await (await fetch(`${gateway.url}/ohttp-keys`)).arrayBuffer())
    expect(keys.toString('base64')).toBe(directory.keys)
    expect(await health(world as World)).toEqual({ status: 200 })
  })

  it('stays as it is while nothing changes', async () => {
    const w = await open({ rotation: often })
    const first = await w.client.directory()
    const asked = w.node.described
    await eventually(() => w.node.described).toBeGreaterThan(asked + 3)
    expect((await w.client.directory()).document).toBe(first.document)
  })

  it('has a new epoch for each change of a node, a mint and the gateway, and each start', async () => {
    const w = await open({ rotation: often })
    expect(await epochOf(w)).toBe(1)
    await w.node.rotate()
    await eventually(() => epochOf(w)).toBe(2)
    const { publicKey } = await generateTokenKey()
    const listed = (w.mint.issuerDirectory as { 'token-keys': object[] })['token-keys']
    w.mint.issuerDirectory = {
      'token-keys': [
        { 'token-type': 1, 'token-key': 'AAAA' },
        { 'token-type': 2, 'token-key': Buffer.from(publicKey.spki).toString('base64url') },
      ],
    }
    await eventually(() => epochOf(w)).toBe(3)
    // A key with an end is accepted until then, listed or not.
    expect((await w.client.directory()).directory.mints[0]?.keys).toHaveLength(2)
    w.mint.issuerDirectory = { 'token-keys': listed }
    await eventually(() => epochOf(w)).toBe(4)
    expect((await w.client.directory()).directory.mints[0]?.keys).toHaveLength(1)
    await w.restart()
    expect(await epochOf(w)).toBe(5)
  })

  it('never has another key under the identifier of the last one', async () => {
    const w = await open()
    const ids: number[] = []
    for (let start = 0; start < 4; start++) {
      const { directory } = await w.client.directory()
      ids.push(decodeKeyConfigs(Buffer.from(directory.keys, 'base64'))[0]?.keyId ?? -1)
      await w.restart()
    }
    expect(ids.map((id) => (id - (ids[0] ?? 0) + 256) % 256)).toEqual([0, 1, 2, 3])
  })

  it('is kept for its owner alone, as are the change keys', async () => {
    const { folder } = await open()
    for (const part of ['change', 'directories']) {
      const path = join(folder, 'gateway', part)
      expect((await stat(path)).mode & 0o777).toBe(0o700)
      const names = await readdir(path)
      expect(names).toHaveLength(1)
      for (const name of names) expect((await stat(join(path, name))).mode & 0o777).toBe(0o600)
    }
  })
})

describe('keys', () => {
  it('rotate, and the former one is accepted until its directory has ended', async () => {
    let time = Date.now()
    const w = await open({ now: () => time, rotation: { ...often, keys: 2 * hour } })
    const request = await w.client.seal({ method: 'GET', path: '/measurements' })
    const second = await w.client.seal({ method: 'GET', path: '/measurements' })
    time += 2 * hour
    await eventually(() => epochOf(w)).toBe(2)
    const { response } = await w.client.open(request.exchange, await w.client.post(request.body))
    expect(response.status).toBe(200)
    time += 2 * hour
    await eventually(() => epochOf(w)).toBe(3)
    const refused = await w.client.post(second.body)
    expect(refused.status).toBe(400)
    expect(await refused.json()).toMatchObject({ type: OHTTP_KEY_PROBLEM })
  })

  it('rotate before the memory of their replays is full', async () => {
    const w = await open({ limits: { replays: 10 } })
    const stale = await Promise.all(
      Array.from({ length: 11 }, () => w.client.seal({ method: 'GET', path: '/measurements' })),
    )
    const post = async (from: number, to: number) => {
      const statuses: number[] = []
      for (const { body } of stale.slice(from, to)) statuses.push((await w.client.post(body)).status)
      return statuses
    }
    expect(await post(0, 9)).toEqual(Array(9).fill(200))
    await eventually(() => epochOf(w)).toBe(2)
    expect(await post(9, 10)).toEqual([200])
    // Full: refusing is all that is left, and the words send the client to the new key.
    const refused = await w.client.post(stale[10]?.body ?? new Uint8Array())
    expect([refused.status, await refused.json()]).toEqual([
      400,
      expect.objectContaining({ type: OHTTP_KEY_PROBLEM }),
    ])
    expect((await w.client.call({ method: 'GET', path: '/measurements' })).response.status).toBe(200)
  })

  it('of the change sign for one lifetime and are accepted for one more', async () => {
    let time = Date.now()
    const day = 24 * hour
    const w = await open({ now: () => time, rotation: { ...often, keys: 40 * day, changeKeys: 30 * day } })
    w.node.now = () => time
    await w.client.buy(16)
    const first = await w.client.order({ count: 4 })
    const { change } = await w.client.infer(first)
    expect(await w.client.wallet.settle(first.spend.id, change?.responses ?? [])).toBe(3)
    const former = await w.client.change()
    time += 30 * day
    await eventually(async () => (await w.client.directory()).directory.changeKeys.length).toBe(2)
    const current = await w.client.change()
    expect(Buffer.compare(former.publicKey.id, current.publicKey.id)).not.toBe(0)
    const spent = await w.client.order({ count: 1, issuers: [former] })
    expect((await w.client.infer(spent)).response.status).toBe(200)
    const late = await w.client.order({ count: 1, issuers: [former] })
    time += 30 * day
    await eventually(
      async () => (await w.client.directory()).directory.changeKeys.at(-1)?.notBefore,
    ).toBeGreaterThan((time - 30 * day) / 1000)
    const refused = await w.client.infer({
      ...late,
      changeRequests: (await w.client.order({ count: 1 })).changeRequests,
    })
    expect(refused.code).toBe('tokens_refused')
  })
})

describe('a gateway that starts without the others', () => {
  it('says what it waits for, and has a directory as soon as a mint is there', async () => {
    const w = await open({ rotation: often })
    await Promise.all([w.mint.pause(), w.node.pause()])
    await w.restart({ state: join(w.folder, 'another') })
    expect((await fetch(`${w.gateway.url}/directory`)).status).toBe(503)
    expect(await health(w)).toEqual({
      status: 503,
      reason: `The gateway waits for the keys of the mint ${MINT}, and waits for the description of a node.`,
    })
    await w.mint.resume()
    await eventually(async () => (await fetch(`${w.gateway.url}/directory`)).status).toBe(200)
    expect((await health(w)).reason).toBe('The gateway waits for the description of a node.')
    expect((await w.client.directory()).nodes).toEqual([])
    await w.node.resume()
    await eventually(async () => (await health(w)).status).toBe(200)
    expect((await w.client.directory()).nodes).toHaveLength(1)
  })

  it('remembers mints and nodes from before', async () => {
    const w = await open({ rotation: often })
    await w.client.buy(4)
    const order = await w.client.order()
    await Promise.all([w.mint.pause(), w.node.pause()])
    await w.restart()
    expect(await health(w)).toEqual({ status: 200 })
    // The node keeps its place, and what cannot be answered is given back.
    const answered = await w.client.infer(order)
    expect([answered.code, answered.change?.responses.length]).toEqual(['node_unavailable', 4])
    await Promise.all([w.mint.resume(), w.node.resume()])
  })
})

describe('a node', () => {
  it('leaves the directory when its description has ended', async () => {
    let time = Date.now()
    const w = await open({ now: () => time, rotation: often })
    await w.node.pause()
    time += 366 * 24 * hour
    await eventually(async () => (await w.client.directory()).nodes).toEqual([])
    await w.node.resume()
  })

  it('is described by its own identity only, and has a name of its own', async () => {
    const identity = generateIdentity()
    const stranger = await startTestNode(identity)
    const namesake = await startTestNode(identity)
    const garbage = createServer((_, response) => response.end('{}'))
    await new Promise<void>((resolve) => garbage.listen(0, '127.0.0.1', resolve))
    const garbageUrl = `http://127.0.0.1:${(garbage.address() as AddressInfo).port}`
    try {
      const w = await open()
      await w.restart({
        nodes: [
          { url: stranger.url, identity: generateIdentity().identity },
          { url: garbageUrl, identity: generateIdentity().identity },
          { url: w.node.url, identity: w.node.identity.identity },
          { url: namesake.url, identity: namesake.identity.identity },
        ],
      })
      const { nodes } = await w.client.directory()
      expect(nodes.map(({ identity: { text } }) => text)).toEqual([w.node.identity.identity.text])
      const problems = w.log.lines
        .filter(({ level }) => level === 'warn')
        .map(({ fields }) => JSON.stringify(fields))
      expect(problems.some((line) => line.includes('another identity'))).toBe(true)
      expect(problems.some((line) => line.includes('as another node does'))).toBe(true)
    } finally {
      await Promise.all([stranger.close(), namesake.close()])
      garbage.close()
    }
  })

  it('whose description is not valid yet or any more is left out', async () => {
    const w = await open({ rotation: often })
    const seconds = Math.floor(Date.now() / 1000)
    const { directory, nodes } = await w.client.directory()
    const [described] = nodes
    if (described === undefined) return expect.fail('no node')
    const { identity: _, ...description } = described.description
    w.node.description = await signNodeDescription(w.node.identity, {
      ...description,
      notBefore: seconds - 10,
      notAfter: seconds - 1,
    })
    await eventually(() =>
      w.log.lines.some(({ fields }) => JSON.stringify(fields).includes('not valid')),
    ).toBe(true)
    // The last one that was valid stands.
    expect((await w.client.directory()).directory.epoch).toBe(directory.epoch)
  })
})

it('refuses options that contradict themselves', async () => {
  const w = await open()
  const mint = { name: MINT, url: w.mint.url }
  const node = { url: w.node.url, identity: w.node.identity.identity }
  for (const options of [
    { name: 'no name' },
    { mints: [] },
    { mints: [mint, mint] },
    { mints: [{ ...mint, name: GATEWAY }] },
    { nodes: [node, node] },
    { cluster: { seed: new Uint8Array(16), replay: { admit: () => Promise.resolve(true) } } },
  ])
    await expect(w.start(options)).rejects.toMatchObject({ code: 'GATEWAY_OPTION' })
})
