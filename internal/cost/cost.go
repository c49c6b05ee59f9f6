// Package cost knows what calls cost and what may be spent: the dated prices of public models in the binary, the prices
// that were imported over them, the ledger of what was spent, and the budgets. The gateway asks Prices before and after a
// call, and holds money of Budgets for it; the drain of the call log posts to the Ledger and to Budgets in the transaction of
// the calls, and a repricing of the log corrects both in its own.
package cost
