import { type Agent, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { GetError } from './errors.ts'
import { readBody } from './readBody.ts'

/** What came back, whatever its status. */
export type GetResult = {
  readonly status: number
  /** In lower case, without parameters; empty when absent. */
  readonly mediaType: string
  readonly body: Buffer
}

/**
 * Fetches a document of limited size in limited time. The request says nothing but host and path; redirects are not
 * followed.
 *
 * @param url `http:` or `https:`
 * @param options.most bytes of the document
 * @param options.within milliseconds for all of it
 * @throws {GetError}
 * @example await get('http://127.0.0.1:8080/directory', { most: 1 << 20, within: 10_000 })
 */
export async function get(
  url: string | URL,
  options: { readonly most: number; readonly within: number; readonly agent?: Agent },
): Promise<GetResult> {
  const { most, within, agent } = options
  const target = new URL(url)
  const send = target.protocol === 'https:' ? requestHttps : requestHttp
  const request = send(target, { agent })
  let late = false
  const timer = setTimeout(() => {
    late = true
    request.destroy()
  }, within)
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      // Stays, for what may go wrong behind the answer: that shows as a body that is cut.
      request.on('error', reject).on('response', resolve).end()
    })
    const body = await readBody(answer, { most, stall: within })
    const [mediaType = ''] = (answer.headers['content-type'] ?? '').split(';')
    return { status: answer.statusCode ?? 0, mediaType: mediaType.trim().toLowerCase(), body }
  } catch (cause) {
    request.destroy()
    throw new GetError(late ? 'timeout' : 'unreachable', target.host, cause)
  } finally {
    clearTimeout(timer)
  }
}
