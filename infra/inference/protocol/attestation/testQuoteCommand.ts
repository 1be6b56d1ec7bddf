import { writeSync } from 'node:fs'
import { buildAttestation } from './testQuote.ts'

/*
 * A quote command for `requestQuote.test.ts`: writes an attestation for the report data in its last argument.
 *
 *     node --import tsx testQuoteCommand.ts <report data>
 */

writeSync(1, JSON.stringify(buildAttestation(Buffer.from(process.argv.at(-1) ?? '', 'hex'))))
