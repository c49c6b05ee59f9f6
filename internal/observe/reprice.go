package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"airfield/internal/db"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// Repricing chooses the calls whose cost is found anew.
type Repricing struct {
	Since        time.Time // that began then or later
	Until        time.Time // that began before; zero is open
	Workflow     string
	Model        string
	OnlyUnpriced bool
	DryRun       bool
}

// Repriced is the sum of what a repricing has looked at.
type Repriced struct {
	Looked  int64       `json:"looked_at" doc:"Calls that used something."`
	Changed int64       `json:"changed"`
	Unknown int64       `json:"unknown" doc:"Calls for which no price is known now, either; they stay as they are."`
	Old     money.Nanos `json:"old_usd" doc:"What the calls that were looked at cost before."`
	New     money.Nanos `json:"new_usd" doc:"What they cost now."`
	At      time.Time   `json:"at,omitzero" doc:"When the last of them began."`
}

// Repricer is told of calls whose cost was found anew, in the transaction that changes them: the ledger, budgets. The
// changes are its only until it returns.
type Repricer interface {
	Repriced(ctx context.Context, tx *db.Tx, changes []llm.Change) error
}

const repriceAtOnce = 500 // calls in one transaction

// Reprice finds the cost of calls anew: price says what is known today of the price at the time of the call. The row,
// the hourly sums and what the hooks keep change in one transaction a batch, so that it can end anywhere and be begun
// again: what is right already is not touched. report is called after each batch, and stops it by an error.
func (s *Store) Reprice(ctx context.Context, f Repricing, price func(*llm.Call) (llm.Price, bool), report func(Repriced) error, hooks ...Repricer) (Repriced, error) {
	var sum Repriced
	for last := ""; ; {
		var batch batchOfPrices
		var next string
		part := sum
		read := func(from db.Querier, lock string) (err error) {
			part = sum
			batch, next, err = s.repriceBatch(ctx, from, lock, f, last, price, &part)
			return err
		}
		var err error
		if f.DryRun {
			err = read(s.db, "")
		} else {
			err = s.db.Tx(ctx, func(tx *db.Tx) error {
				if err := read(tx, tx.ForUpdate()); err != nil {
					return err
				}
				return applyPrices(ctx, tx, batch, hooks)
			})
		}
		if err != nil {
			return sum, fmt.Errorf("reprice calls: %w", err)
		}
		if sum = part; next == "" {
			return sum, nil
		}
		last = next
		if err := report(sum); err != nil {
			return sum, err
		}
	}
}

// batchOfPrices are the calls that change in one transaction, and what their rows hold besides their columns.
type batchOfPrices struct {
	changes []llm.Change
	details [][]byte
}

// repriceBatch reads the calls after one and returns those that change, and the last it has seen; none at the end.
func (s *Store) repriceBatch(ctx context.Context, from db.Querier, lock string, f Repricing, last string, price func(*llm.Call) (llm.Price, bool), sum *Repriced) (batch batchOfPrices, next string, err error) {
	q := where{}
	q.add(last == "" && !f.Since.IsZero(), "id >= ?", idAt(f.Since.Add(-slack)))
	q.add(last != "", "id > ?", last)
	q.add(!f.Since.IsZero(), "started_at >= ?", db.Micros(f.Since))
	q.add(!f.Until.IsZero(), "id < ?", idAt(f.Until.Add(slack)))
	q.add(!f.Until.IsZero(), "started_at < ?", db.Micros(f.Until))
	q.add(f.Workflow != "", "workflow = ?", f.Workflow)
	q.add(f.Model != "", "model = ?", f.Model)
	q.add(f.OnlyUnpriced, "priced = ?", 0)
	rows, err := from.Query(ctx, selectCalls+q.String()+" ORDER BY id LIMIT ?"+lock, append(q.args, repriceAtOnce)...)
	if err != nil {
		return batch, "", err
	}
	defer rows.Close()
	seen := 0
	for ; rows.Next(); seen++ {
		c, text, _, err := scanRow(rows)
		if err != nil {
			return batch, "", err
		}
		next = c.ID
		if c.Usage.Empty() || c.Deployment == "" || fromCache(&c) {
			continue
		}
		sum.Looked, sum.At, sum.Old = sum.Looked+1, c.Start, sum.Old.Add(c.Cost)
		p, known := price(&c)
		if !known {
			sum.Unknown, sum.New = sum.Unknown+1, sum.New.Add(c.Cost)
			continue
		}
		cost, _ := p.CostAt(c.Service, c.Usage)
		sum.New = sum.New.Add(cost)
		if c.Priced && c.Cost == cost {
			continue
		}
		sum.Changed++
		change := llm.Change{Old: c.Cost, New: cost, Unpriced: !c.Priced}
		c.Cost, c.Priced, c.PriceID = cost, true, p.ID
		change.Call = c
		batch.changes, batch.details = append(batch.changes, change), append(batch.details, text)
	}
	if seen < repriceAtOnce {
		next = ""
	}
	return batch, next, rows.Err()
}

