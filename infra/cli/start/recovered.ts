/** What a start found and did, as lines of the terminal; one word when there was nothing to do. */
export const recovered = (facts: readonly string[]): readonly string[] =>
  facts.length === 0 ? ['  clean'] : ['  found and did:', ...facts.map((fact) => `    ${fact}`)]
