import { InvalidInputError } from '../../runtime/core/errors.ts'
import { describeIssue, type PolicyIssue } from '../../runtime/guards/policy.ts'

/** One thing that is wrong: its path in the file, what it is and what to do, and its line if that is known. */
export type ConfigIssue = PolicyIssue

/** A configuration that is missing, malformed or contradicts itself. All that is wrong is in `issues`. */
export class ConfigError extends InvalidInputError {
  override readonly name = 'ConfigError'
  readonly issues: readonly ConfigIssue[]
  /** @param file where it was read from, fit for a person */
  constructor(issues: readonly ConfigIssue[], file: string, cause?: unknown) {
    super(`Wrong configuration: ${issues.map((issue) => describeIssue(issue, file)).join(' · ')}.`, {
      code: 'CONFIG',
      fix: 'Correct it and start again.',
      details: { file, issues },
      ...(cause === undefined ? {} : { cause }),
    })
    this.issues = issues
  }
}

/** A file that the configuration needs cannot be read. */
export class ConfigFileError extends InvalidInputError {
  override readonly name = 'ConfigFileError'
  constructor(what: string, file: string, why: string, fix: string, cause?: unknown) {
    super(`Cannot read ${what} ${file}: ${why}.`, { code: 'CONFIG_FILE', fix, details: { file }, cause })
  }
}

/** An environment variable that is wrong. Never holds its value, which may be a secret. */
export class EnvironmentError extends InvalidInputError {
  override readonly name = 'EnvironmentError'
  /** The variables that are wrong, each with what is wrong and what to do. */
  readonly variables: Readonly<Record<string, string>>
  constructor(variables: Readonly<Record<string, string>>) {
    super(
      `Wrong environment: ${Object.entries(variables)
        .map(([name, message]) => `${name} ${message}`)
        .join(' · ')}.`,
      { code: 'ENVIRONMENT', fix: 'Correct the environment and start again.', details: { variables } },
    )
    this.variables = variables
  }
}
