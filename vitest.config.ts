import { defineConfig } from 'vitest/config'
import { SlowestFirst } from './test/runner/slowestFirst.ts'
import { filesThatShareAWorker, LAYERS, testFiles } from './test/runner/testFiles.ts'

const shared = [...filesThatShareAWorker(testFiles())]

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Tests that start a chain, a database or a queue each use real processes; two cores do not gain from more.
    maxWorkers: 2,
    pool: 'forks',
    sequence: { sequencer: SlowestFirst },
    projects: [
      {
        extends: true,
        test: { name: 'own worker', include: [`{${LAYERS.join()}}/**/*.test.ts`], exclude: shared },
      },
      { extends: true, test: { name: 'shared worker', include: shared, isolate: false } },
    ],
  },
})
