// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @notice What is used of Aave v3's Pool.
interface IAavePool {
    function repay(address asset, uint256 amount, uint256 interestRateMode, address onBehalfOf)
        external
        returns (uint256);
    function withdraw(address asset, uint256 amount, address to) external returns (uint256);
}

/// @notice What is used of a Uniswap v3 pool.
interface IUniswapV3Pool {
    function swap(
        address recipient,
        bool zeroForOne,
        int256 amountSpecified,
        uint160 sqrtPriceLimitX96,
        bytes calldata data
    ) external returns (int256 amount0, int256 amount1);
}

/**
 * @title FlashRepay
 * @notice Repays the caller's Aave debt out of the caller's Aave collateral in one step, without capital: it buys
 * exactly `repayAmount` of the debt asset from a Uniswap v3 pool, which hands it over first (a flash swap);
 * inside the pool's callback it repays the caller's debt, pulls the aTokens that the caller approved, and
 * withdraws what the pool is owed straight into the pool. What is left goes back to the caller.
 *
 * @dev Immutable, ownerless, no storage, holds nothing between transactions. The parameters are the caller's, and
 * a stranger may name any contract as `aave` and `pool`, so this is what keeps it harmless:
 *
 * - Only the caller of {flashRepay} is ever repaid for, pulled from and paid out to. Nobody can be made to be the
 *   caller but by a transaction that he signed; an allowance to this contract can only be used by who gave it.
 * - {uniswapV3SwapCallback} is armed in transient storage for one call, by one pool, with one exact payload. It
 *   disarms itself before it calls anybody. While {flashRepay} runs, it cannot be entered again.
 * - No allowance survives: neither of the caller's (an approval of exactly `maxCollateral` is used up) nor of this
 *   contract's to `aave`, so that a made-up one cannot be left lying in wait for a later caller's tokens.
 * - Whatever it holds of the two tokens at the end, strays included, goes to the caller: nothing can pile up here,
 *   and a token sent to it can block nobody.
 *
 * The worst that a defect here could cost a caller is one exact allowance; the batch should assert the outcome.
 */
contract FlashRepay {
    using SafeERC20 for IERC20;

    /**
     * @notice What to repay, and from what.
     * @param aave Aave v3's Pool (the proxy)
     * @param pool the Uniswap v3 pool of the two assets
     * @param debtAsset the ERC-20 that is owed at a variable rate
     * @param collateralAsset the ERC-20 that is supplied
     * @param aToken Aave's token of the collateral; the caller has approved exactly `maxCollateral` of it
     * @param repayAmount how much of the debt asset to buy and repay, in its smallest unit. Aave takes no more
     * than is owed, and the excess goes to the caller
     * @param maxCollateral how much of the collateral may be spent at most, in its smallest unit. The caller must
     * have that much: all of it is pulled, and what was not needed given back
     */
    struct Order {
        IAavePool aave;
        IUniswapV3Pool pool;
        address debtAsset;
        address collateralAsset;
        address aToken;
        uint256 repayAmount;
        uint256 maxCollateral;
    }

    /// @dev Aave's code for a variable rate.
    uint256 private constant VARIABLE_RATE = 2;
    /// @dev One inside of Uniswap's `TickMath.MIN_SQRT_RATIO` and `MAX_SQRT_RATIO`: no limit but `maxCollateral`.
    uint160 private constant LOWEST_PRICE = 4295128740;
    uint160 private constant HIGHEST_PRICE = 1461446703485210103287273052203988822378723970341;

    /// @dev Who called {flashRepay}; not zero while it runs.
    address private transient _caller;
    /// @dev The only address that may call back.
    address private transient _pool;
    /// @dev Hash of the only payload that may come back; zero when the callback is not expected.
    bytes32 private transient _payload;
    /// @dev What the pool was paid.
    uint256 private transient _spent;

    /// @notice {flashRepay} was entered while it was running.
    error Busy();
    /// @notice `repayAmount` is zero or too large to be asked from a pool.
    error BadAmount(uint256 amount);
    /// @notice The callback was called by `caller` when it was not armed for that caller and that payload.
    error UnexpectedCallback(address caller);
    /// @notice The pool returned without calling back.
    error CallbackMissing();
    /// @notice The pool ran out of liquidity: it gave `actual` instead of `expected`.
    error PartialFill(uint256 actual, uint256 expected);
    /// @notice The swap costs `actual` of the collateral, and `maximum` was allowed.
    error TooMuchCollateral(uint256 actual, uint256 maximum);

    /**
     * @notice Buys `order.repayAmount` of the debt asset with the caller's collateral and repays the caller's debt.
     * @dev aTokens round to their index: approve and allow at least one unit more than the exact quote.
     * @return spent how much of the collateral asset the pool was paid
     */
    function flashRepay(Order calldata order) external returns (uint256 spent) {
        if (_caller != address(0)) revert Busy();
        if (order.repayAmount == 0 || order.repayAmount > uint256(type(int256).max)) revert BadAmount(order.repayAmount);
        bytes memory payload = abi.encode(order);
        _caller = msg.sender;
        _pool = address(order.pool);
        _payload = keccak256(payload);

        bool zeroForOne = order.collateralAsset < order.debtAsset;
        order.pool.swap(
            address(this),
            zeroForOne,
            -int256(order.repayAmount),
            zeroForOne ? LOWEST_PRICE : HIGHEST_PRICE,
            payload
        );

        if (_payload != 0) revert CallbackMissing();
        spent = _spent;
        _spent = 0;
        _pool = address(0);
        _caller = address(0);
    }

    /**
     * @notice Uniswap v3's callback: the debt asset has arrived, the collateral is owed. Not for anybody to call.
     * @param amount0Delta what the pool is owed of token0; negative is what it gave
     * @param amount1Delta what the pool is owed of token1; negative is what it gave
     * @param data the order, as {flashRepay} passed it to the pool
     */
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external {
        if (msg.sender != _pool || _payload == 0 || keccak256(data) != _payload) {
            revert UnexpectedCallback(msg.sender);
        }
        _payload = 0;
        Order memory order = abi.decode(data, (Order));
        address caller = _caller;

        bool zeroForOne = order.collateralAsset < order.debtAsset;
        uint256 owed = _positive(zeroForOne ? amount0Delta : amount1Delta);
        uint256 bought = _positive(-(zeroForOne ? amount1Delta : amount0Delta));
        if (bought != order.repayAmount) revert PartialFill(bought, order.repayAmount);
        if (owed > order.maxCollateral) revert TooMuchCollateral(owed, order.maxCollateral);
        _spent = owed;

        IERC20 debtAsset = IERC20(order.debtAsset);
        debtAsset.forceApprove(address(order.aave), bought);
        order.aave.repay(order.debtAsset, bought, VARIABLE_RATE, caller);
        if (debtAsset.allowance(address(this), address(order.aave)) != 0) {
            debtAsset.forceApprove(address(order.aave), 0);
        }

        // All of the allowance is pulled, not only what is owed, so that none of it is left.
        IERC20 aToken = IERC20(order.aToken);
        aToken.safeTransferFrom(caller, address(this), order.maxCollateral);
        order.aave.withdraw(order.collateralAsset, owed, msg.sender);

        _giveBack(aToken, caller);
        _giveBack(debtAsset, caller);
    }

    function _giveBack(IERC20 token, address to) private {
        uint256 balance = token.balanceOf(address(this));
        if (balance > 0) token.safeTransfer(to, balance);
    }

    function _positive(int256 value) private pure returns (uint256) {
        return value > 0 ? uint256(value) : 0;
    }
}
