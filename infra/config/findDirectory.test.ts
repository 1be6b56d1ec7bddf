import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { agent, configScene } from './configScene.fixture.ts'
import { ConfigError } from './errors.ts'
import { findDirectory } from './findDirectory.ts'

const scene = configScene()
const { put, config } = scene

describe('findDirectory', () => {
  it('finds what the environment, the configuration or nobody says', async () => {
    expect(await findDirectory({})).toBe(join(scene.folder, '.rialto'))
    await config({ directory: 'state' })
    expect(await findDirectory({})).toBe(join(scene.folder, 'state'))
    expect(await findDirectory({ directory: '/elsewhere' })).toBe('/elsewhere')
    await mkdir(join(scene.folder, 'deep'))
    const path = await put('deep/other.json', JSON.stringify({ agents: [agent] }))
    expect(await findDirectory({}, path)).toBe(join(scene.folder, 'deep/.rialto'))
  })

  it('does not need policies to be right', async () => {
    await put('policy.json', 'broken')
    await config({ directory: 'state' })
    expect(await findDirectory({})).toBe(join(scene.folder, 'state'))
  })

  it('does not guess when the configuration is broken', async () => {
    await put('rialto.config.json', '{')
    await expect(findDirectory({})).rejects.toBeInstanceOf(ConfigError)
  })
})
