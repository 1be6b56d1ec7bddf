import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { says, startScriptedModel } from '../../agents/lending-guardian/testModel.ts'
import { reportSchema } from './report.schema.ts'
import { finished, isAlive, rialto, scratchFolder, worldPid } from './rialto.ts'

/** The shortest play that there is. */
const SHORT = ['start', '--scenario', 'oracle-glitch', '--blocks', '12', '--port', '0']

const lastLine = (text: string): string | undefined => text.trim().split('\n').at(-1)

describe('when something goes wrong', { timeout: 120_000 }, () => {
  it('plays on by the deterministic rule when the model answers nonsense, and says so', async () => {
    const model = await startScriptedModel()
    onTestFinished(() => model.close())
    const models = JSON.stringify({ object: 'list', data: [{ id: 'scripted', object: 'model' }] })
    model.script = (response, request, body) =>
      request.url?.endsWith('/models')
        ? response.setHeader('content-type', 'application/json').end(models)
        : says('Buy low, sell high.')(response, request, body)
    const { code, stdout, stderr } = await finished(
      rialto(['start', '--once', '--json', '--port', '0', '--blocks', '48'], {
        folder: scratchFolder(),
        env: { RIALTO_INFERENCE_URL: model.url, RIALTO_INFERENCE_MODEL: 'scripted' },
      }),
    )
    expect(code, stderr).toBe(0)
    const report = reportSchema.parse(JSON.parse(stdout))
    expect(report).toMatchObject({ passed: true, inference: { model: 'scripted' } })
    const acted = report.decisions.filter(({ intent }) => intent !== 'nothing')
    expect(acted.length).toBeGreaterThan(0)
    for (const { reason } of acted) expect(reason).toMatch(/By rule: the model's answer could not be read/)
    expect(stdout).not.toContain('Buy low')
  })

  it('plays to its end and ends everything when nobody reads what it says any more', async () => {
    const folder = scratchFolder()
    const play = rialto([...SHORT, '--once'], { folder })
    await play.untilNoted(/✓ world/)
    const world = worldPid(folder)
    play.child.stdout?.destroy()
    play.child.stderr?.destroy()
    expect(await play.exit).toBe(0)
    expect(world).not.toBeNull()
    expect(isAlive(world ?? 0)).toBe(false)
    expect(worldPid(folder)).toBeNull()
  })

  it('says in one line that the world is gone, and begins another', async () => {
    const folder = scratchFolder()
    const play = rialto([...SHORT, '--once'], { folder })
    await play.untilNoted(/^ +3\/12/m)
    const world = worldPid(folder)
    process.kill(world ?? 0, 'SIGKILL')
    expect(await play.exit).toBe(1)
    expect(lastLine(play.stderr())).toMatch(
      /^rialto: The world at http:\S+ \(process \d+\) is gone\. Start again/,
    )
    expect(play.stderr()).not.toContain('runs on')
    const again = await finished(rialto([...SHORT, '--once', '--json'], { folder }))
    expect(again.code, again.stderr).toBe(0)
    expect(reportSchema.parse(JSON.parse(again.stdout)).journal.runs).toBe(13)
  })

  it('leaves no world behind that it could not write down', async () => {
    const folder = scratchFolder()
    // A folder in the place of the file: the world is up, and cannot be remembered.
    mkdirSync(join(folder, 'world.json.new'))
    const { code, stderr } = await finished(rialto([...SHORT, '--once'], { folder }))
    expect(code).toBe(1)
    expect(lastLine(stderr)).toMatch(/^rialto: Rialto cannot use \S+world\.json/)
    expect(readdirSync(folder)).not.toContain('world.json')
  })

  it('takes orders while it starts, and refuses those for nobody', async () => {
    const folder = scratchFolder()
    const play = rialto(SHORT, { folder })
    await play.untilNoted(/✓ \w+/)
    const halt = await finished(rialto(['halt', '--json'], { folder }))
    expect(halt.code, halt.stderr).toBe(0)
    expect(JSON.parse(halt.stdout)).toMatchObject({
      running: true,
      agents: [{ tradingState: 'halted' }, { tradingState: 'halted' }],
    })
    const one = await finished(rialto(['resume', '--agent', 'liquidator'], { folder }))
    expect(one.stdout).toMatch(/liquidator is still halted, by another order/)
    const nobody = await finished(rialto(['halt', '--agent', 'lending-guard'], { folder }))
    expect(nobody.code).toBe(2)
    expect(nobody.stderr).toMatch(/no agent "lending-guard".*lending-guardian, liquidator/)
    const all = await finished(rialto(['resume', '--json'], { folder }))
    expect(JSON.parse(all.stdout)).toMatchObject({
      agents: [{ tradingState: 'active' }, { tradingState: 'active' }],
    })
    play.child.kill('SIGTERM')
    await play.exit
    expect(worldPid(folder)).toBeNull()
  })

  it('keeps an order that is given while nothing runs, in the journal that the configuration names', async () => {
    const folder = scratchFolder()
    const config = join(folder, 'rialto.config.json')
    const agents = [{ id: 'guardian', role: 'lending-guardian', policy: 'nowhere.json' }]
    writeFileSync(
      config,
      JSON.stringify({ agents, store: { databaseUrl: 'postgres://ann:pa55word@127.0.0.1:9/rialto' } }),
    )
    // Not silently into another one, and a policy that is not there keeps nobody from halting.
    const elsewhere = await finished(rialto(['halt', '--config', config], { folder }))
    expect(elsewhere.code).toBe(1)
    expect(elsewhere.stderr).toMatch(/No PostgreSQL answers at ann@127\.0\.0\.1:9/)
    expect(elsewhere.stderr).not.toContain('pa55word')

    writeFileSync(config, JSON.stringify({ agents }))
    const halt = await finished(rialto(['halt', '--agent', 'guardian', '--config', config], { folder }))
    expect(halt.code, halt.stderr).toBe(0)
    expect(halt.stdout).toMatch(/guardian: halted \(nothing runs on/)
    const nobody = await finished(rialto(['halt', '--agent', 'x', '--config', config], { folder }))
    expect(nobody.code).toBe(2)
  })

  it('halts all without a configuration, and says that another folder may have been meant', async () => {
    const folder = scratchFolder()
    const halt = await finished(rialto(['halt'], { folder, cwd: folder }))
    expect(halt.code, halt.stderr).toBe(0)
    expect(halt.stdout).toContain('there is no configuration here, so if you meant another folder')
  })
})
