import type { Duplex } from 'node:stream'
import type { Address } from 'viem'
import type { LedgerAttempt, SignedTransaction, Signer } from '../../runtime/core/ports.ts'
import { SignerError } from './errors.ts'
import {
  type Answer,
  decodeLine,
  encodeMessage,
  fromWireError,
  lineSplitter,
  MAX_ANSWER_LINE,
  type Message,
  type Page,
} from './messages.ts'

/** Asks the signer at the other end, and gives its answer or its error. */
export type Call = (method: Message['method'], params: unknown) => Promise<unknown>

/** One end of a conversation with a signer. */
export type Conversation = {
  readonly call: Call
  /** It is over: all that was asked is rejected with `SIGNER_GONE`, and whatever is asked from now on. */
  finish(why: string): void
}

/**
 * Speaks with a signer over a stream of ours.
 *
 * @param timeout milliseconds within which every answer must come
 * @param abort breaks off with a signer that does not answer in time, or in another language
 */
export function converse(stream: Duplex, timeout: number, abort: (why: string) => void): Conversation {
  const waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: SignerError) => void }
  >()
  let nextId = 1
  let ended: string | null = null

  const onData = lineSplitter((line) => {
    const answer = decodeLine(line) as Answer
    const asker = waiting.get(answer.id)
    waiting.delete(answer.id)
    if ('error' in answer) asker?.reject(fromWireError(answer.error))
    else asker?.resolve(answer.result)
  }, MAX_ANSWER_LINE)
  stream.on('data', (chunk: Buffer) => {
    try {
      onData(chunk)
    } catch {
      // What does not speak our language is no signer of ours.
      abort('it spoke another language')
    }
  })

  return {
    call(method, params) {
      if (ended !== null) return Promise.reject(gone(ended))
      const id = nextId++
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => abort('it took too long'), timeout)
        const settle =
          <T>(settled: (value: T) => void) =>
          (value: T) => {
            clearTimeout(timer)
            settled(value)
          }
        waiting.set(id, { resolve: settle(resolve), reject: settle(reject) })
        stream.write(encodeMessage({ id, method, params }))
      })
    },
    finish(why) {
      if (ended !== null) return
      ended = why
      for (const { reject } of waiting.values()) reject(gone(why))
      waiting.clear()
    },
  }
}

/** The port, spoken through a connection that is made when it is needed. */
export function signerOver(connect: () => Promise<{ readonly call: Call }>): Signer {
  const ask: Call = async (method, params) => (await connect()).call(method, params)
  return {
    accounts: async () => (await ask('accounts', {})) as readonly Address[],
    sign: async (request) => (await ask('sign', request)) as SignedTransaction,
    lookup: async (account, attempt) =>
      (await ask('lookup', { account, attempt })) as SignedTransaction | null,
    abandon: async (account, attempt) =>
      (await ask('abandon', { account, attempt })) as SignedTransaction | null,
    goodFor: async (account) => (await ask('goodFor', { account })) as bigint,
    time: async () => (await ask('time', {})) as bigint,
    async signedFrom(account, nonce) {
      const signed: LedgerAttempt[] = []
      for (;;) {
        const page = (await ask('signedFrom', { account, nonce, skip: signed.length })) as Page<LedgerAttempt>
        signed.push(...page.entries)
        if (page.isLast) return signed
      }
    },
  }
}

/** The signer does not answer, and may have done what was asked: asking again tells. */
export const gone = (why: string): SignerError =>
  new SignerError('SIGNER_GONE', `The signer process did not answer: ${why}.`, {
    fix: 'Ask again: the same request gives the same bytes.',
    retryable: true,
    details: { why },
  })
