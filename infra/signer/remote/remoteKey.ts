import { type Address, isAddressEqual, numberToHex } from 'viem'
import { z } from 'zod'
import { isLoopback } from '../../http/isLoopback.ts'
import { SignerError } from '../errors.ts'
import type { KeyHolder, UnsignedTransaction } from '../keyHolder.ts'
import { checkSigned } from './checkSigned.ts'
import { contradicted, misconfigured, unanswered } from './errors.ts'

/**
 * How the two speak: web3signer like a node, Clef by a namespace of its own. Both take `from`, `to`, `data`, `value`,
 * `gas`, `nonce`, `maxFeePerGas` and `maxPriorityFeePerGas`, sign type 2 when both fees are there, and pass over fields
 * that they do not know. web3signer does not look at `chainId` either, but signs for the one that it was started with.
 *
 * Source: `EthSendTransactionJsonParameters` and `EthTransaction` (web3signer), `SendTxArgs` (go-ethereum).
 */
const dialects = {
  web3signer: { sign: 'eth_signTransaction', list: 'eth_accounts' },
  // Clef asks a person before it lists accounts, so it is not asked.
  clef: { sign: 'account_signTransaction', list: null },
} as const

export type RemoteKey = {
  readonly kind: 'remote'
  /** https, or http on this machine. */
  readonly url: string
  readonly address: Address
  /** Default: `web3signer`. */
  readonly dialect?: keyof typeof dialects
}

/** Answers are a few hundred bytes and the transaction's own: longer ones are none. */
const MAX_ANSWER = 1 << 20

const answer = z.union([
  z.object({ error: z.object({ code: z.number().optional() }) }),
  z.object({ result: z.unknown() }),
])
/** web3signer gives the bytes, Clef and nodes an object that holds them. */
const signedBytes = z.union([
  z.string().regex(/^0x[0-9a-f]+$/i),
  z.object({ raw: z.string().regex(/^0x[0-9a-f]+$/i) }).transform(({ raw }) => raw),
])

/**
 * A key that a remote signer has: web3signer or Clef, over JSON-RPC. What comes back is used only if it is exactly
 * what was asked for, signed by the key of the account. Judging, counting and recording stay in front of it.
 *
 * Neither signs EIP-7702 authorisations, so the account has to delegate already (see `requireDelegated`), or to be
 * the member of a role that acts for a Safe.
 *
 * @param timeout milliseconds within which it must answer; while it does not, no other account is served either
 * @throws {SignerError} `SIGNER_CONFIGURATION` for a URL that is none, carries credentials, or would send plans in the
 * clear over a network, and when it does not have the account; `KEY_HOLDER` when it does not answer.
 */
export async function openRemoteKey(key: RemoteKey, timeout = 10_000): Promise<KeyHolder> {
  const url = checkedUrl(key.url)
  const holder = `The remote signer at ${url.host}`
  const { sign, list } = dialects[key.dialect ?? 'web3signer']
  const call = (method: string, params: readonly unknown[]) => request(url, holder, timeout, method, params)

  if (list !== null) {
    const listed = z.array(z.string()).safeParse(await call(list, []))
    if (!listed.success) throw contradicted(holder, 'it is no list of accounts')
    if (!listed.data.some((address) => address.toLowerCase() === key.address.toLowerCase()))
      throw misconfigured(
        `${holder} has no key of ${key.address}.`,
        'Give it the key, or name an account that it has.',
      )
  }
  return {
    address: key.address,
    async signTransaction(transaction) {
      requireType2(transaction, holder)
      const signed = signedBytes.safeParse(await call(sign, [parametersOf(transaction, key.address)]))
      if (!signed.success) throw contradicted(holder, 'it is no transaction')
      return checkSigned(signed.data, transaction, key.address, holder)
    },
  }
}

/**
 * What they pass over would be missing from what they sign, which is then another transaction on the same nonce, with a
 * signature that holds. So they are not asked.
 */
