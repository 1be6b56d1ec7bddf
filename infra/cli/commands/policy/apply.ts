import { Command, Option } from 'commander'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import { checkRole, type RoleCheck } from '../../../safe/checkRole.ts'
import type { Change } from '../../../safe/compareRole.ts'
import { safeTransactionHash, safeTransactionOf } from '../../../safe/safeTransaction.ts'
import { sendSafeTransaction } from '../../../safe/sendSafeTransaction.ts'
import { writeTransactions } from '../../../safe/writeTransactions.ts'
import { passphraseFdOption, passphraseFileOption } from '../../passphrase.ts'
import type { Terminal } from '../../terminal.ts'
import { findWallet, type WalletOptions, withKey } from '../wallet/openWallet.ts'
import { findRole, openRpc, type PolicyOptions, policyOptions, type RoleTarget } from './policyTarget.ts'

type Options = PolicyOptions &
  WalletOptions & { readonly send?: boolean; readonly ownerLabel?: string; readonly out?: string }

/** `rialto policy apply`: makes the chain what the policy says. */
export function applyCommand(terminal: Terminal): Command {
  return policyOptions(
    new Command('apply')
      .description(
        'print the transactions that make the chain what the policy says, and send them when told to',
      )
      .addOption(new Option('--send', 'sign them as the owner of the Safe, and send them').conflicts('out'))
      .option('--owner-label <label>', "the owner's key in the keystore, for --send")
      .option(
        '--out <file>',
        "write them for Safe's Transaction Builder, for a Safe that asks for several owners",
      )
      .addOption(passphraseFileOption())
      .addOption(passphraseFdOption()),
  ).action(async (options: Options) => {
    const target = await findRole(options)
    requireSenders(target)
    if (options.send === true && options.ownerLabel === undefined)
      throw new InvalidInputError('It is not said with whose key to send.', {
        fix: 'Name the key of an owner with --owner-label; rialto wallet list shows the labels.',
      })
    const { role, protectorRole, otherRoles, book, safe, chain } = target
    const rpc = openRpc(chain)
    const { firstBlock } = safe
    const look = () => checkRole({ rpc, role, protector: protectorRole, otherRoles, book, firstBlock })
    const check = await look()
    const changes = changesOf(check)
    const left = check.differences.filter(({ change }) => change === null).map(({ line }) => line)
    show(terminal, options, target, check, changes)
    for (const line of left) terminal.note(`Not mended by this: ${line}`)
    if (left.length > 0) process.exitCode = 1
    if (changes.length === 0) return
    if (options.out !== undefined) {
      writeOut(options.out, target, changes)
      terminal.note(
        `${changes.length} transactions are in ${options.out}: open it in Safe's Transaction Builder.`,
      )
    }
    if (options.send !== true) return
    const hash = await send(options, target, check, changes)
    terminal.note(`Transaction ${hash} is mined.`)
    const after = changesOf(await look())
    if (after.length === 0) return terminal.note('The chain is what the policy says.')
    process.exitCode = 1
    for (const { words } of after) terminal.note(`Still to do: ${words}`)
  })
}

const changesOf = ({ differences }: RoleCheck): readonly Change[] =>
  differences.flatMap(({ change }) => (change === null ? [] : [change]))

/** @throws {InvalidInputError} when nobody could act in one of the roles. */
function requireSenders({ agent, sender, protector }: RoleTarget): void {
  const refuse = (label: string, whose: string, option: string): never => {
    throw new InvalidInputError(
      `There is no key for "${label}", so nobody can be made a member of ${whose} role.`,
      {
        code: 'NO_KEY',
        fix: `Make one with rialto wallet create --label ${label}, or name the address of a key elsewhere with ${option}.`,
      },
    )
  }
  if (sender === null) refuse(agent.id, 'its', '--member')
  if (protector === null) return
  if (protector.sender === null) refuse(protector.label, "its Safe's protector's", '--protector-member')
  if (protector.sender === sender)
    throw new InvalidInputError(`The keys of ${agent.id} and of its protector are one, ${sender}.`, {
      fix: 'Give the protector a key of its own.',
    })
}

function show(
  terminal: Terminal,
  options: Options,
  { role }: RoleTarget,
  { safe, block }: RoleCheck,
  changes: readonly Change[],
): void {
  if (options.json === true) {
    const { account, chainId } = role
    const hash =
      changes.length === 0
        ? null
        : safeTransactionHash(
            account.safe,
            chainId,
            safeTransactionOf(changes, account.multiSend, safe.nonce),
          )
    terminal.out(
      JSON.stringify({
        block: block.number.toString(),
        safe: { address: account.safe, nonce: safe.nonce.toString(), transactionHash: hash },
        transactions: changes.map(({ to, value, data, words }) => ({
          to,
          value: value.toString(),
          data,
          words,
        })),
      }),
    )
    return
  }
  if (changes.length === 0) terminal.out(`At block ${block.number} there is nothing to change.`)
  for (const { to, data, words } of changes) terminal.out(`${words}\n  to   ${to}\n  data ${data}`)
}

function writeOut(path: string, { role, agent }: RoleTarget, changes: readonly Change[]): void {
  const { account, chainId, policy } = role
  const name = `Role of ${agent.id}, policy ${policy.version}`
  writeTransactions(path, { safe: account.safe, chainId, name }, changes)
}

async function send(
  options: Options,
  { role, chain }: RoleTarget,
  { safe: state }: RoleCheck,
  changes: readonly Change[],
) {
  const { safe, multiSend } = role.account
  const wallet = await findWallet(options)
  return withKey(wallet, options.ownerLabel ?? '', (owner) => {
    const transaction = safeTransactionOf(changes, multiSend, state.nonce)
    return sendSafeTransaction({
      rpc: openRpc(chain),
      chainId: role.chainId,
      safe,
      state,
      transaction,
      owner,
      nextCommand: 'rialto policy check',
    })
  })
}
