import { InvariantError } from '../../runtime/core/errors.ts'
import { watchChain } from '../cli/start/watchChain.ts'
import { processTerminal } from '../cli/terminal.ts'
import { loadConfig } from '../config/loadConfig.ts'
import type { DrillAnswer, DrillOrder } from './targets.ts'

// The runtime of a drill, in a process of its own: "rialto start" with a hand inside that breaks what it is told to.

const [configPath] = process.argv.slice(2)
const config = await loadConfig(configPath)
if (config.chain.kind !== 'rpc') throw new InvariantError('A drill runs on a chain behind an RPC.')

const answer = (message: DrillAnswer) => process.send?.(message)

process.exitCode = await watchChain({
  config,
  chain: config.chain,
  port: 0,
  logLevel: 'info',
  once: false,
  protector: true,
  passphrase: config.signer.passphrase,
  terminal: processTerminal,
  onServices({ breakers }) {
    process.on('message', ({ kill }: DrillOrder) => {
      // It is broken while it is in use, so it may complain; that it is gone is all that counts.
      void breakers[kill]()
        .catch(() => undefined)
        .then(() => answer({ killed: kill }))
    })
  },
})
process.disconnect?.()
