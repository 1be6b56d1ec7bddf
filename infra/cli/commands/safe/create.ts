import { Command, InvalidArgumentError } from 'commander'
import { type Address, formatEther, hexToBigInt, isAddressEqual, keccak256, maxUint256, toHex } from 'viem'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import { type CreationCost, createSafe, requireCoins, tryCreation } from '../../../safe/createSafe.ts'
import { type NewSafe, type NewSafeParameters, planSafe } from '../../../safe/planSafe.ts'
import { passphraseFdOption, passphraseFileOption } from '../../passphrase.ts'
import type { Terminal } from '../../terminal.ts'
import { findPolicy, openRpc, type PolicyOptions, parseAddress } from '../policy/policyTarget.ts'
import { findKey, findWallet, type Wallet, type WalletOptions, withKey } from '../wallet/openWallet.ts'

type Options = Pick<PolicyOptions, 'config' | 'agent' | 'member' | 'json'> &
  WalletOptions & {
    readonly owner?: readonly Address[]
    readonly threshold?: number
    readonly saltNonce?: bigint
    readonly send?: boolean
    readonly ownerLabel?: string
  }

/** `rialto safe create`: a Safe, and the modifier that is to hold the limits of an agent. */
export function createCommand(terminal: Terminal): Command {
  return new Command('create')
    .description(
      'print where a Safe with a Roles modifier will be and what it costs, and make it when told to; policy apply does the rest',
    )
    .option('--agent <id>', 'whose account it is to be (default: the one agent that there is)')
    .option('--owner <address...>', 'who owns it (default: the key that --owner-label names)', parseOwner)
    .option('--threshold <n>', 'how many owners have to sign (needed where there are several)', parseCount)
    .option(
      '--salt-nonce <n>',
      "tells Safes of the same owners from each other (default: made of the agent's id)",
      parseSaltNonce,
    )
    .option('--send', 'make it: sign with the key of --owner-label, which pays, and send')
    .option('--owner-label <label>', "the owner's key in the keystore, for --send")
    .option(
      '--member <address>',
      "of the agent's key, where it is not in the keystore (default: the key with the agent's label)",
      parseAddress,
    )
    .addOption(passphraseFileOption())
    .addOption(passphraseFdOption())
    .option('--config <file>', 'the configuration (default: rialto.config.ts in this folder)')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => run(terminal, options))
}

async function run(terminal: Terminal, options: Options): Promise<void> {
  if (options.send === true && options.ownerLabel === undefined)
    throw new InvalidInputError('It is not said with whose key to send.', {
      fix: 'Name the key of an owner with --owner-label; rialto wallet list shows the labels.',
    })
  const { config, agent, sender } = await findPolicy(options)
  const { chain } = config
  if (chain.kind !== 'rpc')
    throw new InvalidInputError('The local world has no Safe.', {
      code: 'NO_SAFE',
      fix: 'Set chain to { kind: "rpc", … }.',
    })
  const wallet = await findWallet(options)
  const payer = options.ownerLabel === undefined ? null : findKey(wallet, options.ownerLabel).address
  const ids = config.agents.map(({ id }) => id)
  const parameters: NewSafeParameters = {
    rpc: openRpc(chain),
    chainId: chain.chainId,
    multicall3: chain.addressBook.multicall3,
    ...ownersOf(options, payer, keysOfAgents(ids, sender, wallet)),
    saltNonce: options.saltNonce ?? hexToBigInt(keccak256(toHex(`rialto ${agent.id}`))),
  }
  const { rpc } = parameters
  const planned = await planSafe(parameters)
  const { transaction } = planned
  const account = {
    safe: planned.safe.address,
    modifier: planned.modifier.address,
    roleKey: roleKeyOf(agent.id),
    multiSend: planned.release.multiSendCallOnly,
  }
  if (transaction === null) {
    terminal.out(answerOf({ planned, account, cost: null, hash: null }, options))
    return terminal.note(`It is there already. ${PASTE}`)
  }
  // Whoever pays may not be known yet: it costs an owner the same.
  const from = payer ?? parameters.owners[0] ?? planned.safe.address
  const cost = await tryCreation(rpc, planned, transaction, from)
  const before = { planned, account, cost, hash: null }
  if (options.send !== true) {
    terminal.out(answerOf(before, options))
    if (payer !== null && cost.balance < cost.most)
      terminal.note(`${payer} has ${formatEther(cost.balance)} coins, which is too little.`)
    return terminal.note('Nothing was sent. Make it with --send --owner-label <label>.')
  }
  for (const line of [...whereOf(planned), costLine(cost)]) terminal.note(line)
  // Before the passphrase is asked for.
  requireCoins(from, cost)
  const { hash, block } = await withKey(wallet, options.ownerLabel ?? '', (key) =>
    createSafe({ rpc, chainId: chain.chainId, planned, transaction, payer: key }),
  )
  terminal.note(`Transaction ${hash} is mined.`)
  const after = {
    ...{ planned: await planSafe(parameters), cost: null, hash },
    account: { ...account, firstBlock: Number(block.number) },
  }
  terminal.out(answerOf(after, options))
  terminal.note(`It is there. ${PASTE}`)
}

