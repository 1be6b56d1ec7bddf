// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice The one function of Aave v3's Pool that is asserted on.
interface IAaveAccountData {
    /// @return totalCollateralBase collateral in the oracle's base currency
    /// @return totalDebtBase debt in the oracle's base currency
    /// @return availableBorrowsBase what may still be borrowed, in the base currency
    /// @return currentLiquidationThreshold weighted threshold in basis points
    /// @return ltv weighted loan to value in basis points
    /// @return healthFactor with 18 decimals; the largest uint256 without debt
    function getUserAccountData(address user) external view returns (
        uint256 totalCollateralBase,
        uint256 totalDebtBase,
        uint256 availableBorrowsBase,
        uint256 currentLiquidationThreshold,
        uint256 ltv,
        uint256 healthFactor
    );
}

/**
 * @title Assert
 * @notice Conditions that the last calls of a batch put on its outcome: each function returns nothing, or
 * reverts and takes the whole transaction with it. So what a simulation promised is enforced when the
 * transaction is mined, whatever happened in between.
 * @dev Stateless, ownerless, holds nothing. Anybody may call it, to no effect: every function is a view.
 *
 * A health factor alone is no protection: a sandwich can take collateral and still leave it high. Pair it with
 * {minBalance} on what has to be left (the aToken).
 */
contract Assert {
    /// @notice The health factor is `actual`, and at least `minimum` was promised. Both have 18 decimals.
    error HealthFactorTooLow(address account, uint256 actual, uint256 minimum);
    /// @notice `account` holds `actual` of `token` (the zero address is the native coin), less than promised.
    error BalanceTooLow(address token, address account, uint256 actual, uint256 minimum);
    /// @notice `account` holds `actual` of `token`, more than promised: for debt tokens.
    error BalanceTooHigh(address token, address account, uint256 actual, uint256 maximum);
    /// @notice `spender` may still take `actual` of `token` from `owner`.
    error AllowanceLeft(address token, address owner, address spender, uint256 actual);
    /// @notice The transaction was mined in block `actual`, later than `lastBlock`.
    error TooLate(uint256 actual, uint256 lastBlock);

    /**
     * @notice Reverts unless the health factor of `account` is at least `minimum`.
     * @param pool Aave v3's Pool (the proxy)
     * @param account whose position it is
     * @param minimum with 18 decimals
     */
    function minHealthFactor(IAaveAccountData pool, address account, uint256 minimum) external view {
        (,,,,, uint256 actual) = pool.getUserAccountData(account);
        if (actual < minimum) revert HealthFactorTooLow(account, actual, minimum);
    }

    /**
     * @notice Reverts unless `account` holds at least `minimum` of `token`.
     * @param token an ERC-20, an aToken among them; the zero address is the chain's native coin
     * @param account whose balance it is
     * @param minimum in the token's smallest unit
     */
    function minBalance(IERC20 token, address account, uint256 minimum) external view {
        uint256 actual = _balance(token, account);
        if (actual < minimum) revert BalanceTooLow(address(token), account, actual, minimum);
    }

    /**
     * @notice Reverts unless `account` holds at most `maximum` of `token`: with a variable debt token, a
     * ceiling on the debt.
     * @param token an ERC-20, a debt token among them; the zero address is the chain's native coin
     * @param account whose balance it is
     * @param maximum in the token's smallest unit
     */
    function maxBalance(IERC20 token, address account, uint256 maximum) external view {
        uint256 actual = _balance(token, account);
        if (actual > maximum) revert BalanceTooHigh(address(token), account, actual, maximum);
    }

    /**
     * @notice Reverts unless `spender` may take nothing of `token` from `owner`.
     * @param token an ERC-20
     * @param owner who would have approved
     * @param spender who would take
     */
    function zeroAllowance(IERC20 token, address owner, address spender) external view {
        uint256 actual = token.allowance(owner, spender);
        if (actual != 0) revert AllowanceLeft(address(token), owner, spender, actual);
    }

    /**
     * @notice Reverts in every block after `lastBlock`.
     * @param lastBlock the last block number in which the plan still holds
     */
    function notAfter(uint256 lastBlock) external view {
        if (block.number > lastBlock) revert TooLate(block.number, lastBlock);
    }

    function _balance(IERC20 token, address account) private view returns (uint256) {
        return address(token) == address(0) ? account.balance : token.balanceOf(account);
    }
}
