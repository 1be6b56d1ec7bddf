import type { Command } from 'commander'
import type { AddressBook } from '../../../../runtime/core/addressBook.ts'
import { approvalOf } from '../../../../runtime/core/approvalRecords.ts'
import { systemClock } from '../../../../runtime/core/clock.ts'
import { InvalidInputError, InvariantError } from '../../../../runtime/core/errors.ts'
import { planHash } from '../../../../runtime/core/lifecycle.ts'
import { fetchApprovals, sendRejection, sendSignature } from '../../../api/approvals.ts'
import { type Answered, type ApprovalDesk, openDesk, UnknownApprovalError } from '../../../approvals/desk.ts'
import type { ApprovalView } from '../../../approvals/view.ts'
import { findDirectory } from '../../../config/findDirectory.ts'
import { loadConfig } from '../../../config/loadConfig.ts'
import { loadEnvironment } from '../../../config/loadEnvironment.ts'
import { findConfigFile, readConfigFile } from '../../../config/readConfigFile.ts'
import { holdDirectory } from '../../../directory.ts'
import { openStore } from '../../../store/openStore.ts'
import { worldState } from '../../../world/worldState.ts'

export type ApprovalsOptions = { readonly config?: string; readonly json?: boolean }

/** Adds the options that every command about approvals has. */
export const approvalsOptions = (command: Command): Command =>
  command
    .option(
      '--config <file>',
      'the configuration that was started (default: rialto.config.ts in this folder)',
    )
    .option('--json', 'print the result as one JSON object')

/**
 * Does something at the desk. The running runtime owns the embedded journal, so it is asked; with none running the
 * journal is opened here.
 */
export async function atDesk<T>(
  { config }: ApprovalsOptions,
  work: (desk: ApprovalDesk) => Promise<T>,
): Promise<T> {
  const environment = loadEnvironment(process.env)
  const directory = await findDirectory(environment, config)
  if ((await fetchApprovals(directory, false)) !== null) return work(remoteDesk(directory))
  const file = config ?? findConfigFile()
  const content = file === null ? null : (await readConfigFile(file)).content
  const url = environment.databaseUrl ?? content?.store?.databaseUrl
  const folder = await holdDirectory(directory, 0)
  try {
    const store = await openStore(url === undefined ? { directory: folder.path } : { url })
    try {
      return await work(openDesk(await store.journals.all(), systemClock))
    } finally {
      await store.close()
    }
  } finally {
    folder.release()
  }
}

/** The desk of the runtime that runs on a folder. */
function remoteDesk(directory: string): ApprovalDesk {
  const here = <T>(answer: T | null): T => {
    if (answer !== null) return answer
    throw new InvalidInputError(`What ran on ${directory} ended a moment ago.`, { fix: 'Say it again.' })
  }
  return {
    list: async (all) => here(await fetchApprovals(directory, all)),
    approve: async (id, signature): Promise<Answered> => here(await sendSignature(directory, id, signature)),
    reject: async (id, reason): Promise<Answered> => here(await sendRejection(directory, id, reason)),
  }
}

/**
 * The one request that a person means.
 *
 * @param named its id, or the beginning of it that no other has
 * @throws {UnknownApprovalError} when there is none.
 * @throws {InvalidInputError} when several begin like this.
 */
export async function findApproval(desk: ApprovalDesk, named: string): Promise<ApprovalView> {
  if (!/^0x[0-9a-f]{4,64}$/i.test(named))
    throw new InvalidInputError(`"${named.slice(0, 80)}" names no request for approval.`, {
      fix: 'Give its id, or the first digits of it: rialto approvals list shows it.',
    })
  const found = (await desk.list(true)).filter(({ record }) => record.id.startsWith(named.toLowerCase()))
  const [first, ...others] = found
  if (first === undefined) throw new UnknownApprovalError(named)
  if (others.length > 0)
    throw new InvalidInputError(`${found.length} requests begin with ${named}.`, { fix: 'Give more digits.' })
  requireOwnHash(first)
  return first
}

/** Whoever was asked may be compromised: what is shown, and signed, is bound to the plan by a hash made here. */
function requireOwnHash({ record }: ApprovalView): void {
  if (planHash(record.plan) === record.id) return
  throw new InvariantError('The plan is not the one whose hash is to be approved: do not approve it.', {
    id: record.id,
  })
}

/** Where everything is on the chain that a request is about. */
export async function findBook({ config }: ApprovalsOptions, { record }: ApprovalView): Promise<AddressBook> {
  const { chain } = await loadConfig(config, loadEnvironment(process.env))
  const book = chain.kind === 'rpc' ? chain.addressBook : (await worldState()).addressBook
  if (book.chainId === record.plan.chainId) return book
  throw new InvalidInputError(
    `The request is about chain ${record.plan.chainId}, and the configuration names chain ${book.chainId}.`,
    { fix: 'Name the configuration that it was made under with --config.' },
  )
}

/** What is public of a request, as JSON. */
export function summary({ record, intent, reason }: ApprovalView) {
  const { id, agent, account, plan, status, threshold, owners, signatures } = record
  return {
    id,
    status,
    intent,
    agent,
    account,
    chainId: plan.chainId,
    policyVersion: record.policyVersion,
    requestedAt: Number(record.requestedAt),
    expiresAt: Number(record.expiresAt),
    needed: threshold,
    owners,
    signedBy: signatures.map(({ signer, signedAt }) => ({ signer, signedAt: Number(signedAt) })),
    endedBecause: record.reason,
    agentSays: reason,
    effectsHash: approvalOf(record).effectsHash,
  }
}
