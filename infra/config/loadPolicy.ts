import { checkPolicy, type Policy, PolicyError } from '../../runtime/guards/policy.ts'
import { JsonSyntaxError, type LocatedJson, readJson } from './readJson.ts'
import { readText } from './readText.ts'

/**
 * Reads a policy file.
 *
 * @param path absolute, or from the working folder
 * @throws {PolicyError} naming file, line and JSON path of everything that is wrong.
 * @throws {ConfigFileError} when there is no such file or it cannot be read.
 * @example (await loadPolicy('policies/lending-guardian.json')).mode // 'execute'
 */
export async function loadPolicy(path: string): Promise<Policy> {
  const json = locate(await readText('the policy', path), path)
  const checked = checkPolicy(json.value)
  if ('policy' in checked) return checked.policy
  throw new PolicyError(
    checked.issues.map((issue) => ({ ...issue, line: json.lineOf(issue.path) })),
    path,
  )
}

function locate(text: string, path: string): LocatedJson {
  try {
    return readJson(text)
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    const message = `is no JSON: ${error.reason} (column ${error.column})`
    throw new PolicyError([{ path: [], message, line: error.line }], path)
  }
}
