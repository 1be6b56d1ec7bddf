import { Command } from 'commander'
import { RialtoError } from '../../../runtime/core/errors.ts'
import { fetchStatus } from '../../api/client.ts'
import { type Config, loadConfig } from '../../config/loadConfig.ts'
import { type Environment, loadEnvironment } from '../../config/loadEnvironment.ts'
import { prepareDirectory } from '../../directory.ts'
import { createChatModel } from '../../inference/createChatModel.ts'
import { joinNetwork } from '../../inference/joinNetwork.ts'
import { LOOPBACK_CAVEAT } from '../../inference/startLoopbackNetwork.ts'
import { openQueueServer } from '../../queue/openQueueServer.ts'
import { openStore } from '../../store/openStore.ts'
import { anvilBinary } from '../../world/anvil.ts'
import { paint, type Terminal } from '../terminal.ts'
import { examineChain } from './doctor/examineChain.ts'
import { examineSafety } from './doctor/examineSafety.ts'
import { type Finding, look } from './doctor/finding.ts'

const MIN_NODE = 20

/** `rialto doctor`: what is missing, and how to mend it. */
export function doctorCommand(terminal: Terminal): Command {
  return new Command('doctor')
    .description('look at everything that a start needs, and say what is missing and how to mend it')
    .option('--config <file>', 'the configuration (default: rialto.config.ts in this folder)')
    .option('--json', 'print the findings as a JSON array')
    .action(async (options: { config?: string; json?: boolean }) => {
      const findings = await examine(options.config)
      if (findings.some(({ ok }) => !ok)) process.exitCode = 1
      if (options.json === true) return terminal.out(JSON.stringify(findings))
      for (const { name, ok, warning, detail, fix } of findings) {
        const mark = !ok
          ? paint('red', '✗', process.stdout)
          : warning
            ? paint('yellow', '!', process.stdout)
            : paint('green', '✓', process.stdout)
        terminal.out(
          `${mark} ${name.padEnd(14)} ${detail}${fix === null ? '' : `\n  ${' '.repeat(14)} ${fix}`}`,
        )
      }
    })
}

async function examine(configPath: string | undefined): Promise<readonly Finding[]> {
  const findings = [await look('node', checkNode), await look('anvil', () => anvilBinary())]
  let environment: Environment = {}
  findings.push(
    await look('environment', () => {
      environment = loadEnvironment(process.env)
      const names = Object.keys(environment)
      return names.length === 0
        ? 'nothing is set: the embedded defaults are used'
        : `sets ${names.join(', ')}`
    }),
  )
  let config: Config | null = null
  findings.push(
    await look('configuration', async () => {
      config = await loadConfig(configPath, environment)
      return `${config.path}: ${config.agents.map(({ id, policy }) => `${id} (${policy.mode})`).join(', ')}`
    }),
  )
  if (config !== null) findings.push(...(await examineConfig(config)))
  return findings
}

function checkNode(): string {
  const major = Number(process.versions.node.split('.')[0])
  if (major >= MIN_NODE) return `version ${process.versions.node}`
  throw new RialtoError('NODE_TOO_OLD', `Node ${process.versions.node} is too old.`, {
    fix: `Install Node ${MIN_NODE} or later.`,
  })
}

async function examineConfig(config: Config): Promise<readonly Finding[]> {
  const { store, queue, chain } = config
  const running = await fetchStatus(config.directory).catch(() => null)
  const inUse = running !== null
  return [
    await look('folder', async () => prepareDirectory(config.directory)),
    await look('journal', async () => {
      // The embedded database belongs to the process that runs: it is looked at through that one.
      if (inUse && store.databaseUrl === null) return `in use by the runtime, process ${running.pid}`
      const opened = await openStore(
        store.databaseUrl === null ? { directory: config.directory } : { url: store.databaseUrl },
      )
      await opened.close()
      return opened.database.where
    }),
    await look('queue', async () => {
      const opened = await openQueueServer(queue.redisUrl === null ? {} : { redisUrl: queue.redisUrl })
      await opened.close()
      return [`${opened.kind}, ${opened.where}`, ...opened.notes].join('; ')
    }),
    await look('inference', () => examineInference(config, inUse)),
    ...(await examineChain(
      chain,
      config.agents.some(({ policy }) => policy.mode !== 'observe'),
    )),
    ...(await examineSafety(config, inUse)),
    await look('runtime', () => (inUse ? `runs, process ${running.pid}: ${running.phase}` : 'does not run')),
  ]
}

/** What the agents would think with, asked as far as that costs nothing. */
async function examineInference({ inference, directory }: Config, inUse: boolean): Promise<string> {
  const { url, model, key, network, privacy, passphrase } = inference
  if (url !== null) {
    const { name } = await createChatModel({
      url,
      ...(model === null ? {} : { model }),
      ...(key === null ? {} : { apiKey: key }),
    })
    return `${name} at ${new URL(url).host}: local, nothing leaves this machine`
  }
  if (network === null) return `the reference analyst through a network on loopback: ${LOOPBACK_CAVEAT}`
  if (inUse) return `a private network, in use by the runtime (${privacy} or better)`
  const joined = await joinNetwork({
    directory,
    purse: 'agents',
    network,
    privacy: privacy === 'local' ? 'private' : privacy,
    ...(passphrase === null ? {} : { passphrase }),
  })
  try {
    const { directory: keys, confirmedBy } = await joined.directory()
    const { ready } = await joined.balance()
    return `gateway ${keys.gateway}, epoch ${keys.epoch}, the same keys from ${confirmedBy.length + 1} sources, ${ready} tokens`
  } finally {
    await joined.close()
  }
}
