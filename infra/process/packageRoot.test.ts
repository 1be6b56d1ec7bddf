import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { InvariantError } from '../../runtime/core/errors.ts'
import { packageRoot } from './packageRoot.ts'

it('finds the nearest package.json upward, from source as from dist', () => {
  const root = packageRoot(import.meta.url)
  expect(existsSync(join(root, 'package.json'))).toBe(true)
  const built = pathToFileURL(join(root, 'dist/infra/process/packageRoot.js')).href
  expect(packageRoot(built)).toBe(root)
})

it('is the package of the module, not of the process', () => {
  const elsewhere = pathToFileURL(join(packageRoot(import.meta.url), 'node_modules/viem/_esm/index.js')).href
  expect(packageRoot(elsewhere)).toMatch(/node_modules[\\/]viem([\\/]_esm)?$/)
})

it('says when there is none', () => {
  expect(() => packageRoot('file:///nowhere/at/all.js')).toThrow(InvariantError)
})
