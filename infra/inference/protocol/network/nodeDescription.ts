import { z } from 'zod'
import { MalformedMessageError } from '../errors.ts'
import type { HpkeSuite } from '../hpke/suite.ts'
import { decodeKeyConfigs, selectKeyConfig } from '../ohttp/keyConfig.ts'
import { createOhttpKey, type OhttpKey } from '../ohttp/keys.ts'
import { type Identity, type IdentityKey, readIdentity } from './identity.ts'
import { privacyWords } from './privacy.ts'
import { openDocument, peekDocument, signDocument } from './signedDocument.ts'

/** Names end up in URLs, headers, metrics and on terminals. */
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/)
/** Names of models have slashes and colons too. */
const modelName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$/)
const seconds = z.int().min(0)
const tokens = z.int().min(0).max(1_000_000_000)

/** One model of a node. */
const nodeModelSchema = z.strictObject({
  id: modelName,
  /** `local` is no promise that a node across a network can make. */
  privacy: z.enum(privacyWords).exclude(['local']),
  /** Its context window, in its own tokens. */
  context: z.int().min(1),
  /** In payment tokens for a million of the model's own. */
  price: z.strictObject({ prompt: tokens, completion: tokens }),
  serves: z.array(z.enum(['chat', 'embeddings'])).min(1),
})

/** What a node says of itself, signed by its identity. */
export const nodeDescriptionSchema = z.strictObject({
  version: z.literal(1),
  name,
  /** Who runs it: nodes of one operator count together in a client's share. */
  operator: name,
  identity: z.string(),
  /** `application/ohttp-keys` in base64. */
  keys: z.base64(),
  /** Seconds since 1970. */
  notBefore: seconds,
  notAfter: seconds,
  models: z.array(nodeModelSchema).min(1).max(64),
  /** For `attested`: a TDX quote over identity and keys, with what is needed to check it. */
  attestation: z.json().optional(),
})

export type NodeModel = z.infer<typeof nodeModelSchema>
export type NodeDescription = z.infer<typeof nodeDescriptionSchema>

/** A description whose signature was checked. */
export type VerifiedNode = {
  readonly description: NodeDescription
  readonly identity: Identity
  /** `application/ohttp-keys`. */
  readonly keys: Uint8Array
  /** The signed document, as it came. */
  readonly document: string
}

export { modelName as modelNameSchema, name as nameSchema }

/** Signs what a node says of itself. */
export const signNodeDescription = (key: IdentityKey, description: Omit<NodeDescription, 'identity'>) =>
  signDocument(
    key,
    'rialto-node+jwt',
    nodeDescriptionSchema.parse({ ...description, identity: key.identity.text }),
  )

/**
 * Reads a node's description and checks that the identity that it names signed it.
 *
 * Whether that identity is to be trusted is another question: the gateway's directory answers it, and a client that
 * knows its operators can pin them.
 *
 * @throws MalformedMessageError, IdentityError
 */
export async function readNodeDescription(document: string): Promise<VerifiedNode> {
  const claimed = z.looseObject({ identity: z.string() }).safeParse(peekDocument(document))
  if (!claimed.success) throw new MalformedMessageError('is no description of a node')
  const identity = readIdentity(claimed.data.identity)
  const parsed = nodeDescriptionSchema.safeParse(await openDocument(document, 'rialto-node+jwt', identity))
  if (!parsed.success) throw new MalformedMessageError('is no description of a node')
  const keys = new Uint8Array(Buffer.from(parsed.data.keys, 'base64'))
  decodeKeyConfigs(keys)
  return { description: parsed.data, identity, keys, document }
}

/** The key that requests for a node are sealed with. @throws UnsupportedKeyConfigError, MalformedMessageError */
export const sealingKey = (suite: HpkeSuite, keys: Uint8Array): Promise<OhttpKey> =>
  createOhttpKey(suite, selectKeyConfig(decodeKeyConfigs(keys)))