const PASTE = 'Write the account into the configuration, then: rialto policy apply'

/** The agent's id as the short name of a role: of at most 31 characters, and no number in hex. */
const roleKeyOf = (id: string): string => id.replace(/^0x/, 'agent-').slice(0, 31)

const parseOwner = (text: string, before: readonly Address[] | undefined): readonly Address[] => [
  ...(before ?? []),
  parseAddress(text),
]

function parseCount(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a number from 1.')
}

function parseSaltNonce(text: string): bigint {
  const value = /^\d{1,78}$/.test(text) ? BigInt(text) : null
  if (value !== null && value <= maxUint256) return value
  throw new InvalidArgumentError('It must be a number from 0 of at most 256 bits.')
}

/** The keys by which agents act, and their protectors: those that roles are to hold. */
const keysOfAgents = (
  ids: readonly string[],
  sender: Address | null,
  { keys }: Wallet,
): readonly Address[] => [
  ...(sender === null ? [] : [sender]),
  ...keys.filter(({ label }) => ids.includes(label.replace(/-protector$/, ''))).map(({ address }) => address),
]

/** @throws {InvalidInputError} when it is not said whose it is, or it would belong to whom its role is to hold. */
function ownersOf(
  { owner, threshold }: Options,
  payer: Address | null,
  held: readonly Address[],
): Pick<NewSafeParameters, 'owners' | 'threshold'> {
  const owners = owner ?? (payer === null ? [] : [payer])
  const wrong = (message: string, fix: string) => new InvalidInputError(message, { code: 'SAFE_OWNERS', fix })
  if (owners.length === 0)
    throw wrong(
      'It is not said who owns the Safe.',
      'Name owners with --owner, or a key of yours with --owner-label.',
    )
  const agents = owners.find((each) => held.some((key) => isAddressEqual(key, each)))
  if (agents !== undefined)
    throw wrong(
      `${agents} is the key of an agent or a protector: as an owner, no role would hold it.`,
      'Name owners whose keys no agent acts with.',
    )
  if (threshold === undefined && owners.length > 1)
    throw wrong(
      `It is not said how many of the ${owners.length} owners have to sign.`,
      'Say it with --threshold. What asks for several is signed in the Safe app: rialto policy apply --out.',
    )
  return { owners, threshold: threshold ?? 1 }
}

type Result = {
  readonly planned: NewSafe
  readonly account: Readonly<Record<string, string | number>>
  readonly cost: CreationCost | null
  readonly hash: string | null
}

const answerOf = (result: Result, { json }: Options): string =>
  json === true ? JSON.stringify(jsonOf(result)) : linesOf(result).join('\n')

const jsonOf = ({ planned, account, cost, hash }: Result) => ({
  version: planned.release.version,
  safe: { address: planned.safe.address, isThere: planned.safe.isThere },
  modifier: { address: planned.modifier.address, isThere: planned.modifier.isThere },
  transaction: planned.transaction,
  cost:
    cost === null
      ? null
      : {
          gas: cost.gas.toString(),
          maxFeePerGas: cost.maxFeePerGas.toString(),
          most: cost.most.toString(),
        },
  transactionHash: hash,
  account,
})

const whereOf = ({ safe, modifier }: NewSafe): readonly string[] =>
  [safe, modifier].map(({ address, isThere, words }) => `${address} ${isThere ? 'is' : 'will be'} ${words}`)

const costLine = ({ most, gas }: CreationCost): string =>
  `takes at most ${formatEther(most)} coins (${gas} gas at twice the base fee of now), and what a rollup asks for data`

function linesOf({ planned, account, cost }: Result): readonly string[] {
  const { transaction } = planned
  const fields = Object.entries(account).map(([name, value]) =>
    typeof value === 'number' ? `${name}: ${value}` : `${name}: '${value}'`,
  )
  return [
    ...whereOf(planned),
    ...(transaction === null
      ? []
      : [`made by one transaction\n  to   ${transaction.to}\n  data ${transaction.data}`]),
    ...(cost === null ? [] : [costLine(cost)]),
    `account: { ${fields.join(', ')} }`,
  ]
}
