/** Counts what became of what was tried. */
export function createTally() {
  const counts = new Map<string, Map<string, number>>()
  return {
    add(row: string, column: string): void {
      const columns = counts.get(row) ?? new Map<string, number>()
      columns.set(column, (columns.get(column) ?? 0) + 1)
      counts.set(row, columns)
    },
    of: (row: string, column: string): number => counts.get(row)?.get(column) ?? 0,
    /** Everything in the rows that begin alike; in one column of them if one is named. */
    sum: (rows: string, column?: string): number =>
      [...counts]
        .filter(([row]) => row.startsWith(rows))
        .flatMap(([, columns]) => [...columns])
        .reduce((sum, [name, n]) => (column === undefined || name === column ? sum + n : sum), 0),
    /** One line a row, the most frequent first. */
    lines: (): readonly string[] =>
      [...counts].map(
        ([row, columns]) =>
          `  ${row.padEnd(28)} ${[...columns]
            .sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
            .map(([column, n]) => `${column} ${n}`)
            .join(', ')}`,
      ),
  }
}
export type Tally = ReturnType<typeof createTally>
