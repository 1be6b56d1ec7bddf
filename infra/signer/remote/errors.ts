import { SignerError } from '../errors.ts'

/** Whoever has the key could not be asked, or has not said anything yet: asking again may help. */
export const unanswered = (
  holder: string,
  why: string,
  fix = 'See to it that it runs and can be reached, and ask again.',
): SignerError =>
  new SignerError('KEY_HOLDER', `${holder} did not sign: ${why}.`, {
    fix,
    retryable: true,
    details: { holder, why },
  })

/** Whoever has the key says no, and will say so again until somebody has changed something. */
export const refused = (holder: string, why: string, fix: string): SignerError =>
  new SignerError('KEY_HOLDER', `${holder} does not sign: ${why}.`, { fix, details: { holder, why } })

/** Whoever has the key answered with something that was not asked for. Nothing of it is used. */
export const contradicted = (holder: string, why: string): SignerError =>
  new SignerError('KEY_HOLDER', `What ${holder} answered is not what it was asked for: ${why}.`, {
    fix: 'Look at it before anything else is signed: it is misconfigured, or somebody else speaks in its place.',
    details: { holder, why },
  })

export const misconfigured = (message: string, fix: string): SignerError =>
  new SignerError('SIGNER_CONFIGURATION', message, { fix })
