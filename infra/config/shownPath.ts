import { relative, resolve, sep } from 'node:path'

/**
 * A path as a person in the working folder would write it: from there if it lies within, else absolute.
 *
 * @example shownPath('/home/ann/bots/policies/a.json') // 'policies/a.json' in /home/ann/bots
 */
export function shownPath(path: string): string {
  const from = relative(process.cwd(), path)
  return from === '' || from === '..' || from.startsWith(`..${sep}`) ? resolve(path) : from
}
