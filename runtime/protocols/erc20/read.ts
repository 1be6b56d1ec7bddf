import type { Address } from 'viem'
import { type TokenAmount, tokenAmount, type Wei, wei } from '../../core/units.ts'
import { contractRead, mapRead, type Read } from '../read.ts'
import { erc20ReadsAbi, multicall3ReadsAbi } from './abi.ts'

/** What `account` holds of `token`, in its smallest unit. */
export const balanceOf = (token: Address, account: Address): Read<TokenAmount> =>
  mapRead(
    contractRead(`balance of ${account} in token ${token}`, token, erc20ReadsAbi, 'balanceOf', [account]),
    tokenAmount,
  )

/** What `spender` may take of `owner`'s `token`, in its smallest unit. */
export const allowance = (token: Address, owner: Address, spender: Address): Read<TokenAmount> =>
  mapRead(
    contractRead(`allowance of ${spender} on ${owner}'s token ${token}`, token, erc20ReadsAbi, 'allowance', [
      owner,
      spender,
    ]),
    tokenAmount,
  )

/** The native balance of `account` in wei, through Multicall3 so that it can share a batch. */
export const nativeBalanceOf = (multicall3: Address, account: Address): Read<Wei> =>
  mapRead(
    contractRead(`native balance of ${account}`, multicall3, multicall3ReadsAbi, 'getEthBalance', [account]),
    wei,
  )
