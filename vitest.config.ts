import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['{runtime,strategies,agents,infra,test}/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Tests that start a chain, a database or a queue each use real processes; two cores do not gain from more.
    maxWorkers: 2,
    pool: 'forks',
  },
})
