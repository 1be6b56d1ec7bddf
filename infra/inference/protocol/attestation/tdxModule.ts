import { equalBytes } from '../binary/bytes.ts'
import type { TcbInfo } from './collateral.ts'
import { AttestationError } from './errors.ts'
import type { TdxQuote } from './tdxQuote.ts'

/** How secure a part of the platform is, as its maker says. */
export type TcbJudgement = { readonly status: string; readonly advisoryIds: readonly string[] }

/**
 * Judges the TDX module of a platform, which the verification library leaves out (Intel PCS API v4, "Get TDX TCB
 * Info", TDX module identities).
 *
 * A module of major version 0 is described by `tdxModule` and has no level of its own. Any other is described by the
 * identity `TDX_` with its version in two hex digits, and has the first level whose `isvsvn` it reaches.
 *
 * @returns `undefined` for a module without a level of its own
 * @throws AttestationError `ATTESTATION_TDX_MODULE` when it is not the module that is described
 */
export function judgeTdxModule(tcbInfo: TcbInfo, { module }: TdxQuote): TcbJudgement | undefined {
  const [minor = 0, major = 0] = module.svn
  const id = `TDX_${major.toString(16).padStart(2, '0').toUpperCase()}`
  const identity = tcbInfo.tdxModuleIdentities?.find((candidate) => candidate.id === id)
  const described = major === 0 ? tcbInfo.tdxModule : identity
  if (
    described === undefined ||
    !equalBytes(module.signer, described.mrsigner) ||
    module.attributes.some(
      (byte, index) => (byte & (described.attributesMask[index] ?? 0xff)) !== described.attributes[index],
    )
  )
    throw new AttestationError(
      'ATTESTATION_TDX_MODULE',
      'The TDX module is not one that its maker describes.',
      {
        details: { id },
      },
    )
  if (major === 0) return undefined
  const level = identity?.tcbLevels.find(({ tcb }) => minor >= tcb.isvsvn)
  if (level === undefined)
    throw new AttestationError('ATTESTATION_TCB_STATUS', 'The TDX module is older than any that is known.', {
      details: { id, isvsvn: minor },
    })
  return { status: level.tcbStatus, advisoryIds: level.advisoryIDs ?? [] }
}

/**
 * The platform's status with its module's: a module that is out of date makes the whole so, and keeps what else is to
 * be configured (as in Intel's quote verification library, `convergeTcbStatusWithTdxModuleStatus`).
 */
export function mergeTdxModule(platform: TcbJudgement, module: TcbJudgement | undefined): TcbJudgement {
  if (module === undefined) return platform
  const advisoryIds = [...new Set([...platform.advisoryIds, ...module.advisoryIds])]
  if (module.status === 'UpToDate') return { status: platform.status, advisoryIds }
  // A module is up to date, out of date or revoked; anything else is passed on as it is, and accepted by nobody.
  if (module.status !== 'OutOfDate') return { status: module.status, advisoryIds }
  const needsConfiguration = /ConfigurationNeeded|ConfigurationAndSWHardeningNeeded/.test(platform.status)
  return { status: needsConfiguration ? 'OutOfDateConfigurationNeeded' : 'OutOfDate', advisoryIds }
}
