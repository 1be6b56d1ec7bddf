import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { AnvilMissingError, AnvilStartError, PortTakenError } from './errors.ts'
import { createRpc } from './rpc.ts'

export type AnvilOptions = {
  /** The port on loopback; a free one when absent. */
  readonly port?: number
  /** 31337 when absent. */
  readonly chainId?: number
  /** Mine only when told to. */
  readonly noMining?: boolean
  /** Seconds since 1970 of the genesis block; now when absent. */
  readonly timestamp?: number
  /** A state dump (plain JSON) to begin with. */
  readonly loadState?: string
  /** Further command-line arguments, as they are. */
  readonly args?: readonly string[]
  /**
   * The chain can outlive this process: it is out of reach of the terminal's signals, and ends with this process,
   * however that ends, only until it is released. Otherwise it always does.
   */
  readonly detached?: boolean
  /** How long to wait until it answers. 15 seconds when absent. */
  readonly timeoutMs?: number
}

export type Anvil = {
  readonly pid: number
  readonly port: number
  readonly url: string
  /**
   * Lets a detached chain outlive this process from now on. To be called once it is written down where it is: before,
   * nobody would find it again.
   */
  release(): void
  /** Ends the process and returns when it is gone. Harmless when it is gone already. */
  stop(): Promise<void>
}

const PORT_ATTEMPTS = 3

const PACKAGES: Readonly<Record<string, string>> = {
  'linux-x64': '@foundry-rs/anvil-linux-amd64',
  'linux-arm64': '@foundry-rs/anvil-linux-arm64',
  'darwin-x64': '@foundry-rs/anvil-darwin-amd64',
  'darwin-arm64': '@foundry-rs/anvil-darwin-arm64',
}

/**
 * The path of the anvil binary that npm installed for this machine.
 *
 * @throws {AnvilMissingError} when there is none.
 */
export function anvilBinary(
  platform: string = process.platform,
  architecture: string = process.arch,
): string {
  const target = `${platform}-${architecture}`
  const packageName = PACKAGES[target]
  if (packageName === undefined) throw new AnvilMissingError(target, undefined)
  // The platform packages are dependencies of @foundry-rs/anvil: npm may hoist them or nest them under it.
  const require = createRequire(import.meta.url)
  const parent = createRequire(require.resolve('@foundry-rs/anvil/package.json'))
  try {
    const binary = join(dirname(parent.resolve(`${packageName}/package.json`)), 'bin', 'anvil')
    accessSync(binary, constants.X_OK)
    return binary
  } catch {
    throw new AnvilMissingError(target, packageName)
  }
}

/**
 * Starts anvil and returns when it answers.
 *
 * The binary is spawned itself, not its npm wrapper, so that a signal reaches the chain. It inherits no pipe: one
 * that it held would keep the caller's own readers waiting as long as the chain lives.
 *
 * @throws {AnvilMissingError} when npm brought no binary for this machine.
 * @throws {PortTakenError} when the port is in use.
 * @throws {AnvilStartError} when it ends early, with what it said, or does not answer in time.
 * @example
 * const anvil = await startAnvil({ noMining: true })
 * await anvil.stop()
 */
export async function startAnvil(options: AnvilOptions = {}): Promise<Anvil> {
  const binary = anvilBinary()
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(options.port ?? 0)
    try {
      return await startOn(binary, port, options)
    } catch (error) {
      // A port that was free may be taken between asking and binding: then another will do.
      const another = error instanceof PortTakenError && options.port === undefined
      if (!another || attempt === PORT_ATTEMPTS) throw error
    }
  }
}

async function startOn(binary: string, port: number, options: AnvilOptions): Promise<Anvil> {
  const stderr = nameless()
  const child = spawn(binary, commandLine(port, options), {
    stdio: ['ignore', 'ignore', stderr],
    detached: options.detached ?? false,
  })
  const watch = child.pid === undefined ? undefined : endWithThisProcess(child, child.pid)
  try {
    const pid = await untilReady(child, port, options.timeoutMs ?? 15_000, stderr)
    if (options.detached === true) child.unref()
    return {
      pid,
      port,
      url: `http://127.0.0.1:${port}`,
      release() {
        if (options.detached === true) watch?.kill('SIGKILL')
      },
      stop: () => stopChild(child),
    }
  } catch (error) {
    await stopChild(child)
    throw error
  } finally {
    closeSync(stderr)
  }
}

/** A file for what anvil says, which is gone with whoever has it open: nothing is left of it after a crash. */
function nameless(): number {
  const folder = mkdtempSync(join(tmpdir(), 'rialto-anvil-'))
  try {
    return openSync(join(folder, 'stderr'), 'w+')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/**
 * anvil does not die with its parent, and a parent that is killed cannot clean up. So a shell waits for the end of
 * a pipe that only this process holds open, which comes with this process's own end, whatever that is.
 */
function endWithThisProcess(child: ChildProcess, pid: number): ChildProcess {
  const watch = spawn('/bin/sh', ['-c', 'read -r _; kill -9 "$0"', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true, // out of reach of the terminal's Ctrl-C, which is not the end of this process yet
  })
  watch.unref()
  // A pipe to a child is a socket in Node, which would otherwise keep this process awake.
  if (watch.stdin instanceof Socket) watch.stdin.unref()
  child.once('exit', () => watch.kill('SIGKILL'))
  return watch
}

function commandLine(port: number, options: AnvilOptions): string[] {
  const { chainId = 31337, noMining, timestamp, loadState, args = [] } = options
  return [
    ...['--port', String(port), '--chain-id', String(chainId), '--quiet'],
    ...(noMining === true ? ['--no-mining'] : []),
    ...(timestamp === undefined ? [] : ['--timestamp', String(timestamp)]),
    ...(loadState === undefined ? [] : ['--load-state', loadState]),
    ...args,
  ]
}

/** The port itself when nobody listens on it; for 0, a port that the system says is free. */
function freePort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (cause) => reject(new PortTakenError(port, cause)))
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port))
    })
  })
}

async function untilReady(
  child: ChildProcess,
  port: number,
  timeoutMs: number,
  stderr: number,
): Promise<number> {
  let spawnError: Error | undefined
  child.once('error', (error) => {
    spawnError = error
  })
  const rpc = createRpc(`http://127.0.0.1:${port}`, 1_000)
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const answered = await rpc('eth_chainId').then(
      () => true,
      () => false,
    )
    if (spawnError !== undefined) throw new AnvilStartError(spawnError.message, '')
    // In this order: if another process took the port meanwhile, ours has ended and theirs answers.
    if (child.exitCode !== null || child.signalCode !== null) {
      const output = lastWords(stderr)
      if (/address already in use/i.test(output)) throw new PortTakenError(port, output)
      throw new AnvilStartError(`it ended with ${child.exitCode ?? child.signalCode}`, output)
    }
    if (answered && child.pid !== undefined) return child.pid
    if (performance.now() > deadline)
      throw new AnvilStartError(`no answer within ${timeoutMs} ms`, lastWords(stderr))
    await delay(10)
  }
}

/** What anvil wrote to stderr, as one short line. */
function lastWords(stderr: number): string {
  const words = Buffer.alloc(4_096)
  const length = readSync(stderr, words, 0, words.length, 0)
  return words.toString('utf8', 0, length).trim().replaceAll(/\s+/g, ' ').slice(0, 500)
}

async function stopChild(child: ChildProcess, graceMs = 2_000): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const grace = setTimeout(() => child.kill('SIGKILL'), graceMs)
  await gone
  clearTimeout(grace)
}
