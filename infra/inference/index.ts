/** What a program imports that asks a private network: `import { createPrivateFetch } from 'rialto/inference'`. */
export { createPrivateFetch } from './client/createPrivateFetch.ts'
export { createAccountKey } from './client/mint.ts'
export { openPrivateNetwork, type PrivateFetch, type PrivateNetwork } from './client/openPrivateNetwork.ts'
export type {
  GatewayReference,
  LocalOptions,
  MintReference,
  NetworkOptions,
  PrivateFetchOptions,
} from './client/options.ts'
export type { PathReport } from './client/pathReport.ts'
export { recoverWallet } from './client/recoverWallet.ts'
export { openWallet, type Wallet } from './tokens/wallet/openWallet.ts'
