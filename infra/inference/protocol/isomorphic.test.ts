import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = dirname(fileURLToPath(import.meta.url))
/** What operators and wallets sign and check, on Node: no codec of a request or an answer. */
const onNode = [join('network', ''), join('attestation', '')]
const sources = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
  (path) =>
    path.endsWith('.ts') &&
    !/\.(test|fixture)\.ts$/.test(path) &&
    path !== 'testVectors.ts' &&
    !onNode.some((folder) => path.startsWith(folder)),
)
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

describe('the protocol runs in a browser', () => {
  it('has sources to look at', () => {
    expect(sources).toContain(join('hpke', 'nodeHpke.ts'))
    expect(sources.length).toBeGreaterThan(20)
  })

  it.each(sources.filter((path) => path !== join('hpke', 'nodeHpke.ts')))(
    '%s needs nothing of Node',
    (path) => {
      const code = read(path).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
      expect(code).not.toMatch(/from 'node:|import\(|\bBuffer\b|\bprocess\b|\brequire\b|nodeHpke/)
      // Nothing from a registry, and of ours only the protocol itself and the vocabulary of errors.
      for (const [, specifier] of code.matchAll(/from '([^']+)'/g)) {
        expect(specifier).toMatch(/^\.{1,2}\//)
        if (specifier?.includes('runtime/') === true) expect(specifier).toMatch(/runtime\/core\/errors\.ts$/)
      }
    },
  )
})