function requireType2({ type, accessList = [] }: UnsignedTransaction, holder: string): void {
  if (type === 'eip1559' && accessList.length === 0) return
  throw new SignerError(
    'SIGNER_REQUEST',
    type === 'eip1559'
      ? `${holder} signs no access lists.`
      : `${holder} signs no transactions that delegate (type 4, EIP-7702).`,
    { fix: DELEGATE_ELSEWHERE },
  )
}

const DELEGATE_ELSEWHERE =
  'Have the account delegate once with a tool that has its key, or let it act through a Safe.'

/**
 * For the start: an account whose key cannot sign a delegation has to delegate already.
 *
 * @param code the account's code now
 * @throws {SignerError} `SIGNER_CONFIGURATION`
 */
export function requireDelegated(account: Address, code: string, batchAccount: Address): void {
  // EIP-7702's delegation designator.
  const delegate = /^0xef0100([0-9a-f]{40})$/i.exec(code)?.[1]
  if (delegate !== undefined && isAddressEqual(`0x${delegate}`, batchAccount)) return
  throw misconfigured(
    `${account} does not delegate to BatchAccount ${batchAccount}, and a remote signer cannot sign a delegation (EIP-7702).`,
    DELEGATE_ELSEWHERE,
  )
}

function checkedUrl(text: string): URL {
  const fix = 'Set it to the https URL of the signer, or to one on this machine.'
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null) throw misconfigured('The URL of a remote signer is none.', fix)
  if (url.username !== '' || url.password !== '')
    throw misconfigured(`The URL of the remote signer at ${url.host} carries a password.`, fix)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url)))
    throw misconfigured(`The remote signer at ${url.host} would be spoken to in the clear.`, fix)
  return url
}

/** A transaction in the words of JSON-RPC. */
function parametersOf(transaction: UnsignedTransaction, from: Address) {
  const { to, data, value, gas, nonce, chainId, maxFeePerGas, maxPriorityFeePerGas } = transaction
  return {
    from,
    to,
    data: data ?? '0x',
    value: numberToHex(value ?? 0n),
    gas: numberToHex(gas ?? 0n),
    nonce: numberToHex(nonce ?? 0),
    chainId: numberToHex(chainId),
    maxFeePerGas: numberToHex(maxFeePerGas ?? 0n),
    maxPriorityFeePerGas: numberToHex(maxPriorityFeePerGas ?? 0n),
  }
}

async function request(
  url: URL,
  holder: string,
  timeout: number,
  method: string,
  params: readonly unknown[],
): Promise<unknown> {
  let text: string
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      // Whom the configuration names signs, and nobody whom he names.
      redirect: 'error',
      signal: AbortSignal.timeout(timeout),
    })
    if (!response.ok) throw unanswered(holder, `it answered with status ${response.status}`)
    text = await readLimited(response, holder)
  } catch (error) {
    throw asUnanswered(error, holder, timeout)
  }
  return resultOf(text, holder)
}

function asUnanswered(error: unknown, holder: string, timeout: number): unknown {
  if (!(error instanceof Error) || error instanceof SignerError) return error
  if (error.name === 'TimeoutError') return unanswered(holder, `it took more than ${timeout} ms`)
  const { code } = (error.cause ?? {}) as { code?: unknown }
  return unanswered(holder, typeof code === 'string' ? code : 'it could not be reached, or led elsewhere')
}

async function readLimited(response: Response, holder: string): Promise<string> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > MAX_ANSWER) throw contradicted(holder, 'it has no end')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function resultOf(text: string, holder: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw contradicted(holder, 'it is no JSON')
  }
  const parsed = answer.safeParse(value)
  if (!parsed.success) throw contradicted(holder, 'it is no answer of JSON-RPC')
  // Its message may say anything, the transaction included.
  if ('error' in parsed.data)
    throw unanswered(holder, `it refused (code ${parsed.data.error.code ?? 'none'})`)
  return parsed.data.result
}
