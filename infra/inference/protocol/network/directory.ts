import { createHash } from 'node:crypto'
import { z } from 'zod'
import { MalformedMessageError } from '../errors.ts'
import { decodeKeyConfigs } from '../ohttp/keyConfig.ts'
import type { Identity, IdentityKey } from './identity.ts'
import { modelNameSchema, nameSchema, readNodeDescription, type VerifiedNode } from './nodeDescription.ts'
import { openDocument, signDocument } from './signedDocument.ts'

const seconds = z.int().min(0)

/** A key that signs tokens, in the encoding of RFC 9578, section 6.5, as base64. */
const tokenKeySchema = z.strictObject({
  key: z.base64(),
  /** Seconds since 1970: new tokens are signed with it, and tokens of it are accepted, within these. */
  notBefore: seconds,
  notAfter: seconds,
})

/**
 * All the keys of a gateway, of its mints and of its nodes, with models and prices: the same for every client of one
 * epoch. Whoever hands a client keys of its own can tell that client's requests or tokens from those of others, so
 * clients compare it with a second source before they use it.
 */
export const directorySchema = z.strictObject({
  version: z.literal(1),
  gateway: nameSchema,
  /** Counts up with each change. Of one epoch there is one directory. */
  epoch: z.int().min(1),
  /** Seconds since 1970. */
  notBefore: seconds,
  notAfter: seconds,
  /** The gateway's own `application/ohttp-keys` in base64. */
  keys: z.base64(),
  /** Whose tokens are taken. */
  mints: z
    .array(z.strictObject({ name: nameSchema, url: z.url(), keys: z.array(tokenKeySchema).min(1).max(16) }))
    .min(1)
    .max(16),
  /** What the gateway signs change with; tokens of it are taken too. The last one signs. */
  changeKeys: z.array(tokenKeySchema).min(1).max(16),
  /** How many tokens a request can pay. */
  ceilings: z.array(z.int().min(1).max(16)).min(1),
  /** Signed descriptions (`nodeDescription.ts`). */
  nodes: z.array(z.string()).max(256),
})

export type Directory = z.infer<typeof directorySchema>
export type TokenKey = z.infer<typeof tokenKeySchema>

/** A directory whose signatures were checked. It is not yet confirmed by a second source. */
export type VerifiedDirectory = {
  readonly directory: Directory
  readonly nodes: readonly VerifiedNode[]
  /** The signed document, as it came. */
  readonly document: string
  /** SHA-256 of the document in hex: two sources agree when these are equal. */
  readonly digest: string
}

/** Signs a directory. */
export const signDirectory = (key: IdentityKey, directory: Directory): Promise<string> =>
  signDocument(key, 'rialto-directory+jwt', directorySchema.parse(directory))

/**
 * Reads a directory: checks the gateway's signature and that of each node.
 *
 * @param gateway whose directory it has to be
 * @throws MalformedMessageError, IdentityError
 */
export async function readDirectory(
  document: string,
  gateway: { readonly name: string; readonly identity: Identity },
): Promise<VerifiedDirectory> {
  const parsed = directorySchema.safeParse(
    await openDocument(document, 'rialto-directory+jwt', gateway.identity),
  )
  if (!parsed.success || parsed.data.gateway !== gateway.name)
    throw new MalformedMessageError('is no directory of that gateway')
  decodeKeyConfigs(Buffer.from(parsed.data.keys, 'base64'))
  const nodes = await Promise.all(parsed.data.nodes.map(readNodeDescription))
  if (new Set(nodes.map(({ description }) => description.name)).size !== nodes.length)
    throw new MalformedMessageError('is a directory with two nodes of one name')
  return { directory: parsed.data, nodes, document, digest: digestOf(document) }
}

/** What two sources of a directory are compared by: SHA-256 of the signed document in hex. */
export const digestOf = (document: string): string => createHash('sha256').update(document).digest('hex')

/** Whether something with these bounds is valid at a time in seconds since 1970. */
export const isValidAt = (
  { notBefore, notAfter }: { readonly notBefore: number; readonly notAfter: number },
  seconds: number,
): boolean => notBefore <= seconds && seconds < notAfter

/** What a gateway measured of its nodes, in coarse steps. Fetched sealed, so that no relay can read or change it. */
export const measurementsSchema = z.strictObject({
  nodes: z.array(
    z.strictObject({
      node: nameSchema,
      model: modelNameSchema,
      /** Milliseconds to the first byte, rounded up to a step of 1, 2, 5, 10, 20, 50 ...; null before enough requests. */
      firstByteMs: z.int().nullable(),
      /** Of the latest requests, those that failed, in per cent rounded up to 0, 1, 2, 5, 10, 20, 50, 100. */
      errorPercent: z.int().min(0).max(100),
    }),
  ),
})
export type Measurements = z.infer<typeof measurementsSchema>
