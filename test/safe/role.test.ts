import { describe, expect, it } from 'vitest'
import { safeScene, wholePolicy } from './safeScene.ts'

describe('a role on a real modifier', async () => {
  const scene = await safeScene()
  const role = scene.role(wholePolicy())

  it('is all differences before it is applied, and none after', async () => {
    const before = await scene.check(role)
    await scene.apply(role)
    const after = await scene.check(role)
    expect(after.differences.map(({ line }) => line)).toEqual([])
  })
})
