import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Where optional sample data lies: real price histories and published vectors, which add cases where they are
 * there and which nothing needs to pass. `RIALTO_DATA_DIR` names the directory; by default it is looked for
 * beside the package.
 */
const dataDirectory = process.env.RIALTO_DATA_DIR ?? resolve(packageRoot(), '../shared/data')

function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory)
  return directory
}

/** A file of the optional sample data, which may not be there. */
type SampleFile = {
  readonly path: string
  readonly exists: boolean
  /** What to call the suite that needs it, so that a run without the file says why it is left out. */
  readonly title: string
}

/**
 * A file of the optional sample data.
 *
 * @param name relative to the data directory
 * @example
 * const hourly = sampleFile('prices/mantis_ETH_1h_2020-2025.csv')
 * describe.runIf(hourly.exists)(`real hours (${hourly.title})`, () => {})
 */
export function sampleFile(name: string): SampleFile {
  const path = join(dataDirectory, name)
  return { path, exists: existsSync(path), title: `optional sample data: ${name}` }
}
