import type { Logger } from '../../../runtime/core/ports.ts'
import { nameSchema } from '../protocol/network/nodeDescription.ts'
import type { Faucet } from './createIssuer.ts'
import { MintOptionsError } from './errors.ts'
import { type MintLimits, mintLimits } from './limits.ts'
import type { WitnessedGateway } from './witness.ts'

export type MintOptions = {
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** 0, the default, takes a free one. */
  readonly port?: number
  /** The folder for keys, accounts and directories; made if there is none. */
  readonly state: string
  /** The issuer's name, which tokens are bound to. */
  readonly name: string
  /** Tokens for an account that was never seen before; without it, such an account is unknown. */
  readonly faucet?: number
  /** New accounts in any hour that the faucet serves; 1,000 by default. */
  readonly faucetAccountsPerHour?: number
  /**
   * What accounts are given in all, by the SHA-256 of the account key in hex. A larger number than before adds the
   * difference; a smaller one takes nothing back.
   */
  readonly accounts?: Readonly<Record<string, number>>
  /** Gateways whose directories are witnessed, by their names. */
  readonly witness?: Readonly<Record<string, WitnessedGateway>>
  /** Milliseconds for which a token key signs, at least a minute; 30 days by default. Tokens are accepted for one more. */
  readonly keyLifetime?: number
  /** Milliseconds since 1970. */
  readonly now?: () => number
  /** Limits that are not the usual ones. */
  readonly limits?: Partial<MintLimits>
  /** Told of start, stop and what the operator has to know; of no request. */
  readonly logger?: Logger
  /** Adds the process's figures to the metrics: for a mint that is alone in it. */
  readonly withProcessMetrics?: boolean
  /** Milliseconds to wait for a process that uses the folder and is about to end; 3,000 by default. */
  readonly patience?: number
}

/** Options that were checked, with what holds where nothing is said. */
export type MintSettings = {
  readonly name: string
  readonly state: string
  readonly faucet: Faucet | undefined
  readonly accounts: ReadonlyMap<string, number>
  readonly witness: ReadonlyMap<string, WitnessedGateway>
  /** Seconds. */
  readonly keyLifetime: number
  readonly now: () => number
  readonly limits: MintLimits
}

const DAY = 86_400_000
const SHORTEST_LIFETIME = 60_000

/** Checks a mint's options. @throws {MintOptionsError} */
export function readMintOptions(options: MintOptions): MintSettings {
  const { name, state, faucet, faucetAccountsPerHour = 1_000, keyLifetime = 30 * DAY } = options
  if (!nameSchema.safeParse(name).success)
    throw new MintOptionsError(
      'The name of the mint cannot be used.',
      'Take letters, digits, dots, dashes and underscores, at most 63.',
      { name },
    )
  if (faucet !== undefined) requireCount('The faucet gives', faucet)
  requireCount('The faucet serves an hour', faucetAccountsPerHour)
  const accounts = new Map(Object.entries(options.accounts ?? {}))
  for (const [account, tokens] of accounts) {
    if (!/^[0-9a-f]{64}$/.test(account))
      throw new MintOptionsError(
        'An account is not named by a SHA-256 in hex.',
        'Name it by the SHA-256 of its key, 64 hexadecimal digits in lower case; never by the key itself.',
      )
    requireCount('An account is given', tokens)
  }
  const witness = new Map(Object.entries(options.witness ?? {}))
  for (const [gateway, { url }] of witness)
    if (!nameSchema.safeParse(gateway).success || !URL.canParse(url) || !/^https?:/.test(url))
      throw new MintOptionsError(
        'A gateway to be witnessed has no name or URL that can be used.',
        'Give its name as in its directory and its http or https URL.',
        { gateway },
      )
  if (!Number.isFinite(keyLifetime) || keyLifetime < SHORTEST_LIFETIME)
    throw new MintOptionsError(
      'The lifetime of a key is too short.',
      'Give at least a minute, in milliseconds.',
      {
        keyLifetime,
      },
    )
  return {
    name,
    state,
    faucet: faucet === undefined ? undefined : { tokens: faucet, accountsPerHour: faucetAccountsPerHour },
    accounts,
    witness,
    keyLifetime: Math.floor(keyLifetime / 1_000),
    now: options.now ?? Date.now,
    limits: { ...mintLimits, ...options.limits },
  }
}

function requireCount(what: string, count: number): void {
  if (!Number.isSafeInteger(count) || count < 0)
    throw new MintOptionsError(`${what} no whole number.`, 'Give a whole number, not negative.', { count })
}
