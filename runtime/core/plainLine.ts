/**
 * What a person cannot see and a terminal may obey: control characters (escape sequences), line and paragraph
 * separators, lone surrogates, private and unassigned characters, and all that Unicode calls ignorable by default
 * (zero-width and bidirectional marks, tags, variation selectors, fillers). U+2800 is a blank that is no space.
 */
const UNSEEN = /[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u{2800}]+/gu

/** Marks piled on one letter run over the lines above and below. No script needs more than four. */
const PILED_MARKS = /(\p{M}{4})\p{M}+/gu

/**
 * Text from outside (a contract, a node, a model, a server) as one line that is fit for a record, a log or a
 * terminal: runs of what cannot be seen become one space, and what is too long is cut between characters.
 *
 * It makes text harmless to *look at*. Nothing may act on such text, cleaned or not.
 *
 * @param limit the most characters (code points) of the result
 * @example plainLine('Falling\nfast \u001b[31m!') // 'Falling fast [31m!'
 * @example plainLine('approve\u202e 0xdead', 8) // 'approve…'
 */
export function plainLine(text: string, limit: number = Number.POSITIVE_INFINITY): string {
  // Cut first as well: what comes from outside can be megabytes. No character takes more than two units.
  const clean = (limit === Number.POSITIVE_INFINITY ? text : text.slice(0, 4 * limit))
    .replaceAll(UNSEEN, ' ')
    .replaceAll(PILED_MARKS, '$1')
    .trim()
  if (clean.length <= limit) return clean
  const characters = [...clean]
  return characters.length <= limit ? clean : `${characters.slice(0, limit - 1).join('')}…`
}
