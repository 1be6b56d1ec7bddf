import { plainLine } from '../../runtime/core/plainLine.ts'

/**
 * An endpoint's host and port: all of a URL that may be shown. Paths, queries and user names often hold keys.
 *
 * @example hostOf('https://me:secret@rpc.example.org/v3/0123456789abcdef?key=1') // 'rpc.example.org'
 */
export const hostOf = (url: URL): string => url.host || url.protocol

const MAX_LENGTH = 200

/**
 * What a node or a socket said, fit for a log: one plain line, at most 200 characters, without URLs, without any part of
 * the endpoint's URL that may be a key, and without long hex (calldata, raw transactions).
 *
 * @example redact('no such key: 0123456789abcdef', new URL('https://h/v3/0123456789abcdef')) // 'no such key: …'
 */
export function redact(text: string, url: URL): string {
  const secrets = [url.username, url.password, ...url.pathname.split('/'), ...url.searchParams.values()]
  let line = plainLine(text).replace(/\b[a-z][a-z0-9+.-]*:\/\/[^\s"')]+/gi, '…')
  for (const secret of secrets.flatMap((part) => [part, decode(part)]))
    if (secret.length >= 4) line = line.replaceAll(secret, '…')
  return plainLine(line.replace(/0x[0-9a-f]{65,}/gi, '0x…'), MAX_LENGTH)
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    // A stray "%" is no encoding: the part stands for itself, and the caller has it already.
    return part
  }
}
