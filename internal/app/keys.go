package app

import (
	"context"
	"log/slog"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/config"
	"airfield/internal/db"
)

// FirstKeysMade are the texts of the first keys; empty where there were keys already.
type FirstKeysMade struct{ Admin, Workflow string }

// FirstKeys makes, in an installation that has no keys yet, an admin key and a key for a workflow. No server may be
// running on the data folder.
func FirstKeys(ctx context.Context, c *config.Config, workflow string) (made FirstKeysMade, err error) {
	unlock, err := lockFolder(c.Data)
	if err != nil {
		return made, err
	}
	defer unlock()
	log := slog.New(slog.DiscardHandler)
	database, err := db.Open(ctx, c.Database, log)
	if err != nil {
		return made, err
	}
	defer database.Close()
	keys := access.NewKeys(database, access.NewAudit(database), c.Environment, c.Access, log)
	keys.SetWorkflows(workflows(c))
	ctx = caller.With(ctx, &caller.Caller{Role: caller.System, KeyName: "init", Environment: c.Environment, Clearance: caller.Restricted})
	_, text, first, err := keys.Bootstrap(ctx, "first admin")
	if err != nil || !first {
		return made, err
	}
	made.Admin = text
	_, made.Workflow, err = keys.Create(ctx, access.New{Name: workflow, Role: caller.Workflow, Workflow: workflow})
	return made, err
}
