/**
 * A decimal string as money: `12345.678` as `12,345.67`. Rounded towards zero in the last digit shown: a summary may
 * say too little, never too much.
 *
 * @param text a decimal string of dollars, as `formatUsd` makes it
 * @example money('1288.1') // '1,288.10'
 */
export function money(text: string): string {
  const [whole = '0', fraction = ''] = text.split('.')
  return `${whole.replace(/\B(?=(\d{3})+(?!\d))/g, ',')}.${fraction.slice(0, 2).padEnd(2, '0')}`
}
