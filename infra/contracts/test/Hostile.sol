// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {FlashRepay, IAavePool, IUniswapV3Pool} from "infra/contracts/FlashRepay.sol";

/// @notice A "pool" that does everything but swap. For tests.
contract HostilePool {
    enum Kind { Silent, OtherPayload, Twice, Lies, Reenters, ThroughAnother }

    Kind public kind;
    bytes public payload;
    /// @notice The order to enter again with.
    FlashRepay.Order public again;
    /// @notice Whether the first of two callbacks went through.
    bool public calledBack;

    function set(Kind kind_, bytes calldata payload_) external {
        kind = kind_;
        payload = payload_;
    }

    function setAgain(FlashRepay.Order calldata order) external {
        again = order;
    }

    function swap(address recipient, bool zeroForOne, int256 amount, uint160, bytes calldata data)
        external
        returns (int256, int256)
    {
        FlashRepay target = FlashRepay(msg.sender);
        (int256 amount0, int256 amount1) = zeroForOne ? (int256(1), amount) : (amount, int256(1));
        if (kind == Kind.OtherPayload) target.uniswapV3SwapCallback(amount0, amount1, payload);
        if (kind == Kind.Twice) {
            target.uniswapV3SwapCallback(amount0, amount1, data);
            calledBack = true;
            target.uniswapV3SwapCallback(amount0, amount1, data);
        }
        if (kind == Kind.Lies) target.uniswapV3SwapCallback(amount0, amount1, data);
        if (kind == Kind.Reenters) target.flashRepay(again);
        if (kind == Kind.ThroughAnother) new Relay().callBack(target, amount0, amount1, data);
        recipient;
        return (amount0, amount1);
    }
}

/// @notice Calls back in the pool's stead.
contract Relay {
    function callBack(FlashRepay target, int256 amount0, int256 amount1, bytes calldata data) external {
        target.uniswapV3SwapCallback(amount0, amount1, data);
    }
}

/// @notice A "lending pool" that takes nothing, or more than it should, or enters again. For tests.
contract HostileAave {
    enum Kind { TakesNothing, Takes, Reenters, CallsBack }

    Kind public kind;
    FlashRepay.Order public again;

    function set(Kind kind_, FlashRepay.Order calldata order) external {
        kind = kind_;
        again = order;
    }

    function repay(address asset, uint256 amount, uint256, address) external returns (uint256) {
        if (kind == Kind.Takes) IERC20(asset).transferFrom(msg.sender, address(this), amount);
        if (kind == Kind.Reenters) FlashRepay(msg.sender).flashRepay(again);
        if (kind == Kind.CallsBack) FlashRepay(msg.sender).uniswapV3SwapCallback(1, -1, abi.encode(again));
        return amount;
    }

    function withdraw(address, uint256 amount, address) external pure returns (uint256) {
        return amount;
    }

    /// @notice What it would do with an allowance that was left to it.
    function take(IERC20 token, address from, uint256 amount) external {
        token.transferFrom(from, address(this), amount);
    }
}
