import { RialtoError } from '../../runtime/core/errors.ts'

const REASONS = {
  ORDERS_UNREADABLE: ['cannot be read', 'Make it readable for its owner; until then everything is halted.'],
  ORDERS_CORRUPT: [
    'was damaged or edited',
    'Remove the line, and say again what is to hold; until then everything is halted.',
  ],
  ORDERS_UNWRITABLE: [
    'cannot be written',
    'Make room on the disk, or stop the processes: the order does not hold.',
  ],
} as const

/** The file of the owner's orders cannot be used. Whoever reads it halts; whoever writes it has not been heard. */
export class OrdersError extends RialtoError {
  override readonly name = 'OrdersError'
  constructor(code: keyof typeof REASONS, path: string, detail: string) {
    const [what, fix] = REASONS[code]
    super(code, `The orders in ${path} ${what} (${detail}).`, { fix, details: { path, detail } })
  }
}
