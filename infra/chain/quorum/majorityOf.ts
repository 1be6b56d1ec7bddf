/** More than half. @example majorityOf(3) // 2 */
export const majorityOf = (nodes: number): number => Math.floor(nodes / 2) + 1
