import { checkPolicy, type Policy, PolicyError } from '../../runtime/guards/policy.ts'
import { readJsonFile } from './readJsonFile.ts'
import { shownPath } from './shownPath.ts'

/**
 * Reads a policy file.
 *
 * @param path absolute, or from the working folder
 * @throws {PolicyError} naming file, line and JSON path of everything that is wrong.
 * @throws {ConfigFileError} when there is no such file or it cannot be read.
 * @example (await loadPolicy('policies/lending-guardian.json')).mode // 'execute'
 */
export async function loadPolicy(path: string): Promise<Policy> {
  const json = await readJsonFile('the policy', path, (issue) => new PolicyError([issue], shownPath(path)))
  const checked = checkPolicy(json.value)
  if ('policy' in checked) return checked.policy
  throw new PolicyError(
    checked.issues.map((issue) => ({ ...issue, line: json.lineOf(issue.path) })),
    shownPath(path),
  )
}
