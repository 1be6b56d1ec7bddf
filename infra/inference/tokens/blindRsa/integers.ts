/**
 * Integers for the public-key side of blind RSA, on native BigInt.
 *
 * **Not constant-time.** How long they take depends on their operands, so nothing here ever touches a private key:
 * signing stays in OpenSSL ({@link blindSign}). What the client blinds with does pass through here, on the client's
 * own machine, once for each token.
 */

/** OS2IP of RFC 8017 section 4.2. @example toInteger(Uint8Array.of(1, 0)) // 256n */
export function toInteger(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}

/** I2OSP of RFC 8017 section 4.1; the caller knows that it fits. @example toOctets(256n, 3) // 00 01 00 */
export function toOctets(value: bigint, length: number): Uint8Array {
  return Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex')
}

/** base^exponent mod modulus. @example modPow(3n, 4n, 5n) // 1n */
export function modPow(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n % modulus
  let square = base % modulus
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus
    square = (square * square) % modulus
  }
  return result
}

/**
 * The inverse by the extended Euclidean algorithm.
 *
 * @returns null when there is none, which is when the two have a common factor
 * @example modInverse(3n, 7n) // 5n
 */
export function modInverse(value: bigint, modulus: bigint): bigint | null {
  let [a, b] = [modulus, value % modulus]
  let [x, y] = [0n, 1n]
  while (b > 1n) {
    const quotient = a / b
    const rest = a - quotient * b
    const next = x - quotient * y
    a = b
    b = rest
    x = y
    y = next
  }
  if (b === 0n) return modulus === 1n ? 0n : null
  return y < 0n ? y + modulus : y
}
