package response

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
)

// row is one response as it is kept.
type row struct {
	id, previous string
	turn         int
	created      time.Time
	input        []json.RawMessage
	response     json.RawMessage
}

const rowColumns = "r.id, r.previous_id, r.turn, r.created_at, r.input, r.response"

func scanRow(s interface{ Scan(...any) error }) (r row, err error) {
	var created int64
	var input, response string
	if err := s.Scan(&r.id, &r.previous, &r.turn, &created, &input, &response); err != nil {
		return r, err
	}
	r.created, r.response = time.UnixMicro(created), json.RawMessage(response)
	if err := json.Unmarshal([]byte(input), &r.input); err != nil {
		return r, fmt.Errorf("read the input of response %s: %w", r.id, err)
	}
	return r, nil
}

// output are the items that the model made.
func (r *row) output() ([]json.RawMessage, error) {
	var read struct {
		Output []json.RawMessage `json:"output"`
	}
	if err := json.Unmarshal(r.response, &read); err != nil {
		return nil, fmt.Errorf("read response %s: %w", r.id, err)
	}
	return read.Output, nil
}

// one returns a response of the scope.
func (s *Service) one(ctx context.Context, of scope, id string) (row, error) {
	r, err := scanRow(s.DB.QueryRow(ctx, "SELECT "+rowColumns+" FROM responses r WHERE id = ? AND "+inScope, of.args(id)...))
	if db.IsNone(err) {
		return r, unknown(id)
	}
	if err != nil {
		return r, fmt.Errorf("read response: %w", err)
	}
	return r, nil
}

// conversation returns the responses that lead to one, the first one first.
func (s *Service) conversation(ctx context.Context, of scope, id string) (list []row, err error) {
	rows, err := s.DB.Query(ctx, `WITH RECURSIVE chain (id, previous_id) AS (
			SELECT id, previous_id FROM responses WHERE id = ? AND `+inScope+`
			UNION ALL
			SELECT p.id, p.previous_id FROM responses p JOIN chain c ON p.id = c.previous_id WHERE `+inScope+`
		) SELECT `+rowColumns+` FROM chain c JOIN responses r ON r.id = c.id ORDER BY r.turn`, of.args(of.args(id)...)...)
	if err != nil {
		return nil, fmt.Errorf("read conversation: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanRow(rows)
		if err != nil {
			return nil, fmt.Errorf("read conversation: %w", err)
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read conversation: %w", err)
	}
	if len(list) == 0 {
		f := unknown(id)
		f.Field, f.Code = "previous_response_id", "previous_response_not_found"
		return nil, f
	}
	if list[0].turn != 1 {
		return nil, fault.New(fault.NotFound, "previous_response_not_found", "the conversation of response %q cannot be continued: response %q, which is a part of it, was deleted", clip(id), list[0].previous).
			At("previous_response_id").Hinted("begin a new one, with the items that it needs as input")
	}
	return list, nil
}

// save keeps a response, and the conversation that it continues for as long.
func (s *Service) save(ctx context.Context, of scope, r row, before []row, items []string) error {
	input, err := json.Marshal(r.input)
	if err != nil {
		return fmt.Errorf("write the input of a response: %w", err)
	}
	return s.DB.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO responses (id, environment, workflow, key_id, clearance, previous_id, turn, created_at, used_at, input, response)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, r.id, of.environment, of.workflow, of.key, int64(of.clearance), r.previous, r.turn, db.Micros(r.created), db.Micros(r.created), string(input), string(r.response))
		if err != nil {
			return fmt.Errorf("keep response: %w", err)
		}
		err = tx.Insert(ctx, "response_items", []string{"item_id", "response_id"}, "ON CONFLICT DO NOTHING", len(items), func(i int, args []any) []any { return append(args, items[i], r.id) })
		if err != nil || len(before) == 0 {
			return err
		}
		args := []any{db.Micros(r.created)}
		for _, b := range before {
			args = append(args, b.id)
		}
		if _, err := tx.Exec(ctx, "UPDATE responses SET used_at = ? WHERE id IN ("+db.Marks(len(before))+")", args...); err != nil {
			return fmt.Errorf("keep conversation: %w", err)
		}
		return nil
	})
}

// item finds something that a model made, by its id.
func (s *Service) item(ctx context.Context, of scope, id string) (json.RawMessage, error) {
	r, err := scanRow(s.DB.QueryRow(ctx, "SELECT "+rowColumns+` FROM response_items i JOIN responses r ON r.id = i.response_id
		WHERE i.item_id = ? AND `+inScope+" ORDER BY r.created_at DESC, r.id DESC LIMIT 1", of.args(id)...))
	if err != nil && !db.IsNone(err) {
		return nil, fmt.Errorf("read item: %w", err)
	}
	if err == nil {
		output, err := r.output()
		if err != nil {
			return nil, err
		}
		for _, i := range output {
			if idOf(i) == id {
				return i, nil
			}
		}
	}
	return nil, fault.New(fault.NotFound, "item_not_found", "there is no item %q", clip(id)).At("input").
		Hinted("only what models made in responses that are kept can be referred to: send the item itself")
}

// Delete removes a response for good. What continues it can still be read, but not be continued.
func (s *Service) Delete(ctx context.Context, id string) error {
	of, err := scopeOf(ctx)
	if err != nil {
		return err
	}
	if _, err := s.one(ctx, of, id); err != nil {
		return err // also of an id that no database could hold
	}
	return s.DB.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, "DELETE FROM responses WHERE id = ? AND "+inScope, of.args(id)...)
		if err != nil {
			return fmt.Errorf("delete response: %w", err)
		}
		if n == 0 {
			return unknown(id)
		}
		if _, err := tx.Exec(ctx, "DELETE FROM response_items WHERE response_id = ?", id); err != nil {
			return fmt.Errorf("delete the items of a response: %w", err)
		}
		return nil
	})
}

// sweepAtOnce bounds how long a sweep keeps others from writing.
const sweepAtOnce = 500

// Sweep deletes the responses whose time is over and returns how many. What is no longer kept at all goes at once.
func (s *Service) Sweep(ctx context.Context, now time.Time, keep time.Duration) (total int64, err error) {
	before := db.Micros(now.Add(-keep))
	for {
		var n int64
		err := s.DB.Tx(ctx, func(tx *db.Tx) error {
			const old = "(SELECT id FROM responses WHERE used_at < ? ORDER BY used_at, id LIMIT ?)"
			if _, err := tx.Exec(ctx, "DELETE FROM response_items WHERE response_id IN "+old, before, sweepAtOnce); err != nil {
				return err
			}
			var err error
			n, err = tx.Exec(ctx, "DELETE FROM responses WHERE id IN "+old, before, sweepAtOnce)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("delete old responses: %w", err)
		}
		if total += n; n < sweepAtOnce {
			return total, nil
		}
	}
}
