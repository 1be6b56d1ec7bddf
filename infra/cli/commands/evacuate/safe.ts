import { formatEther } from 'viem'
import type { AddressBook } from '../../../../runtime/core/addressBook.ts'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import type { Call } from '../../../../runtime/core/lifecycle.ts'
import { isOfValue } from '../../../../runtime/evacuation/nextStep.ts'
import { describeCall } from '../../../approvals/describePlan.ts'
import { type SafeEvacuation, whyNot } from '../../../evacuation/prepareSafe.ts'
import { heldAfter } from '../../../evacuation/simulateOwners.ts'
import type { Change } from '../../../safe/compareRole.ts'
import { safeTransactionHash } from '../../../safe/safeTransaction.ts'
import { requireOwner, sendSafeTransaction } from '../../../safe/sendSafeTransaction.ts'
import { writeTransactions } from '../../../safe/writeTransactions.ts'
import { openRpc } from '../policy/policyTarget.ts'
import { findWallet, type WalletOptions, withKey } from '../wallet/openWallet.ts'
import {
  describeRemainder,
  nameOf,
  remainderAsJson,
  signed,
  unsearchedAsJson,
  unsearchedLines,
} from './describe.ts'

/** What the owners of a Safe would sign, as lines for a person. */
export function describeSafe(prepared: SafeEvacuation, book: AddressBook): readonly string[] {
  const { evacuee, block, plan, state, soon, unsearched } = prepared
  const { account, destination, config } = evacuee
  const to = destination === null ? 'everything stays in the Safe' : `everything to ${destination}`
  const asked = `${state.threshold} of ${state.owners.length} owners`
  const fault = whyNot(prepared)
  return [
    `${config.id}: the Safe ${account}, ${to}; one transaction of ${asked}, executed on block ${block}`,
    ...plan.reasons.map((reason, index) => `  ${index + 1}. ${reason}`),
    ...(plan.calls.length === 0 ? ['  there is nothing to sign'] : []),
    ...(soon?.ok === true
      ? [
          `  measured in the Safe: ${changesOf(prepared, account, book).join(', ') || 'nothing moves'}`,
          ...(destination === null
            ? []
            : [
                `  measured at ${destination}: ${changesOf(prepared, destination, book).join(', ') || 'nothing arrives'}`,
              ]),
          `  gas: ${soon.effects.gasUsed}; it holds until block ${plan.lastValidBlock}`,
        ]
      : []),
    ...plan.remains.map((remainder) => `  stays: ${describeRemainder(remainder, book)}`),
    ...(plan.stopped === null ? [] : [`  stops: ${plan.stopped}`]),
    ...(fault === null ? [] : [`  cannot be signed: ${fault}`]),
    ...unsearchedLines(unsearched),
    '  not known beforehand: prices and what the pools give when it is signed; if they moved too far it fails as a whole: prepare it again',
  ]
}

export function safeAsJson(prepared: SafeEvacuation, book: AddressBook, sent: string | null) {
  const { evacuee, block, plan, state, transaction, soon, unsearched } = prepared
  const { account, destination, config } = evacuee
  const changes = (of: typeof account) =>
    soon?.ok !== true
      ? []
      : heldAfter(soon.effects, of).flatMap(({ token, before, after }) =>
          before === after
            ? []
            : [
                {
                  token,
                  name: token === null ? null : nameOf(token, book),
                  change: (after - before).toString(),
                },
              ],
        )
  return {
    agent: config.id,
    safe: account,
    destination,
    block: block.toString(),
    steps: plan.reasons,
    lastValidBlock: plan.lastValidBlock.toString(),
    owners: state.owners,
    threshold: state.threshold,
    transactionHash: transaction === null ? null : safeTransactionHash(account, book.chainId, transaction),
    transactions: plan.calls.map(({ to, value, data, words }) => ({
      to,
      value: value.toString(),
      data,
      words,
    })),
    changes: changes(account),
    arrives: destination === null ? [] : changes(destination),
    remains: plan.remains.map((remainder) => remainderAsJson(remainder, book)),
    stopped: plan.stopped ?? whyNot(prepared),
    unsearched: unsearchedAsJson(unsearched),
    sent,
  }
}

/** Whether it does all there is to do. */
export const isWhole = (prepared: SafeEvacuation): boolean =>
  prepared.plan.stopped === null && !prepared.plan.remains.some(isOfValue) && whyNot(prepared) === null

/** Every call with what it is for and what it says, as a person reads it in the Safe's own app. */
export function ownerChanges({ plan, evacuee }: SafeEvacuation, book: AddressBook): readonly Change[] {
  const inWords = (call: Call): string => {
    const { contract, functionName } = describeCall(call, evacuee, book)
    return functionName === null
      ? `${formatEther(call.value)} of the native coin to ${call.to}`
      : `${contract}.${functionName}`
  }
  return plan.calls.map((call) => ({ ...call, words: `${call.words}: ${inWords(call)}` }))
}

/** Writes the transactions for the owners. @throws {InvalidInputError} when they would fail, or the file exists. */
export function writeSafe(path: string, prepared: SafeEvacuation, book: AddressBook): void {
  requireGood(prepared)
  const { evacuee, plan } = prepared
  const name = `Evacuation of ${evacuee.config.id}, until block ${plan.lastValidBlock}`
  writeTransactions(
    path,
    { safe: evacuee.account, chainId: book.chainId, name },
    ownerChanges(prepared, book),
  )
}

/**
 * Signs and sends it as the one owner whose signature the Safe asks for.
 *
 * @param onReady called when nothing but the chain can refuse it any more, before it is signed
 * @returns the hash of the owner's transaction
 */
export async function sendSafe(
  label: string,
  prepared: SafeEvacuation,
  options: WalletOptions,
  chain: Parameters<typeof openRpc>[0],
  onReady: () => void,
): Promise<string> {
  requireGood(prepared)
  const { evacuee, state, transaction } = prepared
  if (transaction === null) throw new InvalidInputError('There is nothing to sign.')
  const wallet = await findWallet(options)
  return withKey(wallet, label, (owner) => {
    requireOwner(owner.address, evacuee.account, state)
    onReady()
    return sendSafeTransaction({
      rpc: openRpc(chain),
      chainId: chain.chainId,
      safe: evacuee.account,
      state,
      transaction,
      owner,
      nextCommand: `rialto evacuate --agent ${evacuee.config.id} --plan`,
    })
  })
}

function requireGood(prepared: SafeEvacuation): void {
  const fault = whyNot(prepared)
  if (fault !== null)
    throw new InvalidInputError(`The owners' transaction cannot be signed: ${fault}.`, {
      code: 'EVACUATION_FAILS',
      fix: 'Run this again: the chain may have moved. See what it would do with --plan.',
    })
}

function changesOf(
  { soon }: SafeEvacuation,
  of: SafeEvacuation['evacuee']['account'],
  book: AddressBook,
): readonly string[] {
  if (soon?.ok !== true) return []
  return heldAfter(soon.effects, of).flatMap(({ token, before, after }) => {
    if (before === after) return []
    const change = after - before
    if (token === null) return [`${change > 0n ? '+' : ''}${formatEther(change)} of the native coin`]
    return [signed({ token, change }, book)]
  })
}
