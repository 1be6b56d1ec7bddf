import { describeError, RialtoError } from '../../../../runtime/core/errors.ts'

/** What one look found. */
export type Finding = {
  readonly name: string
  readonly ok: boolean
  /** Whether it works, but the owner should know of it. */
  readonly warning: boolean
  readonly detail: string
  readonly fix: string | null
}

/** Looks at one thing. A failure is a finding, never an exception. */
export async function look(name: string, work: () => Promise<string> | string): Promise<Finding> {
  try {
    return { name, ok: true, warning: false, detail: await work(), fix: null }
  } catch (error) {
    return error instanceof RialtoError
      ? { name, ok: false, warning: false, detail: error.message, fix: error.fix ?? null }
      : { name, ok: false, warning: false, detail: describeError(error), fix: null }
  }
}

/** Something that works, and that the owner should know of. */
export const warn = (name: string, detail: string, fix: string | null = null): Finding => ({
  name,
  ok: true,
  warning: true,
  detail,
  fix,
})
