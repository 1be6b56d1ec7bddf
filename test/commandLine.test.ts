import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { entryPoint } from '../infra/process/entryPoint.ts'

function run(name: string, ...argv: string[]) {
  const { path, execArgv } = entryPoint(import.meta.url, `./${name}/main`)
  return spawnSync(process.execPath, [...execArgv, path, ...argv], { encoding: 'utf8' })
}

describe('the programs of the tests', () => {
  it.each([
    ['simulation', ['--seeds', '0'], '--seeds <n>'],
    ['simulation', ['--jobs', 'two'], '--jobs <n>'],
    ['simulation', ['--sedes', '3'], '--sedes'],
    ['faults', ['--seed', '-1'], '--seed <n>'],
    ['faults', ['17'], 'too many arguments'],
    ['soak', ['--intents', '999'], '--intents <n>'],
    ['soak', ['--intents'], '--intents <n>'],
  ])('say in one line what is wrong with %s %j, and end with 2', (name, argv, part) => {
    const { status, stdout, stderr } = run(name, ...argv)
    expect(stderr).toContain(part)
    expect(stderr).toMatch(/^[^\n]+ See --help\.\n$/)
    expect(stdout).toBe('')
    expect(status).toBe(2)
  })

  it.each(['simulation', 'faults', 'soak'])('say how %s is used, and end with 0', (name) => {
    const { status, stdout, stderr } = run(name, '--help')
    expect(stdout).toContain('Usage: npm run ')
    expect(stderr).toBe('')
    expect(status).toBe(0)
  })
})
