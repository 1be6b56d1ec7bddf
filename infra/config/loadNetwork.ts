import { z } from 'zod'
import { expected, section } from '../../runtime/guards/policyFields.ts'
import { readIdentity } from '../inference/protocol/network/identity.ts'
import { nameSchema } from '../inference/protocol/network/nodeDescription.ts'
import { ConfigError, type ConfigIssue } from './errors.ts'
import { urlChecks } from './loadEnvironment.ts'
import { readJsonFile } from './readJsonFile.ts'
import { shownPath } from './shownPath.ts'

const url = z
  .string({ error: expected('a URL, like "https://relay.example.org"') })
  .superRefine((value, context) => {
    const complaint = urlChecks.inference(value)
    if (complaint !== null) context.addIssue({ code: 'custom', message: complaint })
  })

const name = nameSchema.refine(() => true, { error: expected('a name of letters, digits, dots and dashes') })

const identity = z
  .string({ error: expected('the identity of the gateway') })
  .superRefine((value, context) => {
    try {
      readIdentity(value)
    } catch {
      context.addIssue({ code: 'custom', message: 'is no identity: it has 43 characters of base64url' })
    }
  })

const hex = (length: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${length * 2}}$`), { error: expected(`${length} bytes in hex`) })

/** A network of inference, as a JSON file: what its operators publish, and how it is to be used. */
const networkFile = section({
  /** Used in turn. They learn who asks, and nothing else. */
  relays: z.array(url, { error: expected('a list of URLs') }).min(1, { error: 'is empty: name a relay' }),
  gateway: section({
    name,
    identity,
    /** Second sources of its directory, each `<url>/directories/<gateway>/<epoch>`. Without one nothing is sent. */
    witnesses: z
      .array(url, { error: expected('a list of URLs') })
      .min(1, { error: 'is empty: name a witness, such as the mint' }),
  }),
  /** Where tokens are bought. */
  mint: section({ name, url }),
  /** The most that one operator gets of all requests, over 0 and up to 1. */
  operatorShare: z
    .number({ error: expected('a number over 0 and up to 1') })
    .gt(0, { error: expected('a number over 0 and up to 1') })
    .max(1, { error: expected('a number over 0 and up to 1') })
    .optional(),
  /** Whose nodes alone are used. */
  operators: z
    .array(name, { error: expected('a list of names') })
    .min(1)
    .optional(),
  /** Bytes of a cell, 64 to 16384; 1024 when left out. */
  cells: z
    .int({ error: expected('a whole number from 64 to 16384') })
    .min(64)
    .max(16_384)
    .optional(),
  /** Milliseconds between cells, or "off" for the lowest latency. */
  cadence: z.union([z.literal('off'), z.int().min(5).max(10_000)]).optional(),
  /** Cover requests: one every so many seconds on average, paid for like real ones. */
  cover: section({ everySeconds: z.number().min(1), model: z.string().min(1) }).optional(),
  /** For `attested`: what the nodes' machines must have measured. */
  attestation: section({
    measurements: z
      .array(
        section({
          mrTd: hex(48),
          rtMr0: hex(48),
          rtMr1: hex(48),
          rtMr2: hex(48),
          rtMr3: hex(48),
        }),
      )
      .min(1),
  }).optional(),
})

export type NetworkConfig = z.output<typeof networkFile>

/**
 * Reads the description of a network.
 *
 * @param path of a JSON file, absolute or from the working folder
 * @throws {ConfigError} naming file, line and JSON path of everything that is wrong.
 * @throws {ConfigFileError} when it cannot be read.
 */
export async function loadNetwork(path: string): Promise<NetworkConfig> {
  const wrong = (issue: ConfigIssue, cause: unknown) => new ConfigError([issue], shownPath(path), cause)
  const json = await readJsonFile('the network', path, wrong)
  const parsed = networkFile.safeParse(json.value)
  if (parsed.success) return parsed.data
  throw new ConfigError(
    parsed.error.issues.map(({ path: at, message }) => ({
      path: at as (string | number)[],
      message,
      line: json.lineOf(at as (string | number)[]),
    })),
    shownPath(path),
  )
}
