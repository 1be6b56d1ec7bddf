import { defineConfig } from 'vitest/config'
import { SlowestFirst } from './test/runner/slowestFirst.ts'
import { filesThatShareAWorker, LAYERS, testFiles } from './test/runner/testFiles.ts'
import { WASM_FLAGS } from './test/runner/wasmFlags.ts'

const shared = [...filesThatShareAWorker(testFiles())]

/** Tests that run Rialto's commands, as they are built. */
const commands = [
  'test/e2e/*.test.ts',
  'test/faults/killed.test.ts',
  'test/security/{canary,crash,fuzz}.test.ts',
]

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A spy ends with its test, whatever became of that.
    restoreMocks: true,
    // Tests that start a chain, a database or a queue each use real processes; two cores do not gain from more.
    maxWorkers: 2,
    pool: 'forks',
    sequence: { sequencer: SlowestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'own worker',
          include: [`{${LAYERS.join()}}/**/*.test.ts`],
          exclude: [...shared, ...commands],
          execArgv: [...WASM_FLAGS],
        },
      },
      {
        extends: true,
        test: {
          name: 'commands',
          include: commands,
          execArgv: [...WASM_FLAGS],
          globalSetup: './test/runner/build.ts',
        },
      },
      { extends: true, test: { name: 'shared worker', include: shared, isolate: false } },
    ],
  },
})
