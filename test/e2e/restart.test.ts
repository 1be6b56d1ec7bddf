import { describe, expect, it } from 'vitest'
import { reportSchema } from './report.schema.ts'
import { finished, isAlive, rialto, scratchFolder, worldPid } from './rialto.ts'

const ARGV = ['start', '--once', '--json', '--port', '0']

describe('killed in mid-scenario and started again', { timeout: 240_000 }, () => {
  it('goes on where it stood: the record is that of a run that nobody disturbed', async () => {
    const undisturbed = await finished(rialto(ARGV, { folder: scratchFolder() }))
    expect(undisturbed.code, undisturbed.stderr).toBe(0)

    const folder = scratchFolder()
    let anvil: number | null = null
    // Before the first action, right in the middle of rescues, and late.
    for (const moment of [/^ +5\/96/m, /→ deleverage signed/, /^ +61\/96/m]) {
      const run = rialto(ARGV, { folder })
      await run.untilNoted(moment)
      process.kill(run.pid, 'SIGKILL')
      expect(await run.exit).toBeNull()
      const world = worldPid(folder)
      expect(world !== null && isAlive(world)).toBe(true)
      anvil ??= world
      expect(world).toBe(anvil)
    }
    const last = await finished(rialto(ARGV, { folder }))
    expect(last.code, last.stderr).toBe(0)
    expect(last.stderr).toMatch(/found again/)

    const [a, b] = [undisturbed, last].map(({ stdout }) => reportSchema.parse(JSON.parse(stdout)))
    expect({ ...b, durationMs: 0, inference: a?.inference }).toEqual({ ...a, durationMs: 0 })
    expect(isAlive(anvil ?? 0)).toBe(false)
  })

  it('starts another epoch when the world is gone, and refuses another play while it runs', async () => {
    const folder = scratchFolder()
    const first = rialto(ARGV, { folder })
    await first.untilNoted(/^ +5\/96/m)
    process.kill(first.pid, 'SIGKILL')
    await first.exit

    const other = await finished(rialto([...ARGV, '--seed', '2'], { folder }))
    expect(other.code).toBe(2)
    expect(other.stderr).toMatch(/still running.*--fresh/)

    const world = worldPid(folder)
    process.kill(world ?? 0, 'SIGKILL')
    const fresh = await finished(
      rialto([...ARGV, '--scenario', 'oracle-glitch', '--blocks', '12'], { folder }),
    )
    expect(fresh.code, fresh.stderr).toBe(0)
    expect(reportSchema.parse(JSON.parse(fresh.stdout)).journal.runs).toBe(13)
  })
})
