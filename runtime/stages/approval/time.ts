import { unixSeconds } from '../../core/clock.ts'
import type { Runtime } from '../runtime.ts'

/**
 * The time by which a request for approval begins and ends, in seconds since 1970: the later of this clock's and the
 * signer's. The signer's stays ahead where the clock was when something was signed and was corrected since. What was
 * asked by this clock alone would then be expired for the signer before anybody was asked, until the clock catches up.
 *
 * @throws what the signer does when it does not answer.
 */
export async function approvalTime({ clock, signer }: Pick<Runtime, 'clock' | 'signer'>): Promise<bigint> {
  const [here, there] = [unixSeconds(clock), await signer.time()]
  return there > here ? there : here
}
