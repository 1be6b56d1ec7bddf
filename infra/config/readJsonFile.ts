import type { ConfigIssue } from './errors.ts'
import { JsonSyntaxError, type LocatedJson, readJson } from './readJson.ts'
import { readText } from './readText.ts'

/**
 * Reads a JSON file.
 *
 * @param what it is, for the error: `the policy`
 * @param wrong makes the error for text that is no JSON
 * @throws {ConfigFileError} when it cannot be read, and what `wrong` makes.
 */
export async function readJsonFile(
  what: string,
  path: string,
  wrong: (issue: ConfigIssue, cause: unknown) => Error,
): Promise<LocatedJson> {
  const text = await readText(what, path)
  try {
    return readJson(text)
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    const message = `is no JSON: ${error.reason} (column ${error.column})`
    throw wrong({ path: [], message, line: error.line }, error)
  }
}
