import { describe, expect, it } from 'vitest'
import { finished, isAlive, rialto, scratchFolder } from './rialto.ts'

describe('rialto drill', { timeout: 240_000 }, () => {
  it('has the protector rescue the position when the runtime or its journal is killed', async () => {
    const folder = scratchFolder()
    // Blocks go by the clock here, and this machine may be busy: how many it takes is no matter of the test.
    const drill = rialto(['drill', '--kill', 'workers,journal', '--within', '20', '--json'], { folder })
    const { code, stdout, stderr } = await finished(drill)
    expect(code, stderr).toBe(0)
    const reports = JSON.parse(stdout)
    expect(reports).toMatchObject([
      { killed: 'workers', protected: true, liquidatable: false, by: 'protector', floor: '1.05' },
      { killed: 'journal', protected: true, liquidatable: false, by: 'protector' },
    ])
    for (const { blocks, healthFactors } of reports) {
      expect(blocks).toBe(healthFactors.length - 1)
      expect(Number(healthFactors[0])).toBeLessThan(1.05)
      expect(Number(healthFactors.at(-1))).toBeGreaterThan(1.25)
    }
    const victims = [...stderr.matchAll(/guards 0x\w+, process (\d+)/g)].map(([, pid]) => Number(pid))
    expect(victims).toHaveLength(2)
    expect(victims.filter(isAlive)).toEqual([])
  })

  it.each([
    [['--kill', 'everything'], /"everything" is none of nothing, inference, queue, journal, agent, workers/],
    [['--within', '0'], /whole number of blocks from 1 to 100/],
  ])('says what is wrong with %j', async (argv, line) => {
    const { code, stderr } = await finished(rialto(['drill', ...argv], { folder: scratchFolder() }))
    expect(code).toBe(2)
    expect(stderr).toMatch(line)
  })

  it('names a policy that is not there, before anything is started', async () => {
    const folder = scratchFolder()
    const { code, stderr } = await finished(
      rialto(['drill', '--kill', 'nothing', '--policy', `${folder}/missing.json`], { folder }),
    )
    expect(code).toBe(2)
    expect(stderr).toMatch(/missing\.json/)
  })
})
