import type { ConfigFile } from './configFile.ts'

/**
 * Gives a configuration its types, and nothing else: it is checked when it is loaded.
 *
 * @example
 * export default defineConfig({
 *   agents: [{ id: 'guardian', role: 'lending-guardian', policy: 'policies/lending-guardian.json' }],
 * })
 */
export const defineConfig = (config: ConfigFile): ConfigFile => config
