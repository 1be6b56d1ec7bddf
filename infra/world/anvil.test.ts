import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../process/packageRoot.ts'
import { anvilBinary, startAnvil } from './anvil.ts'
import { AnvilMissingError, AnvilStartError, PortTakenError } from './errors.ts'
import { createRpc } from './rpc.ts'

/** Not whether there is such a process: where nobody collects the dead, their ids stay. */
const answers = (url: string): Promise<boolean> =>
  createRpc(url)('eth_chainId').then(
    () => true,
    () => false,
  )

/** Starts anvil in a process of its own, which then ends as told, and returns what it printed. */
async function startedByAnother(detached: boolean, end: string): Promise<{ pid: number; url: string }> {
  const module = new URL('./anvil.ts', import.meta.url).href
  const code = `
    import { writeSync } from 'node:fs'
    import { startAnvil } from ${JSON.stringify(module)}
    const { pid, url, release } = await startAnvil({ detached: ${detached} })
    writeSync(1, JSON.stringify({ pid, url }))
    ${end}`
  const parent = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', code], {
    cwd: packageRoot(import.meta.url),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  for await (const chunk of parent.stdout) output += chunk
  return JSON.parse(output) as { pid: number; url: string }
}

async function untilGone(url: string): Promise<void> {
  while (await answers(url)) await delay(5)
}

describe('startAnvil', () => {
  it('answers when it returns, and is gone when stopped', async () => {
    const anvil = await startAnvil({ noMining: true, timestamp: 1_000_000_000 })
    const rpc = createRpc(anvil.url)
    expect(await rpc('eth_chainId')).toBe('0x7a69')
    expect(await rpc('anvil_getAutomine')).toBe(false)
    expect(await rpc('eth_getBlockByNumber', '0x0', false)).toMatchObject({ timestamp: '0x3b9aca00' })
    await anvil.stop()
    expect(await answers(anvil.url)).toBe(false)
    expect(() => process.kill(anvil.pid, 0)).toThrow('ESRCH')
    await anvil.stop()
  })

  it('takes a port and a chain id', async () => {
    const first = await startAnvil()
    await first.stop()
    const second = await startAnvil({ port: first.port, chainId: 1337 })
    expect(second.port).toBe(first.port)
    expect(await createRpc(second.url)('eth_chainId')).toBe('0x539')
    await second.stop()
  })

  it('says that a port is taken', async () => {
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
    const { port } = holder.address() as { port: number }
    await expect(startAnvil({ port })).rejects.toBeInstanceOf(PortTakenError)
    await expect(startAnvil({ port })).rejects.toMatchObject({ code: 'PORT_TAKEN', details: { port } })
    await new Promise((resolve) => holder.close(resolve))
  })

  it('says why it ended early', async () => {
    const start = startAnvil({ loadState: '/nowhere/state.json' })
    await expect(start).rejects.toBeInstanceOf(AnvilStartError)
    await expect(start).rejects.toThrow(/nowhere\/state\.json/)
    await expect(startAnvil({ args: ['--no-such-flag'] })).rejects.toThrow(/no-such-flag/)
  })

  it.each([
    ['exits', 'process.exit(0)'],
    ['is killed', 'process.kill(process.pid, "SIGKILL")'],
  ])('outlives a parent that %s when detached and released', async (_, end) => {
    const { pid, url } = await startedByAnother(true, `release(); ${end}`)
    expect(await answers(url)).toBe(true)
    process.kill(pid, 'SIGTERM')
    await untilGone(url)
  })

  it.each([
    ['exits', 'process.exit(0)'],
    ['is killed', 'process.kill(process.pid, "SIGKILL")'],
  ])('ends with its parent otherwise, when that %s', async (_, end) => {
    const { url } = await startedByAnother(false, `release(); ${end}`)
    await untilGone(url)
  })

  it('ends with a parent that is killed before it has written down where it is', async () => {
    const { url } = await startedByAnother(true, 'process.kill(process.pid, "SIGKILL")')
    await untilGone(url)
  })
})

describe('anvilBinary', () => {
  it('knows no binary for a platform without one', () => {
    expect(() => anvilBinary('sunos', 'sparc')).toThrow(AnvilMissingError)
    expect(() => anvilBinary('sunos', 'sparc')).toThrow('There is no anvil for sunos-sparc.')
  })

  it('names the package that is not installed', () => {
    const other = process.platform === 'darwin' ? 'linux' : 'darwin'
    expect(() => anvilBinary(other, 'arm64')).toThrow(`@foundry-rs/anvil-${other}-arm64`)
  })
})
