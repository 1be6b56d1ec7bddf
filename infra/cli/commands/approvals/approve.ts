import { join } from 'node:path'
import { Command, Option } from 'commander'
import { type Hex, isAddressEqual } from 'viem'
import { ApprovalClosedError, approvalOf, isWaiting } from '../../../../runtime/core/approvalRecords.ts'
import { approvalTypedData } from '../../../../runtime/core/approvals.ts'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import type { ApprovalView } from '../../../approvals/view.ts'
import { openKeystore } from '../../../signer/keystore/openKeystore.ts'
import {
  obtainPassphrase,
  type PassphraseOptions,
  passphraseFdOption,
  passphraseFileOption,
} from '../../passphrase.ts'
import type { Terminal } from '../../terminal.ts'
import { findKey, findWallet } from '../wallet/openWallet.ts'
import {
  type ApprovalsOptions,
  approvalsOptions,
  atDesk,
  findApproval,
  findBook,
  summary,
} from './openApprovals.ts'
import { renderRequest } from './render.ts'

type Options = ApprovalsOptions &
  PassphraseOptions & {
    readonly key?: string
    readonly signature?: string
    readonly printTypedData?: boolean
  }

/** `rialto approvals approve`: an owner's signature over exactly one plan and what it was shown to do. */
export function approveCommand(terminal: Terminal): Command {
  return approvalsOptions(
    new Command('approve')
      .description('sign for a plan as one of its owners, or take a signature that was made elsewhere')
      .argument('<id>', 'the request, or the first digits of its id')
      .addOption(
        new Option('--key <label>', "sign with this key of the keystore, an owner's").conflicts([
          'signature',
          'printTypedData',
        ]),
      )
      .addOption(
        new Option('--signature <hex>', 'take this signature, of a hardware wallet say').conflicts(
          'printTypedData',
        ),
      )
      .option('--print-typed-data', 'print what is to be signed (EIP-712) as JSON, and sign nothing')
      .addOption(passphraseFileOption())
      .addOption(passphraseFdOption()),
  ).action(async (id: string, options: Options) => {
    const { key, signature, printTypedData } = options
    if (key === undefined && signature === undefined && printTypedData !== true)
      throw new InvalidInputError('It is not said who signs.', {
        fix: 'Name a key with --key, print what is to be signed elsewhere with --print-typed-data, or hand in what was signed with --signature.',
      })
    // A person may take long over a passphrase: nothing is held open meanwhile.
    const view = await atDesk(options, (desk) => findApproval(desk, id))
    if (printTypedData === true) return terminal.out(JSON.stringify(typedDataJson(view)))
    requireWaiting(view)
    if (key !== undefined && options.json !== true)
      terminal.note(`${renderRequest(view, await findBook(options, view))}\n`)
    const signed =
      signature === undefined ? await signWith(key ?? '', view, options) : (signature.trim() as Hex)
    const { approval, changed } = await atDesk(options, (desk) => desk.approve(view.record.id, signed))
    if (options.json === true) return terminal.out(JSON.stringify({ ...summary(approval), changed }))
    const { record } = approval
    const missing = record.threshold - record.signatures.length
    terminal.out(changed ? 'Signed.' : 'This owner has signed before: nothing changed.')
    terminal.out(
      missing > 0
        ? `${missing} more of the owners have to sign.`
        : 'Enough owners have signed: it is sent at the next block, if it still does what was shown.',
    )
  })
}

function requireWaiting({ record, intent }: ApprovalView): void {
  if (!isWaiting(record)) throw new ApprovalClosedError(record.id, `it is ${record.status}`)
  if (intent !== 'proposed') throw new ApprovalClosedError(record.id, `its intent is ${intent}`)
}

/** As `eth_signTypedData_v4` takes it: the domain's type is named, and figures are decimal strings. */
function typedDataJson({ record }: ApprovalView) {
  const { types, message, ...rest } = approvalTypedData(record.plan, approvalOf(record))
  return {
    types: {
      EIP712Domain: [
        { name: 'name', type: 'string' },
        { name: 'version', type: 'string' },
        { name: 'chainId', type: 'uint256' },
        { name: 'verifyingContract', type: 'address' },
      ],
      ...types,
    },
    ...rest,
    message: { ...message, expiresAt: message.expiresAt.toString() },
  }
}

/**
 * The signature of a key of the keystore.
 *
 * @throws {InvalidInputError} when there is no such key, or it is no owner's; before any passphrase is asked for.
 */
async function signWith(label: string, { record }: ApprovalView, options: Options): Promise<Hex> {
  const wallet = await findWallet(options)
  const key = findKey(wallet, label)
  if (!record.owners.some((owner) => isAddressEqual(owner, key.address)))
    throw new InvalidInputError(`${key.address} is no owner: the policy does not name it.`, {
      fix: `Sign with a key of ${record.owners.join(', ') || 'an owner; the policy names none'}.`,
    })
  const passphrase = await obtainPassphrase(wallet.passphrase, { of: 'the keystore', isNew: false })
  const keystore = openKeystore(join(wallet.directory, 'keystore'), passphrase)
  try {
    const account = keystore.load(label)
    if (account === null) throw new InvalidInputError(`There is no key labelled "${label}".`)
    return await account.signTypedData(approvalTypedData(record.plan, approvalOf(record)))
  } finally {
    keystore.close()
  }
}
