import { existsSync } from 'node:fs'

const { RIALTO_CHROMIUM } = process.env

/** Where Debian puts it. */
const installed = '/usr/bin/chromium'

/** The browser to test in: the one that `RIALTO_CHROMIUM` names, or an installed one; `undefined` without any. */
export const chromiumPath: string | undefined =
  RIALTO_CHROMIUM || (existsSync(installed) ? installed : undefined)
