import { Socket } from 'node:net'
import { SignerError } from './errors.ts'
import {
  type Answer,
  decodeLine,
  encodeMessage,
  idOf,
  lineSplitter,
  type Message,
  parseAttempt,
  parseMessage,
  parseNonce,
  parseSignRequest,
  type StartParameters,
  toWireError,
} from './messages.ts'
import { type RunningSigner, startSigner } from './startSigner.ts'

// The signer's process. It speaks over one inherited pipe, file descriptor 3, and says nothing anywhere else; it
// lives as long as that pipe does, so it ends with whoever started it, however that one ends.

const pipe = new Socket({ fd: 3 })
let running: RunningSigner | null = null

const send = (answer: Answer) => pipe.write(encodeMessage(answer))

function end(code: number): void {
  running?.close()
  running = null
  // What is still to be written goes out before the process does.
  pipe.end(() => process.exit(code))
  pipe.once('close', () => process.exit(code))
}

async function handle(message: Message): Promise<unknown> {
  if (message.method === 'start') {
    if (running !== null) throw new SignerError('SIGNER_REQUEST', 'The signer was started already.')
    // From the process that made this one, before it has read anything from anywhere; checked by startSigner.
    running = await startSigner(message.params as StartParameters)
    return running.started
  }
  if (running === null) throw new SignerError('SIGNER_REQUEST', 'The signer was not started yet.')
  if (message.method === 'sign') return running.signer.sign(parseSignRequest(message.params))
  if (message.method === 'signedFrom') {
    const { account, nonce } = parseNonce(message.params)
    return running.signer.signedFrom(account, nonce)
  }
  const { account, attempt } = parseAttempt(message.params)
  return message.method === 'abandon'
    ? running.signer.abandon(account, attempt)
    : running.signer.lookup(account, attempt)
}

async function answer(line: string): Promise<void> {
  let id = 0
  let isStart = false
  try {
    const value = decodeLine(line)
    // So that whoever asks wrongly learns of it too.
    id = idOf(value)
    const message = parseMessage(value)
    isStart = message.method === 'start'
    send({ id, result: await handle(message) })
  } catch (error) {
    send({ id, error: toWireError(error) })
    if (isStart && running === null) end(1)
  }
}

function fail(error: unknown): void {
  send({ id: 0, error: toWireError(error) })
  end(1)
}

process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
// A terminal's Ctrl-C reaches the whole group: the parent decides when the signer ends, and closes the pipe then.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
// Node would open its inspector, and with it this process's memory.
process.on('SIGUSR1', () => {})
process.on('SIGTERM', () => end(0))

pipe.on(
  'data',
  lineSplitter((line) => void answer(line)),
)
// Nobody reads any more.
pipe.on('end', () => {
  running?.close()
  process.exit(0)
})
pipe.on('error', () => process.exit(1))
