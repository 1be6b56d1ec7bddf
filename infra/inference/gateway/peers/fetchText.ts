import { get } from '../../../http/get.ts'
import { PeerError } from '../errors.ts'

/** Milliseconds in which a mint or a node has to answer. */
const PATIENCE = 5_000

/**
 * Gets a document from a mint or a node.
 *
 * @param peer who is asked, for errors, such as `The mint a`
 * @param most bytes
 * @throws {PeerError}
 */
export async function fetchText({
  url,
  peer,
  most,
}: {
  readonly url: string
  readonly peer: string
  readonly most: number
}): Promise<string> {
  const answer = await get(url, { most, within: PATIENCE }).catch((error: unknown) => {
    throw new PeerError(peer, 'does not answer', error)
  })
  if (answer.status !== 200) throw new PeerError(peer, `answered with status ${answer.status}`)
  return answer.body.toString('utf8')
}
