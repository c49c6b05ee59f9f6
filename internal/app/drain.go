package app

import (
	"context"
	"io"

	"airfield/internal/config"
	"airfield/internal/cost"
	"airfield/internal/db"
	"airfield/internal/observe"
	"airfield/internal/telemetry"
)

// DrainJournal brings the journal of a replica that is gone into the database of a configuration.
func DrainJournal(ctx context.Context, c *config.Config, dir string, logTo io.Writer) (observe.Drained, error) {
	log, err := telemetry.NewLogger(logTo, c.Log)
	if err != nil {
		return observe.Drained{}, err
	}
	database, err := db.Open(ctx, c.Database, log)
	if err != nil {
		return observe.Drained{}, err
	}
	defer database.Close()
	prices, err := cost.NewPrices()
	if err != nil {
		return observe.Drained{}, err
	}
	if err := cost.NewImports(database, prices, nil, log).Load(ctx); err != nil {
		return observe.Drained{}, err
	}
	budgets := cost.NewBudgets(c.Budgets, database, "", nil, log) // its alerts are told by a server
	defer budgets.Close()
	drained, err := observe.DrainDir(ctx, database, dir, c.Observe, newPricer(prices, c.Gateway), log, cost.NewLedger(database), budgets)
	if err != nil || drained.Journal == "" {
		return drained, err
	}
	_, err = budgets.ReleaseDead(ctx, drained.Journal, "")
	return drained, err
}
