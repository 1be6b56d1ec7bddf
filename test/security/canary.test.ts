import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { canaryOf, createSearch, randomText } from './canaries.ts'
import { brokenPaths } from './canaryFaults.ts'
import { askedPaths } from './canaryPaths.ts'
import { openScene, type Scene } from './canaryScene.ts'
import type { Role } from './roleProcess.ts'
import { sayFine } from './roles.ts'
import { storeKinds } from './stores.ts'
import {
  canLookInside,
  coreLimit,
  filesIn,
  openForWriting,
  shownBy,
  type Written,
  writtenBy,
} from './written.ts'

/*
 * "A node keeps nothing." Canaries go through every path of a whole network, the failing ones too. Then every byte
 * that any role wrote is searched for them: files and their names, databases, logs at level debug, metrics, health,
 * standard output and error.
 */

describe.each(storeKinds)('a network that keeps what is spent in $name', ({ open, reason }) => {
  if (reason !== undefined) return void it.skip(reason)

  let scene: Scene
  beforeAll(async () => {
    scene = await openScene(open)
  })
  beforeEach(() => {
    scene.roles.upstream.answer = sayFine
  })
  afterAll(() => scene?.close())

  describe('on every path', () => {
    askedPaths(() => scene)
    brokenPaths(() => scene)
  })

  describe('and then', () => {
    let written: readonly Written[] = []
    let found: readonly { readonly canary: string; readonly as: string; readonly place: string }[] = []
    const purse = 'proxy/state/inference/purses/proxy'

    beforeAll(async () => {
      await scene.look()
      const shown = (await Promise.all(scene.roles.all.map(shownBy))).flat()
      if (canLookInside) {
        for (const role of scene.roles.all) {
          const outside = (await openForWriting(role)).filter((path) => !path.startsWith(role.folder))
          expect([role.name, outside]).toEqual([role.name, []])
          expect(await coreLimit(role)).toBe('0')
        }
      }
      await scene.client.close()
      // In order, so that nothing waits in a buffer any more.
      await Promise.all(scene.roles.all.map((role) => role.stop()))
      for (const kind of ['account', 'passphrase']) {
        const text = await readFile(join(scene.roles.folder, `${purse}.${kind}`), 'utf8')
        scene.planted.secret(`${kind} of the proxy`, text.trim())
      }
      const { asked } = scene.roles.upstream
      const heads = asked.map(({ path, rawHeaders }) => [path, ...rawHeaders].join('\n'))
      written = [
        ...shown,
        ...(await Promise.all(scene.roles.all.map(writtenBy))).flat(),
        ...(await scene.stores.written()),
      ]
      const others = [
        ...(await filesIn(join(scene.roles.folder, 'purses'), 'client')),
        { place: 'upstream', bytes: Buffer.from(heads.join('\n')) },
        ...asked.map(({ body }) => ({ place: 'upstream', bytes: body })),
        { place: 'reports', bytes: Buffer.from(JSON.stringify([scene.client.paths, scene.client.notices])) },
      ]
      const search = createSearch([...scene.planted.canaries, ...scene.planted.nullifiers])
      found = [...written, ...others].flatMap(({ place, bytes }) =>
        search(bytes).map(({ canary, as }) => ({ canary, as, place })),
      )
    })
    /** Where a canary was found. */
    const placesOf = (...names: readonly string[]) => [
      ...new Set(found.filter(({ canary }) => names.includes(canary)).map(({ place }) => place)),
    ]
    /** What was found where it should not be. */
    const strays = (inPlaces: (place: string) => boolean, of: (canary: string) => boolean) =>
      found
        .filter(({ place, canary }) => inPlaces(place) && of(canary))
        .map(({ place, canary, as }) => `${canary}, ${as}, in ${place}`)
    const isOfRoles = (place: string) => written.some((each) => each.place === place)

    it('there was much to find, and much that was written', () => {
      expect(scene.planted.canaries.length).toBeGreaterThan(300)
      expect(scene.planted.nullifiers.length).toBeGreaterThan(20)
      expect(scene.client.paths.length).toBeGreaterThan(20)
      expect(new Set(scene.statuses)).toEqual(new Set([200, 400, 429, 500, 502, 503]))
      for (const role of scene.roles.all) expect(role.stderr().length).toBeGreaterThan(100)
      const places = written.map(({ place }) => place)
      for (const role of scene.roles.all) expect(places).toContain(`${role.name}/metrics`)
      for (const file of ['gateway/state/identity', 'mint/state/ledger.log', 'node-a/state/identity'])
        expect(places).toContain(file)
    })

    it('a canary that is planted with any role is found', async () => {
      const text = randomText()
      const search = createSearch([canaryOf('control', text)])
      const isFound = async (role: Role) =>
        (await writtenBy(role)).some(({ bytes }) => search(bytes).length > 0)
      for (const role of scene.roles.all) {
        const hidden = join(role.folder, 'tmp', 'a', '.b')
        await mkdir(hidden, { recursive: true })
        await writeFile(join(hidden, 'c'), `x${Buffer.from(text).toString('base64')}`)
        expect(await isFound(role)).toBe(true)
        await rm(join(hidden, 'c'))
        expect(await isFound(role)).toBe(false)
        await writeFile(join(hidden, text), '')
        expect(await isFound(role)).toBe(true)
      }
    })

    it('nobody has written down anything of them', () => {
      const known = ['account of the proxy', 'passphrase of the proxy', 'nullifier']
      expect(strays(isOfRoles, (canary) => !known.includes(canary))).toEqual([])
    })

    it('what is spent is known to the gateway’s own store, and to nobody else', () => {
      expect(placesOf('nullifier')).toEqual(scene.stores.nullifiers)
    })

    it('the secrets of a client are in the files that are there for them', () => {
      expect(placesOf('account of the proxy')).toEqual([`${purse}.account`])
      expect(placesOf('passphrase of the proxy')).toEqual([`${purse}.passphrase`])
      expect(placesOf('account key')).toEqual(['client/test.account'])
      expect(
        strays(
          (place) => place.startsWith('client/'),
          (canary) => canary !== 'account key',
        ),
      ).toEqual([])
    })

    it('the upstream was told prompts, and nothing of who asked or paid', () => {
      const ofClients =
        /^(header|stranger|proxy: (cookie|header|user agent)|address|account|seed|nonce|signature|nullifier|key of the proxy|wrong key)/
      expect(scene.planted.canaries.filter(({ name }) => ofClients.test(name)).length).toBeGreaterThan(30)
      expect(
        strays(
          (place) => place === 'upstream',
          (canary) => ofClients.test(canary),
        ),
      ).toEqual([])
      expect(placesOf('key of the upstream')).toEqual(['upstream'])
      expect(placesOf('plain: prompt', 'streamed: prompt', 'proxy: prompt')).toEqual(['upstream'])
    })

    it.runIf(canLookInside)('the relay alone has seen whence it was asked', () => {
      const seenBy = (name: string) => [...(scene.peers.get(name) ?? [])]
      expect(seenBy('relay')).toContain(scene.asker)
      expect(seenBy('mint')).toContain(scene.buyer)
      expect(seenBy('relay')).not.toContain(scene.buyer)
      for (const name of ['gateway', 'mint', 'node-a', 'analyst', 'upstream'])
        expect([name, seenBy(name).filter((each) => each === scene.asker)]).toEqual([name, []])
    })

    it('the client’s own reports tell nothing of what was said', () => {
      expect(
        strays(
          (place) => place === 'reports',
          () => true,
        ),
      ).toEqual([])
    })
  })
})
