import { defineConfig } from './infra/config/defineConfig.ts'

/**
 * What `npm start` runs: a local chain with the real protocols, and a guardian that protects a lending position on it.
 * Everything that is left out has its default; see CONTRIBUTING.md and the types for what there is.
 */
export default defineConfig({
  chain: { kind: 'world' },
  agents: [
    { id: 'lending-guardian', role: 'lending-guardian', policy: 'policies/lending-guardian.json' },
    { id: 'liquidator', role: 'liquidator', policy: 'policies/liquidator.json' },
  ],
})
