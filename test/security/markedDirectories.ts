import { nodeHpke } from '../../infra/inference/protocol/hpke/nodeHpke.ts'
import { type Directory, signDirectory } from '../../infra/inference/protocol/network/directory.ts'
import { generateIdentity, type IdentityKey } from '../../infra/inference/protocol/network/identity.ts'
import { signNodeDescription } from '../../infra/inference/protocol/network/nodeDescription.ts'
import { encodeKeyConfigs } from '../../infra/inference/protocol/ohttp/keyConfig.ts'
import { createGatewayKey, keyConfigOf } from '../../infra/inference/protocol/ohttp/keys.ts'
import { generateTokenKey } from '../../infra/inference/tokens/blindRsa/keys.ts'

const seconds = () => Math.floor(Date.now() / 1_000)
const period = () => ({ notBefore: seconds() - 60, notAfter: seconds() + 3_600 })

/** A gateway's own keys, as a directory has them. */
const ohttpKeys = async (id: number): Promise<string> => {
  const key = await createGatewayKey(nodeHpke, id, await nodeHpke.generateKeyPair())
  return Buffer.from(encodeKeyConfigs([keyConfigOf(key)])).toString('base64')
}

const tokenKey = async () => ({
  key: Buffer.from((await generateTokenKey()).publicKey.spki).toString('base64'),
  ...period(),
})

/** Directories of one gateway: true ones, and such as are made for one client alone. */
export async function createDirectories(parameters: {
  readonly gateway: string
  readonly mint: { readonly name: string; readonly url: string; readonly key: string }
}) {
  const { gateway, mint } = parameters
  const identity = generateIdentity()
  const nodeIdentity = generateIdentity()
  const describe = async (by: IdentityKey, price = 1_000) =>
    signNodeDescription(by, {
      version: 1,
      name: 'node-a',
      operator: 'operator-a',
      ...period(),
      keys: await ohttpKeys(1),
      models: [
        {
          id: 'model-a',
          privacy: 'private',
          context: 8_192,
          price: { prompt: 250, completion: price },
          serves: ['chat'],
        },
      ],
    })
  const truth: Directory = {
    version: 1,
    gateway,
    epoch: 5,
    ...period(),
    keys: await ohttpKeys(7),
    mints: [{ name: mint.name, url: mint.url, keys: [{ key: mint.key, ...period() }] }],
    changeKeys: [await tokenKey()],
    ceilings: [1, 4, 16],
    nodes: [await describe(nodeIdentity)],
  }
  const spare = await tokenKey()
  /** What marks whoever is given it: a request, a token or a payment of theirs is then told from all others. */
  const marks: Readonly<Record<string, () => Promise<Partial<Directory>>>> = {
    'a key of the gateway': async () => ({ keys: await ohttpKeys(7) }),
    'a second key of the gateway': async () => {
      const [one, two] = [truth.keys, await ohttpKeys(8)].map((text) => Buffer.from(text, 'base64'))
      return { keys: Buffer.concat([two ?? Buffer.of(), one ?? Buffer.of()]).toString('base64') }
    },
    'a key of a node': async () => ({ nodes: [await describe(nodeIdentity)] }),
    'a node of their own': async () => ({ nodes: [await describe(generateIdentity())] }),
    'a price of a node': async () => ({ nodes: [await describe(nodeIdentity, 1_001)] }),
    'a key of the mint': async () => ({
      mints: truth.mints.map((each) => ({ ...each, keys: [...each.keys, spare] })),
    }),
    'a change key': async () => ({ changeKeys: [...truth.changeKeys, await tokenKey()] }),
    'a ceiling class': async () => ({ ceilings: [1, 2, 4, 16] }),
    'a bound of time': async () => ({ notAfter: truth.notAfter + 1 }),
  }
  return {
    identity: identity.identity.text,
    mintKey: Buffer.from(mint.key, 'base64'),
    marks,
    sign: (changes: Partial<Directory> = {}) => signDirectory(identity, { ...truth, ...changes }),
  }
}
