import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { packageRoot } from '../../infra/process/packageRoot.ts'

type Locked = { readonly optionalDependencies?: Readonly<Record<string, string>> }

it('the lock file holds the optional packages of every platform, so that npm ci works on each of them', () => {
  const lock = JSON.parse(readFileSync(join(packageRoot(import.meta.url), 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, Locked>>
  }
  const names = new Set(Object.keys(lock.packages).map((path) => path.split('node_modules/').at(-1)))
  const missing = Object.values(lock.packages)
    .flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
    .filter((name) => !names.has(name))
  expect(missing).toEqual([])
})
