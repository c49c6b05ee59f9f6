// Package cost knows what calls cost: the dated prices of public models in the binary, the prices that were imported over
// them, and the ledger of what was spent. The gateway asks Prices before and after a call; the drain of the call log posts
// to the Ledger in the transaction of the calls, and a repricing of the log corrects it in its own.
package cost
