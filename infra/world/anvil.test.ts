import { execFile } from 'node:child_process'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../process/packageRoot.ts'
import { anvilBinary, startAnvil } from './anvil.ts'
import { AnvilMissingError, AnvilStartError, PortTakenError } from './errors.ts'
import { createRpc } from './rpc.ts'

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Runs a module that starts anvil in a process of its own, and returns the pid it printed and its own fate. */
async function startedByAnother(detached: boolean): Promise<{ pid: number; url: string }> {
  const module = new URL('./anvil.ts', import.meta.url).href
  const code = `
    import { startAnvil } from ${JSON.stringify(module)}
    const { pid, url } = await startAnvil({ detached: ${detached} })
    process.stdout.write(JSON.stringify({ pid, url }))
    ${detached ? '' : 'process.exit(0)'}`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', code],
    { cwd: packageRoot(import.meta.url), timeout: 30_000 },
  )
  return JSON.parse(stdout) as { pid: number; url: string }
}

async function untilGone(pid: number): Promise<void> {
  while (isAlive(pid)) await delay(5)
}

describe('startAnvil', () => {
  it('answers when it returns, and is gone when stopped', async () => {
    const anvil = await startAnvil({ noMining: true, timestamp: 1_000_000_000 })
    const rpc = createRpc(anvil.url)
    expect(await rpc('eth_chainId')).toBe('0x7a69')
    expect(await rpc('anvil_getAutomine')).toBe(false)
    expect(await rpc('eth_getBlockByNumber', '0x0', false)).toMatchObject({ timestamp: '0x3b9aca00' })
    expect(isAlive(anvil.pid)).toBe(true)
    await anvil.stop()
    expect(isAlive(anvil.pid)).toBe(false)
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

  it('outlives its parent when detached', async () => {
    const { pid, url } = await startedByAnother(true)
    expect(isAlive(pid)).toBe(true)
    expect(await createRpc(url)('eth_chainId')).toBe('0x7a69')
    process.kill(pid, 'SIGTERM')
    await untilGone(pid)
  })

  it('ends with its parent otherwise', async () => {
    const { pid } = await startedByAnother(false)
    await untilGone(pid)
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
