import { stringToHex } from 'viem'
import { z } from 'zod'
import type { Hash } from '../../runtime/core/ids.ts'
import { agentModes } from '../../runtime/guards/policy.ts'
import { account, expected, section } from '../../runtime/guards/policyFields.ts'
import { privacyWords } from '../inference/protocol/network/privacy.ts'
import { rpcSection, worldSection } from './chainSection.ts'
import { oneOf, url, words } from './configFields.ts'
import { urlChecks } from './loadEnvironment.ts'

/** What an agent can be. */
const agentRoles = ['lending-guardian', 'liquidator'] as const
export type AgentRole = (typeof agentRoles)[number]

const ROLE_KEY = 'the key of a role: a short name like "guardian", or 32 bytes in hex that are not zero'

const NAME = 'a name of letters, digits and dashes'
const name = z
  .string({ error: expected(NAME) })
  .regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/, { error: expected(NAME) })

/** A short name stands for its bytes with zeros after them, as Zodiac's tools write it. */
const roleKey = z
  .string({ error: expected(ROLE_KEY) })
  .regex(/^(0x(?!0{64})[0-9a-fA-F]{64}|(?!0x)[A-Za-z0-9_.-]{1,31})$/, {
    error: expected(ROLE_KEY),
    abort: true,
  })
  .transform((text) => (text.startsWith('0x') ? text.toLowerCase() : stringToHex(text, { size: 32 })) as Hash)

/** Of a web3signer or Clef. */
const remoteKey = section({
  kind: z.literal('remote'),
  /** https, or http on this machine. The signer checks it. */
  url: words('the URL of a remote signer'),
  address: account,
  dialect: oneOf(['web3signer', 'clef']).optional(),
})

/** Of AWS KMS (ECC_SECG_P256K1). */
const kmsKey = section({
  kind: z.literal('kms'),
  keyId: words('the id, ARN or alias of a key'),
  region: words('a region, like "eu-central-1"').optional(),
  address: account.optional(),
})

const KEY = '{ kind: "keystore" }, { kind: "remote", … } or { kind: "kms", … }'

/** Where an agent's key is. The keystore's where nothing is said. */
const agentKey = z.discriminatedUnion('kind', [section({ kind: z.literal('keystore') }), remoteKey, kmsKey], {
  error: expected(KEY),
})

/** Who protects a Safe: another member of the modifier, with another role. */
const safeProtector = section({
  /** Left out: the agent's, with "-protector" after it. */
  roleKey: roleKey.optional(),
  /** Left out: the keystore's with the label `<agent id>-protector`. */
  key: z
    .discriminatedUnion(
      'kind',
      [section({ kind: z.literal('keystore'), label: name.optional() }), remoteKey, kmsKey],
      { error: expected(KEY) },
    )
    .optional(),
})

/** A Safe that the agent acts for as a member of a role of its Zodiac Roles modifier. */
const safeAccount = section({
  safe: account,
  modifier: account,
  roleKey,
  /** What the Safe delegates a batch to. */
  multiSend: account,
  /** The block in which the modifier was made: for an RPC that serves logs in pieces and no old state. */
  firstBlock: z
    .int({ error: expected('a block number') })
    .nonnegative({ error: expected('a block number') })
    .optional(),
  protector: safeProtector.optional(),
})

/** What is wrong with a Safe where an address or a Safe may stand. */
function wrongAccount(refused: {
  readonly input?: unknown
  readonly errors?: readonly z.core.$ZodIssue[][]
}): string {
  const isObject = typeof refused.input === 'object' && refused.input !== null
  const [issue] = (isObject ? refused.errors?.[1] : undefined) ?? []
  if (issue === undefined) return expected('an address, or { safe, modifier, roleKey, multiSend }')(refused)
  return [...issue.path.map(String), issue.message].join(' ')
}

const agent = section({
  /** Names it in the journal, in logs and in commands. */
  id: name,
  role: oneOf(agentRoles),
  /** Whose money it moves. Left out: the account that the signer makes for it. */
  account: z
    .union([account, safeAccount], {
      error: (refused) => wrongAccount(refused as Parameters<typeof wrongAccount>[0]),
    })
    .optional(),
  key: agentKey.optional(),
  /** Where `rialto evacuate` sends everything. Left out: the account cannot be evacuated. */
  evacuateTo: account.optional(),
  /** A policy file, from the configuration's folder. */
  policy: words('the path of a policy file'),
  /** Holds the agent back further than its policy does. */
  mode: oneOf(agentModes).optional(),
})

/** Where the passphrase of the keystore comes from on a real chain. Never the passphrase itself. */
const passphrase = z.discriminatedUnion(
  'kind',
  [
    section({
      kind: z.literal('file'),
      /** From the configuration's folder. Only its owner may read it. */
      path: words('the path of a file that holds the passphrase'),
    }),
    section({ kind: z.literal('prompt') }),
    section({
      kind: z.literal('fd'),
      fd: z
        .int({ error: expected('an inherited file descriptor, from 3') })
        .min(3, { error: expected('an inherited file descriptor, from 3') }),
    }),
  ],
  { error: 'is not known: write { kind: "file", path }, { kind: "prompt" } or { kind: "fd", fd }' },
)

/** The configuration file: `export default defineConfig({ … })`, or the same object as JSON. */
export const configFile = section({
  chain: z
    .discriminatedUnion('kind', [worldSection, rpcSection], {
      error: 'is not known: write { kind: "world" }, or { kind: "rpc", chainId, addressBook, rpcUrl }',
    })
    .optional(),
  agents: z
    .array(agent, { error: expected('a list of agents') })
    .min(1, { error: 'is empty: name an agent, like { id, role, policy }' }),
  /** Left out: a private network on loopback that serves the reference analyst. */
  inference: section({
    /** A model on this machine: nothing leaves it. */
    url: url(urlChecks.inference).optional(),
    model: words('the name of a model').optional(),
    /** The weakest word that is accepted: no request goes to a model that promises less. */
    privacy: oneOf(privacyWords).optional(),
    /** A JSON file, from the configuration's folder: the private network to use. */
    network: words('the path of a network file').optional(),
  }).optional(),
  /** Left out: PGlite in the directory. */
  store: section({ databaseUrl: url(urlChecks.database).optional() }).optional(),
  /** Left out: an embedded Valkey. */
  queue: section({ redisUrl: url(urlChecks.redis).optional() }).optional(),
  /** Left out: on a real chain the passphrase is asked for on the terminal. */
  signer: section({ passphrase: passphrase.optional() }).optional(),
  /** Where Rialto keeps everything, from the configuration's folder. Left out: `.rialto`. */
  directory: words('the path of a folder').optional(),
})

/** What a configuration file may hold. */
export type ConfigFile = z.input<typeof configFile>
export type ParsedConfigFile = z.output<typeof configFile>
