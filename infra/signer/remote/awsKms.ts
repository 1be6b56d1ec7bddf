import { contradicted, misconfigured, unanswered } from './errors.ts'
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
  send(
    command: unknown,
    options: { abortSignal: AbortSignal },
  ): Promise<{ readonly PublicKey?: Uint8Array; readonly Signature?: Uint8Array }>
}

// A name that the compiler does not look up: most installations do not have it.
const MODULE: string = '@aws-sdk/client-kms'

export type CreateAwsKmsParameters = {
  /** Default: the one that the SDK finds in its own configuration. */
  readonly region?: string
  /** Milliseconds within which it must answer. Default 10,000. */
  readonly timeout?: number
  /** Loads the SDK. Default: the one that is installed beside Rialto. */
  readonly load?: () => Promise<unknown>
}

/**
 * AWS KMS, by its own SDK, which finds credentials and region as it always does.
 *
 * @throws {SignerError} `SIGNER_CONFIGURATION` when the SDK is not installed.
 * @example await openKmsKey(await createAwsKms({ region: 'eu-central-1' }), 'alias/rialto-guardian')
 */
export async function createAwsKms(parameters: CreateAwsKmsParameters = {}): Promise<Kms> {
  const { region, timeout = 10_000, load = () => import(MODULE) } = parameters
  const { KMSClient, GetPublicKeyCommand, SignCommand } = await loadSdk(load)
  const client = new KMSClient({ ...(region === undefined ? {} : { region }), maxAttempts: 2 })

  async function send(command: unknown) {
    try {
      return await client.send(command, { abortSignal: AbortSignal.timeout(timeout) })
    } catch (error) {
      // The name tells what it is (AccessDeniedException, TimeoutError); the message may hold more than that.
      throw unanswered('AWS KMS', error instanceof Error ? error.name : 'it failed')
    }
  }
  return {
    async publicKey(keyId) {
      const { PublicKey } = await send(new GetPublicKeyCommand({ KeyId: keyId }))
      if (PublicKey === undefined) throw contradicted('AWS KMS', 'there is no public key in it')
      return PublicKey
    },
    async sign(keyId, digest) {
      const { Signature } = await send(
        // The algorithm names a hash that is not used: the message is a digest already.
        new SignCommand({
          KeyId: keyId,
          Message: digest,
          MessageType: 'DIGEST',
          SigningAlgorithm: 'ECDSA_SHA_256',
        }),
      )
      if (Signature === undefined) throw contradicted('AWS KMS', 'there is no signature in it')
      return Signature
    },
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
