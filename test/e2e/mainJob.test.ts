import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sampleFile } from '../sampleData.ts'
import { type ReportJson, reportSchema } from './report.schema.ts'
import { finished, isAlive, rialto, scratchFolder, worldPid } from './rialto.ts'

const play = async (folder: string, ...argv: string[]) =>
  finished(rialto(['start', '--once', '--json', '--port', '0', ...argv], { folder }))

function parse(stdout: string): ReportJson {
  expect(stdout.trim().split('\n')).toHaveLength(1)
  return reportSchema.parse(JSON.parse(stdout))
}

/** All of a report that does not depend on how fast the machine is. */
const withoutTime = ({ durationMs: _, ...rest }: ReportJson) => rest

describe('the main job', { timeout: 240_000 }, () => {
  it('saves the guarded position in black-thursday, and does the same again for the same seed', async () => {
    const folder = scratchFolder()
    const first = await play(folder)
    expect(first.code, first.stderr).toBe(0)
    const report = parse(first.stdout)
    expect(report).toMatchObject({ scenario: 'black-thursday', seed: 1, passed: true, blocks: 96 })
    expect(report.guarded.liquidated).toBe(false)
    expect(report.twin.liquidated).toBe(true)
    expect(Number(report.guarded.equityUsd.end)).toBeGreaterThan(Number(report.twin.equityUsd.end))
    expect(report.transactions.length).toBeGreaterThan(0)
    expect(report.transactions.every(({ status }) => status === 'confirmed')).toBe(true)
    // Topping up alone cannot have saved it.
    expect(report.transactions.some(({ kind }) => kind === 'deleverage')).toBe(true)
    expect(report.inference).toEqual({ calls: expect.any(Number), model: 'rialto-reference-analyst-1' })
    expect(report.inference.calls).toBeGreaterThan(0)
    expect(worldPid(folder)).toBeNull()

    // In the same folder: another genesis is another epoch, and nothing of the first play is taken for done.
    const again = await play(folder)
    expect(withoutTime(parse(again.stdout))).toEqual(withoutTime(report))
  })

  it('takes another path for another seed, and saves the position there too', async () => {
    const { code, stdout, stderr } = await play(scratchFolder(), '--seed', '7')
    expect(code, stderr).toBe(0)
    expect(parse(stdout)).toMatchObject({ seed: 7, passed: true })
  })

  it('lives through slow-bleed', async () => {
    const { code, stdout, stderr } = await play(scratchFolder(), '--scenario', 'slow-bleed')
    expect(code, stderr).toBe(0)
    expect(parse(stdout)).toMatchObject({
      passed: true,
      guarded: { liquidated: false },
      twin: { liquidated: true },
    })
  })

  it('does nothing that costs money in oracle-glitch', async () => {
    const { code, stdout, stderr } = await play(scratchFolder(), '--scenario', 'oracle-glitch')
    expect(code, stderr).toBe(0)
    const report = parse(stdout)
    expect(report).toMatchObject({ passed: true, transactions: [] })
    // It saw the glitch, and said why it held still.
    expect(report.decisions.some(({ reason }) => reason.includes('market contradicts'))).toBe(true)
  })

  it('fails its pass rule with exit code 1 where nobody could be saved', async () => {
    // A crash in twelve blocks moves by more per block than any rescue may slip.
    const { code, stdout } = await play(scratchFolder(), '--blocks', '12')
    const report = parse(stdout)
    expect(report.blocks).toBe(12)
    expect(code).toBe(report.passed ? 0 : 1)
    expect(report.passed).toBe(!report.guarded.liquidated && report.twin.liquidated)
  })

  it('plays a price file by bars, and passes by completing', async () => {
    const folder = scratchFolder()
    const file = join(folder, 'prices.csv')
    writeFileSync(
      file,
      [
        'datetime,open,high,low,close,volume',
        '2022-11-08 00:00:00,1570,1590,1500,1510,1',
        '2022-11-08 01:00:00,1510,1520,1400,1410,1',
        '2022-11-08 03:00:00,1410,1450,1380,1440,1',
      ].join('\n'),
    )
    const { code, stdout, stderr } = await play(folder, '--scenario', file)
    expect(code, stderr).toBe(0)
    const report = parse(stdout)
    // Three bars and the missing one between them, at 12 blocks each.
    expect(report).toMatchObject({ scenario: 'prices.csv', passed: true, blocks: 48 })
    expect(stderr).toMatch(/gap|missing/i)
  })

  const eth = sampleFile('prices/mantis_ETH_1h_2020-2025.csv')
  it.runIf(eth.exists)(`plays a real crash (${eth.title})`, async () => {
    const range = ['--from', '2022-11-08T18:00', '--to', '2022-11-08T23:00']
    const { code, stdout, stderr } = await play(scratchFolder(), '--scenario', eth.path, ...range)
    expect(code, stderr).toBe(0)
    expect(parse(stdout)).toMatchObject({ passed: true, blocks: 72 })
  })

  it('stays up with its status until it is interrupted, and leaves no process behind', async () => {
    const folder = scratchFolder()
    const start = rialto(['start', '--scenario', 'oracle-glitch', '--blocks', '12', '--port', '0'], {
      folder,
    })
    await start.untilNoted(/Ctrl-C/)
    const anvil = worldPid(folder)
    const status = await finished(rialto(['status', '--json'], { folder }))
    expect(status.code, status.stderr).toBe(0)
    expect(JSON.parse(status.stdout)).toMatchObject({
      running: true,
      phase: 'done',
      scenario: { name: 'oracle-glitch', passed: true },
      agents: [{ id: 'lending-guardian', tradingState: 'active' }, { id: 'liquidator' }],
    })
    start.child.kill('SIGINT')
    expect(await start.exit).toBe(0)
    expect(anvil).not.toBeNull()
    expect(isAlive(anvil ?? 0)).toBe(false)
    expect(start.stdout()).toContain('oracle-glitch, seed 1, 12 blocks: passed')
  })

  it('keeps prompts and keys out of its log', async () => {
    const folder = scratchFolder()
    const { code } = await play(folder, '--blocks', '24', '--log', 'debug')
    expect(code).not.toBeNull()
    const log = readFileSync(join(folder, 'rialto.log'), 'utf8')
    expect(log.length).toBeGreaterThan(0)
    expect(log).not.toMatch(/situation|returnsBps|You are|0x[0-9a-f]{130,}/)
  })
})
