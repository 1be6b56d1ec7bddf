import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SLOW, slowestFirst } from './slowestFirst.ts'
import {
  filesThatChangeTheirProcess,
  filesThatShareAWorker,
  filesThatUseServers,
  ROOT,
  testFiles,
} from './testFiles.ts'

describe('the order of test files', () => {
  it('begins with those that take longest, and leaves the others as they were', () => {
    const files = ['b.test.ts', 'test/soak/soak.test.ts', 'a.test.ts', 'test/faults/schedules.test.ts']
    expect(slowestFirst(files, (file) => file)).toEqual([
      'test/faults/schedules.test.ts',
      'test/soak/soak.test.ts',
      'b.test.ts',
      'a.test.ts',
    ])
  })

  it('knows no file that is not there, and no number that is none', () => {
    expect(Object.keys(SLOW).filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
    expect(Object.values(SLOW).filter((seconds) => !(seconds >= 5))).toEqual([])
  })
})

describe('a worker is shared', () => {
  const files = testFiles()
  const shared = filesThatShareAWorker(files)

  it('by most of the test files', () => {
    expect(files.length).toBeGreaterThan(300)
    expect(shared.length).toBeGreaterThan(files.length / 2)
    expect(shared).toContain('runtime/guards/policy.test.ts')
  })

  it.each([
    ['starts a process', 'infra/store/embedded/directoryLock.test.ts'],
    ['starts one by way of what it imports', 'test/engine/pipeline.test.ts'],
    ['starts a thread by way of what it imports', 'infra/queue/openQueueServer.test.ts'],
    ['has a clock of its own', 'runtime/live/startLive.test.ts'],
    ['changes the environment', 'infra/inference/createChatModel.test.ts'],
    ['takes something out of the environment', 'infra/cli/terminal.test.ts'],
    ['watches a global', 'infra/inference/client/keepDirectory.test.ts'],
  ])('by none that %s', (_, file) => {
    expect(files).toContain(file)
    expect(shared).not.toContain(file)
  })
})

describe('a process is changed', () => {
  const file = 'test/threats/views.test.ts'

  it('by what a test imports of tests’ own, too', () => {
    const says = (path: string) => /\bvi\.spyOn\(/.test(readFileSync(join(ROOT, path), 'utf8'))
    expect([says(file), says('test/threats/network.ts')]).toEqual([false, true])
    expect(filesThatChangeTheirProcess([file])).toEqual([file])
  })

  it('by nothing in a test that changes nothing', () => {
    const calm = 'runtime/guards/policy.test.ts'
    expect(filesThatChangeTheirProcess([calm])).toEqual([])
  })
})

describe('the leg of CI with real servers', () => {
  /** What play the faults and the soak on the embedded ones only: their stages take servers when a person names some. */
  const LEFT_OUT = /^test\/(faults|soak|runner)\//

  it('runs all that uses them, and nothing that the first leg ran alike', () => {
    const script = readFileSync(join(ROOT, '.ci/run'), 'utf8')
    const [, listed = ''] = /^with_servers=\(([^)]*)\)/m.exec(script) ?? []
    const used = filesThatUseServers(testFiles()).filter((file) => !LEFT_OUT.test(file))
    expect(listed.trim().split(/\s+/).sort()).toEqual([...used].sort())
  })
})
