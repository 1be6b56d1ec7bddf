import type { PoolClient } from 'pg'

/**
 * Has a client prepare each statement the first time that it is asked: in the embedded PostgreSQL parsing and planning take
 * longer than the work, and so are done once. Only what is given as an object is prepared, which is how drizzle asks: there
 * are few different texts, since all values are parameters. Not for a server, which may be behind a pooler that hands the
 * session on.
 */
export function prepareStatements(client: PoolClient): void {
  const names = new Map<string, string>()
  const nameOf = (text: string): string => {
    const name = names.get(text) ?? `rialto_${names.size}`
    names.set(text, name)
    return name
  }
  const ask = client.query.bind(client) as (...given: unknown[]) => unknown
  client.query = ((config: unknown, ...rest: unknown[]) =>
    ask(
      isUnnamed(config) ? { ...config, name: nameOf(config.text) } : config,
      ...rest,
    )) as typeof client.query
}

/** A statement with a text and no name; nothing that is a query of pg itself already. */
const isUnnamed = (config: unknown): config is { readonly text: string } =>
  typeof config === 'object' &&
  config !== null &&
  'text' in config &&
  typeof config.text === 'string' &&
  !('submit' in config) &&
  !('name' in config && config.name !== undefined)
