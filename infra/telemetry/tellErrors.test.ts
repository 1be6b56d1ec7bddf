import { expect, it } from 'vitest'
import { memoryLogger } from '../../test/engine/engine.fixture.ts'
import { tellErrors } from './tellErrors.ts'

it('tells each different error once, and logs them all', () => {
  const log = memoryLogger()
  const told: string[] = []
  const logger = tellErrors(log, (line) => told.push(line))
  for (let block = 0; block < 3; block += 1)
    logger.error({ job: `run.${block}`, error: 'There is no space left on the disk.' }, 'job failed')
  logger.warn({}, 'a warning')
  expect(told).toEqual(['  ! job failed: There is no space left on the disk.'])
  expect(log.lines.map(({ level }) => level)).toEqual(['error', 'error', 'error', 'warn'])
})

it('ends with a pointer to the log', () => {
  const told: string[] = []
  const logger = tellErrors(memoryLogger(), (line) => told.push(line))
  for (let n = 0; n < 30; n += 1) logger.error({}, `error ${n}`)
  expect(told).toHaveLength(20)
  expect(told.at(-1)).toBe('  ! and more: see the log')
})
