import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { assertPolicyFits } from '../../runtime/guards/assertPolicyFits.ts'
import { book } from '../../runtime/guards/guardScene.fixture.ts'
import { PolicyError } from '../../runtime/guards/policy.ts'
import { packageRoot } from '../process/packageRoot.ts'
import { ConfigFileError } from './errors.ts'
import { loadPolicy } from './loadPolicy.ts'

const shipped = (name: string) => join(packageRoot(import.meta.url), 'policies', `${name}.json`)
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rialto-policy-'))
})
afterAll(() => rm(folder, { recursive: true }))

const write = async (text: string): Promise<string> => {
  const path = join(folder, 'policy.json')
  await writeFile(path, text)
  return path
}

describe('loadPolicy', () => {
  it.each(['lending-guardian', 'liquidator'])(
    'loads %s, which ships and fits the local world',
    async (name) => {
      const policy = await loadPolicy(shipped(name))
      expect(policy).toMatchObject({ name, mode: 'execute' })
      const world: AddressBook = book
      expect(() => assertPolicyFits(policy, world)).not.toThrow()
    },
  )

  it('names file, line and path of what is wrong', async () => {
    const path = await write('{\n  "name": "x",\n  "mode": "maybe"\n}')
    const error = await loadPolicy(path).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(PolicyError)
    const { message, issues } = error as PolicyError
    expect(message).toContain(`${path}:3: mode is "maybe": it must be one of "observe", "propose", "execute"`)
    expect(message).toContain(`${path}:1: spend is missing`)
    expect(issues.every(({ line }) => line !== undefined)).toBe(true)
  })

  it('names the line of a contradiction', async () => {
    const text = (await readFile(shipped('liquidator'), 'utf8')).replace('"1000.00"', '"9000.00"')
    const line = text.split('\n').findIndex((row) => row.includes('9000.00')) + 1
    const path = await write(text)
    await expect(loadPolicy(path)).rejects.toThrow(
      `${path}:${line}: spend.perTransactionUsd is above rollingUsd`,
    )
  })

  it('names line and column of what is no JSON', async () => {
    const path = await write('{\n  "name": "x",\n}')
    await expect(loadPolicy(path)).rejects.toThrow(
      `Wrong policy: ${path}:3: the file is no JSON: a key in double quotes was expected, not "}" (column 1).`,
    )
    await expect(loadPolicy(await write(''))).rejects.toBeInstanceOf(PolicyError)
  })

  it('does not mind a byte order mark', async () => {
    const path = await write(`\uFEFF${await readFile(shipped('liquidator'), 'utf8')}`)
    await expect(loadPolicy(path)).resolves.toMatchObject({ name: 'liquidator' })
  })

  it('says why a file cannot be read', async () => {
    const missing = join(folder, 'none.json')
    const error = await loadPolicy(missing).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(ConfigFileError)
    expect((error as ConfigFileError).toLine()).toBe(
      `Cannot read the policy ${missing}: there is no such file. Check its path, or create it.`,
    )
    await expect(loadPolicy(folder)).rejects.toThrow('it is a folder')
    await expect(loadPolicy(join(shipped('liquidator'), 'x'))).rejects.toThrow('a part of its path is a file')
  })
})
