// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

/// @notice Pays ether on, with all its gas or with the stipend that Solidity's `transfer` gave. For tests.
contract EtherSender {
    function withStipend(address payable to) external payable {
        (bool success,) = to.call{value: msg.value, gas: 2300}("");
        require(success, "not taken");
    }

    function viaCall(address payable to) external payable {
        (bool success,) = to.call{value: msg.value}("");
        require(success, "not taken");
    }
}

/// @notice Mints only to who can hold it. For tests.
contract SafeNft is ERC721 {
    uint256 private _last;

    constructor() ERC721("Safe", "SAFE") {}

    function safeMint(address to) external returns (uint256 id) {
        id = ++_last;
        _safeMint(to, id);
    }
}
