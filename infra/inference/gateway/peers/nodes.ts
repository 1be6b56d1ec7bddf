import { isValidAt } from '../../protocol/network/directory.ts'
import type { Identity } from '../../protocol/network/identity.ts'
import { readNodeDescription, type VerifiedNode } from '../../protocol/network/nodeDescription.ts'
import { routes } from '../../protocol/network/routes.ts'
import { PeerError } from '../errors.ts'
import type { NodeOption } from '../options.ts'
import { fetchText } from './fetchText.ts'
import { type Watch, watch } from './watch.ts'

const MOST_BYTES = 1_048_576
/** How soon a node is asked again whose description is not known yet, in milliseconds. */
const EAGER = 1_000

/** A node whose description is looked at now and then. */
export type NodeView = {
  readonly url: string
  readonly identity: Identity
  /** What it said of itself last, as long as that is valid. */
  readonly node: VerifiedNode | undefined
}

export type NodeWatch = {
  readonly views: readonly NodeView[]
  /** Resolves when each was asked once. */
  readonly asked: Promise<void>
  /** Asks that node now. */
  ask(identity: Identity): void
  /** Takes descriptions that another process has published, where they are newer than those known here. */
  adopt(nodes: readonly VerifiedNode[]): void
  stop(): void
}

/**
 * Looks at the descriptions of all nodes. A node that does not answer keeps its last one until that ends; what
 * another identity signed is not taken.
 *
 * @param known from a directory that was published before
 * @param onChange called after a node says something else than before
 */
export function watchNodes(parameters: {
  readonly nodes: readonly NodeOption[]
  readonly known: readonly VerifiedNode[]
  readonly pause: number
  readonly now: () => number
  readonly onChange: () => void
  /** Told when a node cannot be asked, and when it can again. */
  readonly onProblem: (peer: string, problem: unknown) => void
}): NodeWatch {
  const { nodes, known, pause, now, onChange, onProblem } = parameters
  const isValid = (node: VerifiedNode): boolean => isValidAt(node.description, Math.floor(now() / 1000))

  const views = nodes.map(({ url, identity }) => {
    let said: VerifiedNode | undefined
    return {
      url,
      identity,
      get node() {
        return said !== undefined && isValid(said) ? said : undefined
      },
      take(node: VerifiedNode) {
        said = node
      },
      get said() {
        return said
      },
    }
  })

  function adopt(others: readonly VerifiedNode[]): void {
    for (const view of views) {
      const other = others.find(({ identity }) => identity.text === view.identity.text)
      if (other === undefined) continue
      if (view.said === undefined || other.description.notBefore >= view.said.description.notBefore)
        view.take(other)
    }
  }
  adopt(known)

  const asked: Promise<void>[] = []
  const watches = new Map<string, Watch>()
  for (const view of views) {
    const peer = `The node ${view.identity.text}`
    const look = async (): Promise<void> => {
      const url = `${view.url}${routes.node.description}`
      const text = await fetchText({ url, peer, most: MOST_BYTES })
      if (text === view.said?.document) return
      const node = await readNodeDescription(text)
      if (node.identity.text !== view.identity.text)
        throw new PeerError(peer, 'gave a description that another identity signed')
      if (!isValid(node)) throw new PeerError(peer, 'gave a description that is not valid now')
      view.take(node)
      onChange()
    }
    const watching = watch(
      () =>
        look()
          .then(() => onProblem(peer, undefined))
          .catch((error) => onProblem(peer, error)),
      () => (view.node === undefined ? Math.min(EAGER, pause) : pause),
    )
    asked.push(watching.first)
    watches.set(view.identity.text, watching)
  }

  return {
    views,
    asked: Promise.all(asked).then(() => undefined),
    ask(identity) {
      void watches.get(identity.text)?.now()
    },
    adopt,
    stop() {
      for (const each of watches.values()) each.stop()
    },
  }
}
