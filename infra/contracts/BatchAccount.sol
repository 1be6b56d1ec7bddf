// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC7821} from "@openzeppelin/contracts/account/extensions/draft-ERC7821.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ERC721Holder} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Holder.sol";
import {SignerEIP7702} from "@openzeppelin/contracts/utils/cryptography/signers/SignerEIP7702.sol";

/**
 * @title BatchAccount
 * @notice The code to which an externally owned account delegates (EIP-7702) so that a plan of several calls is
 * one atomic transaction.
 * @dev `execute(bytes32 mode, bytes executionData)` is OpenZeppelin's ERC-7821 with its default rule: only
 * `address(this)` may call it, that is, only a transaction that the account's own key signed. There is no
 * signature path, no module, no owner, no storage and no callback that acts, so nobody else has a way in, and leaving
 * the delegation leaves nothing behind.
 *
 * What an address without code takes for granted is given back to it: plain ether ({receive}, without which
 * `WETH.withdraw` reverts too), `safeTransferFrom` and `safeMint` of ERC-721 (Uniswap positions), and
 * signatures: contracts that find code at the signer ask ERC-1271 instead of recovering the key.
 */
contract BatchAccount is ERC7821, SignerEIP7702, ERC721Holder, IERC1271 {
    /// @notice Takes ether, as the account did before it had code.
    receive() external payable {}

    /**
     * @notice Whether `signature` over `hash` was made with the account's own key (ERC-1271).
     * @param hash the digest that was signed
     * @param signature 65 bytes: r, s, v
     * @return magicValue `0x1626ba7e` when it was, `0xffffffff` otherwise; never reverts on a malformed one
     */
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4 magicValue) {
        return _rawSignatureValidation(hash, signature) ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}
