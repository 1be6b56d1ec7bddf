import { expect } from 'vitest'

/** Waits until something holds, however long a busy machine takes; it is looked at over and over. */
export const eventually = <T>(look: () => T | Promise<T>, interval = 20) =>
  expect.poll(look, { timeout: 45_000, interval })
