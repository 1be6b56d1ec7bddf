import { type Hex, keccak256 } from 'viem'
import {
  NoQuorumError,
  OutcomeUnknownError,
  type RefusalReason,
  TransactionRefusedError,
} from '../../../runtime/core/chainErrors.ts'
import { RialtoError } from '../../../runtime/core/errors.ts'
import type { Hash } from '../../../runtime/core/ids.ts'
import { RpcSilence } from '../rpc.ts'
import type { ChainNode } from './chainNode.ts'
import { absentees } from './votes.ts'

/**
 * Hands signed bytes to all nodes at once, those that rest among them, and answers as soon as one has taken them: the
 * others go on by themselves.
 *
 * @throws {TransactionRefusedError} when every node that got them clearly refused, for the reason that most gave.
 * @throws {OutcomeUnknownError} when none took them and one of them may have.
 * @throws {RpcUnreachableError} when they never left this machine.
 * @throws {NoQuorumError} when there is no node to hand them to.
 */
export function sendToAll(nodes: readonly ChainNode[], raw: Hex): Promise<Hash> {
  const usable = nodes.filter((node) => node.state() === 'healthy' || node.state() === 'resting')
  if (usable.length === 0)
    return Promise.reject(new NoQuorumError('eth_sendRawTransaction', 1, absentees(nodes, [])))
  return new Promise((resolve, reject) => {
    const failures: RialtoError[] = []
    for (const { chain } of usable)
      chain.sendRaw(raw, 'public').then(resolve, (error: unknown) => {
        if (!(error instanceof RialtoError)) return reject(error)
        failures.push(error)
        if (failures.length === usable.length) reject(judge(failures, keccak256(raw) as Hash))
      })
  })
}

/** What is certain when nobody says that it took the bytes. */
function judge(failures: readonly RialtoError[], hash: Hash): RialtoError {
  const unsure = failures.filter((failure) => !isRefusal(failure) && !neverSent(failure))
  const [first] = unsure
  if (first instanceof OutcomeUnknownError) return first
  if (first !== undefined) return new OutcomeUnknownError(hash, hostOf(first), first.code)
  const refusals = failures.filter(isRefusal)
  const counts = new Map<RefusalReason, number>()
  for (const { reason } of refusals) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  // One that will not pass by itself says more than one that may.
  const clearest = refusals.toSorted(
    (a, b) =>
      (counts.get(b.reason) ?? 0) - (counts.get(a.reason) ?? 0) || Number(a.retryable) - Number(b.retryable),
  )[0]
  return clearest ?? (failures[0] as RialtoError)
}

const isRefusal = (error: RialtoError): error is TransactionRefusedError =>
  error instanceof TransactionRefusedError

const neverSent = (error: RialtoError): boolean => error instanceof RpcSilence && !error.sent

const hostOf = ({ details }: RialtoError): string => String(details.host ?? 'one of several')
