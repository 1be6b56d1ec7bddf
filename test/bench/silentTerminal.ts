import type { Terminal } from '../../infra/cli/terminal.ts'

/** A terminal that says nothing: a benchmark has one table to print. */
export const silentTerminal: Terminal = {
  out: () => undefined,
  note: () => undefined,
  step: (_name, work) => work(),
}
