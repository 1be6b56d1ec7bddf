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
    sum: (row: string): number => [...(counts.get(row)?.values() ?? [])].reduce((sum, n) => sum + n, 0),
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
