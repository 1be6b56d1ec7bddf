import { InvalidArgumentError, Option } from 'commander'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import { type Identity, readIdentity } from '../../../inference/protocol/network/identity.ts'
import { nameSchema } from '../../../inference/protocol/network/nodeDescription.ts'
import { type LogLevel, logLevels } from '../../../telemetry/createLogger.ts'

/** Where a role listens, and how much it says. */
export type RoleOptions = {
  readonly host: string
  readonly port: number
  readonly log: LogLevel
  readonly json?: boolean
}

/** A whole number within bounds. */
export const whole =
  (what: string, min: number, max: number) =>
  (text: string): number => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`It must be ${what} from ${min} to ${max}.`)
  }

/** An http or https URL without credentials, query or fragment; without a slash at its end. */
export function httpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new InvalidArgumentError('It must be an http:// or https:// URL.')
  // The parser of arguments would quote it.
  if (url.username !== '' || url.password !== '')
    throw new InvalidInputError('A URL among the options holds credentials.', {
      fix: 'Leave them out: no role sends any.',
    })
  if (url.search !== '' || url.hash !== '')
    throw new InvalidArgumentError('It must be a URL without query or fragment.')
  return url.href.replace(/\/+$/, '')
}

/** A name of a role, as it stands in directories and paths. */
export function roleName(text: string): string {
  if (!nameSchema.safeParse(text).success)
    throw new InvalidArgumentError('It must be a name of letters, digits, dots and dashes.')
  return text
}

/** An identity, as its role prints it. */
export function identityText(text: string): Identity {
  try {
    return readIdentity(text)
  } catch {
    throw new InvalidArgumentError(
      'It must be an identity: 43 characters of base64url, as the role prints it.',
    )
  }
}

/** `name=url`. */
export function namedUrl(text: string): { readonly name: string; readonly url: string } {
  const at = text.indexOf('=')
  if (at < 0)
    throw new InvalidArgumentError('It must be a name and a URL, like gate=https://gate.example.org.')
  return { name: roleName(text.slice(0, at)), url: httpUrl(text.slice(at + 1)) }
}

/** `url#identity`. */
export function pinnedUrl(text: string): { readonly url: string; readonly identity: Identity } {
  const at = text.indexOf('#')
  if (at < 0)
    throw new InvalidArgumentError(
      'It must be a URL and an identity, like https://node.example.org#<identity>.',
    )
  return { url: httpUrl(text.slice(0, at)), identity: identityText(text.slice(at + 1)) }
}

/** Makes of a parser one for an option that may be given several times, or as one list with commas (in an environment variable). */
export const each =
  <Value>(parse: (text: string) => Value) =>
  (text: string, before: readonly Value[] = []): readonly Value[] => [
    ...before,
    ...text.split(',').map((part) => parse(part.trim())),
  ]

/** What every role takes. Its variables begin with `RIALTO_<ROLE>_`. */
export function roleOptions(role: string, port: number): readonly Option[] {
  const variable = `RIALTO_${role.toUpperCase()}`
  return [
    new Option('--host <address>', 'where to listen').env(`${variable}_HOST`).default('127.0.0.1'),
    new Option('--port <n>', '0 takes any that is free')
      .env(`${variable}_PORT`)
      .default(port)
      .argParser(whole('a port', 0, 65_535)),
    new Option('--log <level>', 'how much goes to standard error').choices(logLevels).default('info'),
    new Option('--json', 'print where it listens as one JSON object'),
  ]
}
