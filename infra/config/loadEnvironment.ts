import { EnvironmentError } from './errors.ts'

/** What the environment says. It overrides the configuration file. */
export type Environment = {
  readonly inferenceUrl?: string
  readonly inferenceModel?: string
  /** Secret: sent to the inference server as its bearer token, and shown nowhere. */
  readonly inferenceKey?: string
  /** A file that describes the private network to use. */
  readonly network?: string
  /** Secret: what the wallet of inference tokens is encrypted with. */
  readonly walletPassphrase?: string
  /** One or several, with commas between them. */
  readonly rpcUrl?: string
  readonly databaseUrl?: string
  readonly redisUrl?: string
  readonly directory?: string
}

/** What is wrong with a value, or null. Must not repeat the value. */
type Check = (value: string) => string | null

// What a value begins with is not repeated either: of something that is no URL it may be the secret itself.
const urlOf =
  (protocols: readonly string[], example: string): Check =>
  (value) =>
    URL.canParse(value) && protocols.includes(new URL(value).protocol) && new URL(value).host !== ''
      ? null
      : `is no ${protocols.map((protocol) => `${protocol}//`).join(' or ')} URL: write it like ${example}`

const printable: Check = (value) =>
  /^[\x21-\x7e]+$/.test(value)
    ? null
    : 'holds a space or a character that is not ASCII: check how it was copied'

const path: Check = (value) => (value.includes('\0') ? 'holds a null character: name a file or folder' : null)

/** The URLs that each setting takes, here and in the configuration file. */
export const urlChecks = {
  inference: urlOf(['http:', 'https:'], 'http://localhost:11434/v1'),
  http: urlOf(['http:', 'https:'], 'https://rpc.example.org'),
  rpc: urlOf(['http:', 'https:', 'ws:', 'wss:'], 'https://rpc.example.org'),
  database: urlOf(['postgres:', 'postgresql:'], 'postgres://user:password@host:5432/rialto'),
  redis: urlOf(['redis:', 'rediss:'], 'redis://localhost:6379'),
} as const

/** Every part of a list with commas between them. */
const each =
  (check: Check): Check =>
  (value) => {
    const parts = splitList(value)
    const complaint = parts.map(check).find((wrong) => wrong !== null) ?? null
    return complaint === null || parts.length === 1
      ? complaint
      : `holds several, and one of them ${complaint}`
  }

/** @example splitList('http://a, http://b') // ['http://a', 'http://b'] */
export const splitList = (value: string): readonly string[] => value.split(',').map((part) => part.trim())

const VARIABLES: Readonly<Record<keyof Environment, readonly [name: string, check: Check]>> = {
  inferenceUrl: ['RIALTO_INFERENCE_URL', urlChecks.inference],
  inferenceModel: ['RIALTO_INFERENCE_MODEL', printable],
  inferenceKey: ['RIALTO_INFERENCE_KEY', printable],
  network: ['RIALTO_NETWORK', path],
  walletPassphrase: [
    'RIALTO_WALLET_PASSPHRASE',
    (value) =>
      /\p{Cc}/u.test(value) ? 'holds a line break or a control character: check how it was copied' : null,
  ],
  rpcUrl: ['RIALTO_RPC_URL', each(urlChecks.rpc)],
  databaseUrl: ['DATABASE_URL', urlChecks.database],
  redisUrl: ['REDIS_URL', urlChecks.redis],
  directory: ['RIALTO_DIR', path],
}

/**
 * Reads and checks the variables that Rialto knows.
 *
 * One that is set but empty is wrong, not absent: it is what a secret that failed to arrive looks like, and to go
 * on without it would quietly use something else.
 *
 * @param variables usually `process.env`
 * @throws {EnvironmentError} naming each variable that is wrong, what is wrong and what to do; never its value.
 * @example loadEnvironment({ REDIS_URL: 'redis://localhost:6379' }).redisUrl // 'redis://localhost:6379'
 */
export function loadEnvironment(variables: Readonly<Record<string, string | undefined>>): Environment {
  const wrong: Record<string, string> = {}
  const environment: { -readonly [Key in keyof Environment]: Environment[Key] } = {}
  for (const [key, [name, check]] of Object.entries(VARIABLES) as [
    keyof Environment,
    readonly [string, Check],
  ][]) {
    const value = variables[name]
    if (value === undefined) continue
    const complaint = value.trim() === '' ? 'is set but empty: give it a value, or unset it' : check(value)
    if (complaint === null) environment[key] = value
    else wrong[name] = complaint
  }
  if (Object.keys(wrong).length > 0) throw new EnvironmentError(wrong)
  return environment
}
