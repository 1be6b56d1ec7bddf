import { timingSafeEqual } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { isAddressEqual } from 'viem'
import type { Hash } from '../../runtime/core/ids.ts'
import { senderOf } from '../../runtime/core/lifecycle.ts'
import type { SignRequest } from '../../runtime/core/ports.ts'
import { SignerError } from './errors.ts'
import {
  type Answer,
  decodeLine,
  encodeMessage,
  idOf,
  lineSplitter,
  type Message,
  pageOf,
  parseAccount,
  parseAttempt,
  parseHello,
  parseMessage,
  parseNonce,
  parseSignRequest,
  type Role,
  type Started,
  type StartParameters,
  toWireError,
  type Welcome,
} from './messages.ts'
import type { RunningSigner } from './startSigner.ts'

/** Milliseconds within which a client of the socket has to say who it is. */
const HELLO_MS = 5_000

/** A signer with what its clients have to know of it. */
export type Served = RunningSigner & {
  readonly parameters: Hash
  readonly secret: string
}

export type ServiceParameters = {
  /** Starts it, for the one that made this process. */
  readonly start: (parameters: StartParameters) => Promise<Served>
  /** Ends the process: nobody is left, or the owner asks for it. Called once. */
  readonly end: (code: number) => void
}

/** The clients of one signer. */
export type Service = {
  /** Whoever made this process, over the pipe: it starts the signer, and is its first owner. */
  attachParent(pipe: Duplex): void
  /** Somebody at the socket, who has to say who it is. */
  attachClient(socket: Duplex): void
}

type Client = { readonly stream: Duplex; role: Role | null }

/**
 * Who may ask what.
 *
 * | | the parent's pipe | an owner at the socket | the protector |
 * |---|---|---|---|
 * | `start` | once | | |
 * | `accounts`, `lookup`, `signedFrom`, `goodFor`, `time` | yes | yes | yes |
 * | `sign` | not by a Safe's protector's key | likewise | with the fence `protector` |
 * | `abandon`, `end` | yes | yes | |
 *
 * There is one owner at a time. The process lives as long as anybody is there, so a protector keeps it alive when its
 * parent is killed, and a parent that is started again takes it over.
 */
export function createService({ start, end }: ServiceParameters): Service {
  const clients = new Set<Client>()
  let served: Served | null = null
  let hasEnded = false
  /** The last client is going: nobody new may count on this signer. */
  let isLeft = false

  function finish(code: number): void {
    if (hasEnded) return
    hasEnded = true
    end(code)
  }

  function detach(client: Client): void {
    clients.delete(client)
    if (![...clients].some(({ role }) => role !== null)) finish(0)
  }

  function running(): Served {
    if (served !== null) return served
    throw new SignerError('SIGNER_REQUEST', 'The signer was not started yet.')
  }

  async function startOnce(client: Client, params: unknown): Promise<Started> {
    if (served !== null || client.role !== 'owner') throw refused('The signer was started already.')
    // From the process that made this one, before it has read anything from anywhere; checked by startSigner.
    served = await start(params as StartParameters)
    return served.started
  }

  function welcome(client: Client, params: unknown): Welcome {
    const { secret, parameters, started } = running()
    const hello = parseHello(params)
    if (isLeft) throw refused('The signer is about to end.')
    if (client.role !== null || !isSecret(hello.secret, secret))
      throw refused('That is not the secret of this signer.')
    if (hello.role === 'owner' && [...clients].some(({ role }) => role === 'owner'))
      throw new SignerError('SIGNER_LOCKED', `The signer (process ${process.pid}) has an owner already.`, {
        fix: 'Stop the other process, or give this one a folder of its own.',
        details: { pid: process.pid },
      })
    client.role = hello.role
    // Whatever was made when it started, nothing was made now.
    const accounts = started.accounts.map((account) => ({ ...account, created: false }))
    return {
      pid: process.pid,
      isSame: hello.parameters === parameters,
      started: { ...started, accounts, ledger: { ...started.ledger, tornBytes: 0 } },
    }
  }

  const isProtectors = ({ plan }: SignRequest): boolean =>
    running().started.accounts.some(
      ({ address, protects }) => protects !== undefined && isAddressEqual(address, senderOf(plan)),
    )

  async function handle(client: Client, { method, params }: Message): Promise<unknown> {
    if (method === 'start') return startOnce(client, params)
    if (method === 'hello') return welcome(client, params)
    if (client.role === null) throw refused('Say who you are first.')
    const { signer } = running()
    switch (method) {
      case 'accounts':
        return signer.accounts()
      case 'lookup': {
        const { account, attempt } = parseAttempt(params)
        return signer.lookup(account, attempt)
      }
      case 'signedFrom': {
        const { account, nonce, skip } = parseNonce(params)
        return pageOf(await signer.signedFrom(account, nonce), skip)
      }
      case 'goodFor':
        return signer.goodFor(parseAccount(params).account)
      case 'time':
        return signer.time()
      case 'sign': {
        const request = parseSignRequest(params)
        if (client.role === 'protector' && request.fence !== 'protector')
          throw refused('A protector has no fencing token.')
        // Whoever runs the agents could use up what is reserved for the day on which it fails.
        if (client.role === 'owner' && isProtectors(request))
          throw refused('By the key of a protector only a protector has anything signed.')
        return signer.sign(request)
      }
      case 'leave':
        isLeft = ![...clients].some((other) => other !== client && other.role !== null)
        return { stays: !isLeft }
    }
    if (client.role !== 'owner') throw refused('Only an owner may ask for that.')
    if (method === 'end') return null
    const { account, attempt } = parseAttempt(params)
    return signer.abandon(account, attempt)
  }

  async function answer(client: Client, line: string): Promise<void> {
    const send = (message: Answer) => client.stream.write(encodeMessage(message))
    let id = 0
    let method: Message['method'] | null = null
    try {
      const value = decodeLine(line)
      // So that whoever asks wrongly learns of it too.
      id = idOf(value)
      const message = parseMessage(value)
      method = message.method
      send({ id, result: await handle(client, message) })
      if (method === 'end') finish(0)
    } catch (error) {
      send({ id, error: toWireError(error) })
      if (method === 'start' && served === null) finish(1)
      // Who does not say who it is has nothing to say.
      if (client.role === null) client.stream.end()
    }
  }

  function attach(client: Client): void {
    const { stream } = client
    clients.add(client)
    const onData = lineSplitter((line) => void answer(client, line))
    stream.on('data', (chunk: Buffer) => {
      try {
        onData(chunk)
      } catch {
        // A line without an end: nothing that follows could be told apart from it.
        stream.destroy()
      }
    })
    stream.on('error', () => stream.destroy())
    stream.once('close', () => detach(client))
  }

  return {
    attachParent: (pipe) => attach({ stream: pipe, role: 'owner' }),
    attachClient(socket) {
      const client: Client = { stream: socket, role: null }
      attach(client)
      setTimeout(() => {
        if (client.role === null) socket.destroy()
      }, HELLO_MS).unref()
    },
  }
}

const refused = (why: string): SignerError =>
  new SignerError('SIGNER_REQUEST', why, {
    fix: 'Ask for what your role may ask, with the secret of the signer that runs.',
  })

/** In constant time, so that nobody finds it byte by byte. */
function isSecret(given: string, secret: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(secret)]
  return a.length === b.length && timingSafeEqual(a, b)
}
