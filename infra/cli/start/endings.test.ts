import { expect, it } from 'vitest'
import { RialtoError } from '../../../runtime/core/errors.ts'
import { createEndings } from './endings.ts'

it('ends the last first, all of them, and once', async () => {
  const notes: string[] = []
  const ended: string[] = []
  const endings = createEndings((line) => notes.push(line))
  endings.add(() => {
    ended.push('first')
  })
  endings.add(async () => {
    throw new RialtoError('LOST', 'It is lost.')
  })
  endings.add(async () => {
    ended.push('last')
  })
  await endings.run()
  await endings.run()
  expect(ended).toEqual(['last', 'first'])
  expect(notes).toEqual(['rialto: while ending: It is lost.'])
})