// fromCache reports whether a call was answered without a provider, which nobody charges.
func fromCache(c *llm.Call) bool {
	return c.Cache == "hit" || c.Cache == "stale" || c.Cache == "shared" || c.Cache == "semantic"
}

func applyPrices(ctx context.Context, tx *db.Tx, b batchOfPrices, hooks []Repricer) error {
	if len(b.changes) == 0 {
		return nil
	}
	if err := repriceRows(ctx, tx, b); err != nil {
		return err
	}
	for _, hook := range hooks {
		if err := hook.Repriced(ctx, tx, b.changes); err != nil {
			return err
		}
	}
	return repriceUsage(ctx, tx, b.changes)
}

// repriceRows changes the rows of calls. Of the detail only the price's id changes: another version may have written more
// into it than this one knows.
func repriceRows(ctx context.Context, tx *db.Tx, b batchOfPrices) error {
	const atOnce = 50 // rows of a statement
	for first := 0; first < len(b.changes); first += atOnce {
		n := min(atOnce, len(b.changes)-first)
		args := make([]any, 0, 4*n)
		for i := first; i < first+n; i++ {
			c := &b.changes[i].Call
			text, err := withPrice(b.details[i], c.PriceID)
			if err != nil {
				return fmt.Errorf("detail of %s: %w", c.ID, err)
			}
			args = append(args, c.ID, int64(c.Cost), flag(c.Priced), text)
		}
		values := strings.TrimSuffix(strings.Repeat("(?, CAST(? AS BIGINT), CAST(? AS BIGINT), ?),", n), ",")
		if _, err := tx.Exec(ctx, "WITH now (id, nanos, priced, detail) AS (VALUES "+values+") UPDATE calls SET nanos_usd = now.nanos, priced = now.priced, detail = now.detail FROM now WHERE calls.id = now.id", args...); err != nil {
			return err
		}
	}
	return nil
}

// withPrice is a detail with another price's id.
func withPrice(detail []byte, priceID string) (string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(detail, &members); err != nil {
		return "", err
	}
	id, err := json.Marshal(priceID)
	if err != nil {
		return "", err
	}
	members["price_id"] = id
	text, err := json.Marshal(members)
	return string(text), err
}

// repriceUsage moves the hourly sums by the differences.
func repriceUsage(ctx context.Context, tx *db.Tx, changes []llm.Change) error {
	type shift struct {
		nanos    money.Nanos
		unpriced int64
	}
	shifts, keys := map[series]shift{}, []series{}
	for i := range changes {
		c := &changes[i]
		key := seriesOf(&c.Call)
		d, ok := shifts[key]
		if !ok {
			keys = append(keys, key)
		}
		d.nanos = d.nanos.Add(c.New).Add(-c.Old)
		if c.Unpriced {
			d.unpriced++
		}
		shifts[key] = d
	}
	slices.SortFunc(keys, series.compare)
	for _, key := range keys {
		d := shifts[key]
		err := changeUsage(ctx, tx, key, func(was *sums) {
			was.nanos, was.unpriced = max(was.nanos.Add(d.nanos), 0), max(was.unpriced-d.unpriced, 0)
		})
		if err != nil && !db.IsNone(err) { // sums that somebody removed stay removed
			return err
		}
	}
	return nil
}
