// Package cost knows what calls cost: the dated prices of public models, the prices that a configuration sets, and the
// ledger of what was spent. The gateway asks Prices before and after a call; the drain of the call log posts to the
// Ledger in the transaction of the calls.
package cost
