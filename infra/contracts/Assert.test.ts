import { type Address, maxUint256, parseEther, parseUnits, zeroAddress } from 'viem'
import { describe, expect, it } from 'vitest'
import { contractScene } from './test/scene.ts'

const scene = await contractScene()
const { aave, usdc, usdcReserve, wethReserve, assertion, client } = scene
const owner = await scene.borrower('owner')
const rich = await scene.person('rich', '5')
const stranger = (await scene.person('stranger')).address

/** The decoded error of an assertion as of the last block, or `holds`. */
async function verdict(functionName: string, ...args: unknown[]): Promise<string> {
  const { to, data = '0x' } = assertion(functionName, ...args)
  try {
    await client.call({ to, data })
    return 'holds'
  } catch (error) {
    return scene.errorOf(error)
  }
}

describe('minHealthFactor', () => {
  it('holds up to the factor itself', async () => {
    const factor = await scene.healthFactor(owner.address)
    expect(await verdict('minHealthFactor', aave, owner.address, factor)).toBe('holds')
    expect(await verdict('minHealthFactor', aave, owner.address, factor + 1n)).toBe(
      `HealthFactorTooLow(${owner.address}, ${factor}, ${factor + 1n})`,
    )
  })

  it('holds for whoever owes nothing', async () => {
    expect(await verdict('minHealthFactor', aave, stranger, maxUint256)).toBe('holds')
  })
})

describe('minBalance and maxBalance', () => {
  it('hold up to the balance itself', async () => {
    const debt = parseUnits('15000', 6)
    expect(await verdict('minBalance', wethReserve.aToken, owner.address, parseEther('10'))).toBe('holds')
    expect(await verdict('minBalance', usdc, stranger, 1n)).toBe(`BalanceTooLow(${usdc}, ${stranger}, 0, 1)`)
    const token = usdcReserve.variableDebtToken
    const owed = (await scene.holdings(owner)).usdcDebt
    expect(owed).toBeGreaterThanOrEqual(debt)
    expect(await verdict('maxBalance', token, owner.address, owed)).toBe('holds')
    expect(await verdict('maxBalance', token, owner.address, owed - 1n)).toBe(
      `BalanceTooHigh(${token}, ${owner.address}, ${owed}, ${owed - 1n})`,
    )
  })

  it('take the zero address for the native coin', async () => {
    const { address } = rich
    const balance = parseEther('5')
    expect(await verdict('minBalance', zeroAddress, address, balance)).toBe('holds')
    expect(await verdict('minBalance', zeroAddress, address, balance + 1n)).toMatch(/^BalanceTooLow/)
    expect(await verdict('maxBalance', zeroAddress, address, balance)).toBe('holds')
    expect(await verdict('maxBalance', zeroAddress, address, balance - 1n)).toMatch(/^BalanceTooHigh/)
  })

  it('do not take a token that is not there for a balance', async () => {
    expect(await verdict('minBalance', stranger as Address, owner.address, 0n)).toBe('reverts')
    expect(await verdict('maxBalance', stranger as Address, owner.address, maxUint256)).toBe('reverts')
  })
})

describe('zeroAllowance', () => {
  it('holds at nothing, and at nothing else', async () => {
    const pair = [owner.address, stranger] as const
    expect(await verdict('zeroAllowance', usdc, ...pair)).toBe('holds')
    await scene.run(owner, scene.approve(usdc, stranger, 1n))
    expect(await verdict('zeroAllowance', usdc, ...pair)).toBe(
      `AllowanceLeft(${usdc}, ${pair.join(', ')}, 1)`,
    )
  })
})

describe('notAfter', () => {
  it('holds in the last block itself', async () => {
    const now = await client.getBlockNumber()
    expect(await verdict('notAfter', now)).toBe('holds')
    expect(await verdict('notAfter', now - 1n)).toMatch(/^TooLate\(\d+, \d+\)$/)
  })
})
