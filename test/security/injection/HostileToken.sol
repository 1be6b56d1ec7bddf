// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TestToken} from "infra/contracts/TestToken.sol";

/// @notice The dollars of the local world after their issuer turned hostile: the same storage, and texts that the
/// issuer chooses. For tests.
contract HostileToken is TestToken {
    string private _hostileName;
    string private _hostileSymbol;
    string private _reason;

    constructor() TestToken("", "", 6) {}

    function name() public view override returns (string memory) {
        return bytes(_hostileName).length == 0 ? super.name() : _hostileName;
    }

    function symbol() public view override returns (string memory) {
        return bytes(_hostileSymbol).length == 0 ? super.symbol() : _hostileSymbol;
    }

    /// @dev Whoever pulls tokens fails with the issuer's words, once there are any. Uniswap hides what a plain
    /// transfer fails with ("TF"); Aave passes on what its pull does.
    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        if (bytes(_reason).length != 0) revert(_reason);
        return super.transferFrom(from, to, value);
    }
}
