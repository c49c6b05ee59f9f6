package cost

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"airfield/internal/access"
	"airfield/internal/db"
	"airfield/internal/id"
)

// Imports keeps the prices that were imported in the database, and Prices in line with it.
type Imports struct {
	db     *db.DB
	prices *Prices
	audit  *access.Audit
	log    *slog.Logger

	mu    sync.Mutex // held while prices are loaded
	epoch string     // of what is loaded
}

// NewImports returns the imported prices of a database, which are not yet loaded.
func NewImports(d *db.DB, p *Prices, audit *access.Audit, log *slog.Logger) *Imports {
	return &Imports{db: d, prices: p, audit: audit, log: log.With("part", "prices")}
}

const (
	epochSetting = "prices.epoch"  // changes in each transaction that changes a price
	pollImports  = 2 * time.Second // how soon a process notices what another one imported
	askFor       = 2 * time.Second
)

// Run notices what other processes imported, until ctx ends. While the database is away the prices stay as they are.
func (i *Imports) Run(ctx context.Context) error {
	tick := time.NewTicker(pollImports)
	defer tick.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		ask, cancel := context.WithTimeout(ctx, askFor)
		err := i.Load(ask)
		cancel()
		if err != nil && !failing && ctx.Err() == nil {
			i.log.Warn("imported prices cannot be refreshed; those that are known stay in force", "error", err)
		}
		failing = err != nil
	}
}

// Load takes over the prices in the database, if they changed since the last time.
func (i *Imports) Load(ctx context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	var epoch string
	if err := i.db.QueryRow(ctx, "SELECT value FROM settings WHERE name = ?", epochSetting).Scan(&epoch); err != nil && !db.IsNone(err) {
		return fmt.Errorf("load the imported prices: %w", err)
	}
	if epoch == i.epoch {
		return nil
	}
	quotes, err := i.read(ctx, i.db)
	if err != nil {
		return fmt.Errorf("load the imported prices: %w", err)
	}
	l := newLayer()
	for _, q := range quotes {
		if err := l.add(q); err != nil {
			i.log.Error("an imported price cannot be used and is passed over", "provider", q.Provider, "model", q.Model, "error", err)
		}
	}
	i.prices.imported.Store(l)
	i.epoch = epoch
	return nil
}

// read returns the rows of the database by provider, model and time.
func (i *Imports) read(ctx context.Context, from db.Querier) ([]Quote, error) {
	rows, err := from.Query(ctx, "SELECT provider, model, valid_from, valid_until, price, imported_at, imported_by FROM prices ORDER BY provider, model, valid_from")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Quote
	for rows.Next() {
		q := Quote{Layer: Imported}
		var provider, model, text string
		var start, end, at int64
		if err := rows.Scan(&provider, &model, &start, &end, &text, &at, &q.ImportedBy); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(text), &q.Row); err != nil {
			i.log.Error("an imported price cannot be read and is passed over", "provider", provider, "model", model, "error", err)
			continue
		}
		q.meant = q.Until
		q.Provider, q.Model, q.From, q.Until, q.ImportedAt = provider, model, Day{db.Time(start)}, Day{db.Time(end)}, db.Time(at)
		q.ID = q.Row.id(Imported)
		list = append(list, q)
	}
	return list, rows.Err()
}

// change runs fn alone among those who change prices, and has every process load them afterwards.
func (i *Imports) change(ctx context.Context, fn func(tx *db.Tx) error) error {
	err := i.db.Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO settings (name, value) VALUES (?, '') ON CONFLICT (name) DO NOTHING", epochSetting); err != nil {
			return err
		}
		var epoch string
		if err := tx.QueryRow(ctx, "SELECT value FROM settings WHERE name = ?"+tx.ForUpdate(), epochSetting).Scan(&epoch); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE settings SET value = ? WHERE name = ?", id.New("prices"), epochSetting); err != nil {
			return err
		}
		return fn(tx)
	})
	if err != nil {
		return err
	}
	if err := i.Load(ctx); err != nil {
		i.log.Warn("prices were changed and will be loaded a moment later", "error", err)
	}
	return nil
}
