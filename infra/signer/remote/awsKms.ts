import type { SignerError } from '../errors.ts'
import { contradicted, misconfigured, refused, unanswered } from './errors.ts'
import type { Kms } from './kmsKey.ts'

/** As much of `@aws-sdk/client-kms` as is used: it is no dependency of ours, and need not be there. */
export type AwsKmsModule = {
  readonly KMSClient: new (configuration: { region?: string; maxAttempts: number }) => AwsKmsClient
  readonly GetPublicKeyCommand: new (input: { KeyId: string }) => unknown
  readonly SignCommand: new (input: {
    KeyId: string
    Message: Uint8Array
    MessageType: 'DIGEST'
    SigningAlgorithm: 'ECDSA_SHA_256'
  }) => unknown
}
type AwsKmsClient = {
  readonly config: { region(): Promise<unknown> }
  // A method, so that the SDK's own, which takes its own commands alone, is one.
  send(command: unknown, options: { abortSignal: AbortSignal }): Promise<unknown>
}

// A name that the compiler does not look up: most installations do not have it.
const MODULE: string = '@aws-sdk/client-kms'
const HOLDER = 'AWS KMS'

export type CreateAwsKmsParameters = {
  /** Default: the one that the SDK finds in its own configuration. */
  readonly region?: string
  /** Milliseconds within which it must answer, what finding credentials takes included. Default 10,000. */
  readonly timeout?: number
  /** Loads the SDK. Default: the one that is installed beside Rialto. */
  readonly load?: () => Promise<unknown>
}

/**
 * AWS KMS, by its own SDK, which finds credentials, region and endpoint as it always does.
 *
 * The SDK asks twice where that may help: a digest that is signed twice is no more than signed. Errors hold names and
 * numbers, nothing of what the SDK or AWS say besides: that can name accounts, users and what was sent.
 *
 * @throws {SignerError} `SIGNER_CONFIGURATION` when the SDK is not installed, or no region is said.
 * @example await openKmsKey(await createAwsKms({ region: 'eu-central-1' }), 'alias/rialto-guardian')
 */
export async function createAwsKms(parameters: CreateAwsKmsParameters = {}): Promise<Kms> {
  const { region, timeout = 10_000, load = () => import(MODULE) } = parameters
  const { KMSClient, GetPublicKeyCommand, SignCommand } = await loadSdk(load)
  const client = new KMSClient({ ...(region === undefined ? {} : { region }), maxAttempts: 2 })
  await requireRegion(client)

  /** @returns the bytes that the answer holds under a name */
  async function ask(command: unknown, field: 'PublicKey' | 'Signature'): Promise<Uint8Array> {
    const signal = AbortSignal.timeout(timeout)
    const answer = await Promise.race([
      client.send(command, { abortSignal: signal }),
      // What finds credentials does not look at the signal, and may wait for a machine that does not answer.
      rejectedBy(signal),
    ]).catch((error: unknown) => {
      throw signal.aborted ? unanswered(HOLDER, `it took more than ${timeout} ms`) : failureOf(error)
    })
    const bytes = (answer as { readonly [name: string]: unknown })[field]
    // The SDK passes on what it does not decode.
    if (!(bytes instanceof Uint8Array) || bytes.length === 0)
      throw contradicted(HOLDER, `there is no ${field === 'Signature' ? 'signature' : 'public key'} in it`)
    return bytes
  }
  return {
    publicKey: (keyId) => ask(new GetPublicKeyCommand({ KeyId: keyId }), 'PublicKey'),
    sign: (keyId, digest) =>
      ask(
        // The algorithm names a hash that is not used: the message is a digest already.
        new SignCommand({
          KeyId: keyId,
          Message: digest,
          MessageType: 'DIGEST',
          SigningAlgorithm: 'ECDSA_SHA_256',
        }),
        'Signature',
      ),
  }
}

async function loadSdk(load: () => Promise<unknown>): Promise<AwsKmsModule> {
  try {
    return (await load()) as AwsKmsModule
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw misconfigured(
      'A key is in AWS KMS, and its SDK is not installed.',
      `Install it beside Rialto: npm install ${MODULE}`,
    )
  }
}

/** Asked for at once: the SDK itself says so with the first request, by an error that has no name. */
async function requireRegion({ config }: AwsKmsClient): Promise<void> {
  try {
    await config.region()
  } catch {
    throw misconfigured(
      'A key is in AWS KMS, and it is not said in which region.',
      'Set region of the key in the configuration, or AWS_REGION.',
    )
  }
}

const rejectedBy = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })

const ALLOW = 'Allow kms:GetPublicKey and kms:Sign on the key to those whose credentials Rialto uses.'
const NAME_IT = 'Correct keyId and region of the key in the configuration.'
const ENABLE = 'Enable the key, or name another one in the configuration.'
const ANOTHER_KIND = 'Make a key of the kind ECC_SECG_P256K1, for signing, and name it in the configuration.'
const CREDENTIALS =
  'Give the SDK credentials that are valid, as it always takes them: AWS_PROFILE, AWS_ACCESS_KEY_ID, or the role of the machine.'

/** What KMS says no to, and goes on saying until somebody has changed something. */
const REFUSALS: ReadonlyMap<string, string> = new Map([
  ['AccessDeniedException', ALLOW],
  ['NotFoundException', NAME_IT],
  ['InvalidArnException', NAME_IT],
  ['ValidationException', NAME_IT],
  ['DisabledException', ENABLE],
  ['KMSInvalidStateException', ENABLE],
  ['InvalidKeyUsageException', ANOTHER_KIND],
  ['UnsupportedOperationException', ANOTHER_KIND],
  ['UnrecognizedClientException', CREDENTIALS],
  ['InvalidSignatureException', CREDENTIALS],
  ['IncompleteSignatureException', CREDENTIALS],
  ['MissingAuthenticationTokenException', CREDENTIALS],
])
/** What can be mended meanwhile without Rialto: tokens are renewed, and whoever gives them comes back. */
const WITHOUT_CREDENTIALS = new Set(['CredentialsProviderError', 'ExpiredTokenException'])

/** As much of an error of the SDK as is looked at. */
type SdkError = {
  readonly name?: unknown
  readonly code?: unknown
  /** Set where KMS itself refused. */
  readonly $fault?: unknown
  readonly $metadata?: { readonly httpStatusCode?: unknown }
}

/** What went wrong, by its name alone: messages may hold more than that. */
function failureOf(error: unknown): SignerError {
  const { name, code, $fault, $metadata } = (error ?? {}) as SdkError
  // A name that KMS gave is as long as whoever answered for it wanted.
  const known = typeof name === 'string' && /^[A-Za-z]{1,64}$/.test(name) ? name : 'it failed'
  const refusal = REFUSALS.get(known)
  if (refusal !== undefined) return refused(HOLDER, known, refusal)
  if (WITHOUT_CREDENTIALS.has(known)) return unanswered(HOLDER, known, CREDENTIALS)
  if ($fault !== undefined && known !== 'Unknown') return unanswered(HOLDER, known)
  // The connection's own word says more than the SDK's, which calls one that broke off a time-out.
  if (typeof code === 'string' && /^[A-Z_]{1,64}$/.test(code)) return unanswered(HOLDER, code)
  const status = $metadata?.httpStatusCode
  if (status === 200) return contradicted(HOLDER, 'it cannot be read')
  return unanswered(HOLDER, typeof status === 'number' ? `it answered with status ${status}` : known)
}
