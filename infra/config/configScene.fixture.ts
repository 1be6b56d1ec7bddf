import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import { RialtoError } from '../../runtime/core/errors.ts'
import { book, policyFile } from '../../runtime/guards/guardScene.fixture.ts'
import { loadConfig } from './loadConfig.ts'

/** An agent whose policy is right. */
export const agent = { id: 'guardian', role: 'lending-guardian', policy: 'policy.json' }
export const SAFE = '0x3A05fEBB9e70d5531D9230B025Dc6B8D8c8FFc67'
export const rpc = {
  kind: 'rpc',
  rpcUrl: 'https://rpc.example.org/key',
  chainId: 31_337,
  addressBook: 'book.json',
}
/** Three RPCs, one of them with a limit. */
export const several = {
  kind: 'rpc',
  rpcUrls: [
    'https://a.example.org/key',
    { url: 'https://b.example.net', requestsPerSecond: 25 },
    'http://127.0.0.1:8545',
  ],
  chainId: 31_337,
  addressBook: 'book.json',
}

/** A new folder for every test, as the working folder, with a policy and an address book that are right. */
export function configScene() {
  const home = process.cwd()
  let folder = ''
  const put = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text)
    return join(folder, name)
  }
  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'rialto-config-')))
    await put('policy.json', JSON.stringify(policyFile))
    await put('book.json', JSON.stringify(book))
    process.chdir(folder)
  })
  afterEach(async () => {
    process.chdir(home)
    await rm(folder, { recursive: true })
  })
  return {
    get folder() {
      return folder
    },
    /** Writes a file. @returns its path */
    put,
    /** Writes a configuration that is right, but for the changes. @returns its path */
    config: (changes: object = {}) =>
      put('rialto.config.json', JSON.stringify({ agents: [agent], ...changes })),
    /** What is said of the configuration that is there; nothing when it is right. */
    async said(environment = {}, path?: string): Promise<string> {
      try {
        await loadConfig(path, environment)
      } catch (error) {
        if (error instanceof RialtoError) return error.toLine()
        throw error
      }
      return ''
    },
  }
}
