import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { entryPoint } from '../../infra/process/entryPoint.ts'
import { decodeLine, encodeMessage, type Message } from '../../infra/signer/messages.ts'

/** What the signer's process says to one message. */
export type RawAnswer = {
  readonly result?: unknown
  readonly error?: {
    readonly code: string
    readonly message: string
    readonly details: Record<string, unknown>
  }
}

/** The signer's process itself, spoken to as a parent that was taken over would. */
export type RawSigner = {
  readonly child: ChildProcess
  /** All that it wrote to stdout and stderr. */
  output(): string
  send(text: string): void
  ask(method: Message['method'], params: unknown): Promise<RawAnswer>
  close(): Promise<void>
}

/**
 * Starts the process, and nothing in it: the first message is `start`.
 *
 * @param clockAhead seconds by which the clock of its machine is wrong
 */
export function openRawSigner({ clockAhead = 0 }: { readonly clockAhead?: number } = {}): RawSigner {
  const { path, execArgv } = entryPoint(
    new URL('../../infra/signer/createSignerProcess.ts', import.meta.url).href,
    './main',
  )
  const wrong = `const now = Date.now; Date.now = () => now() + ${clockAhead * 1_000}`
  const clock = clockAhead === 0 ? [] : ['--import', `data:text/javascript,${encodeURIComponent(wrong)}`]
  const child = spawn(process.execPath, [...execArgv, ...clock, path], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: {},
  })
  const pipe = child.stdio[3] as Duplex
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  const answers = new Map<number, (answer: RawAnswer) => void>()
  let rest = ''
  pipe.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const answer = decodeLine(line) as RawAnswer & { id: number }
      answers.get(answer.id)?.(answer)
    }
  })
  pipe.on('error', () => {})
  let id = 100
  return {
    child,
    output: () => output,
    send: (text) => void pipe.write(text),
    ask: (method, params) =>
      new Promise((resolve) => {
        id += 1
        answers.set(id, resolve)
        pipe.write(encodeMessage({ id, method, params }))
      }),
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      pipe.end()
      await exit
    },
  }
}
