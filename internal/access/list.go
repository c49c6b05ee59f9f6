package access

import (
	"context"
	"fmt"
	"strings"
	"time"

	"airfield/internal/db"
)

// Filter chooses audit entries; zero fields choose all.
type Filter struct {
	Actor    string
	Action   string // "key.create", or "key." for everything about keys
	Target   string
	From, To time.Time // To is exclusive
	Before   int64     // continue a list: only entries with a lower sequence
	After    int64     // follow: only entries with a higher sequence
	Limit    int       // 100 where it is 0, at most 1,000
}

// List returns entries, the newest first.
func (a *Audit) List(ctx context.Context, f Filter) ([]Record, error) {
	var where []string
	var args []any
	add := func(use bool, clause string, arg any) {
		if use {
			where, args = append(where, clause), append(args, arg)
		}
	}
	add(f.Actor != "", "actor = ?", f.Actor)
	if strings.HasSuffix(f.Action, ".") {
		add(true, "SUBSTR(action, 1, ?) = ?", len(f.Action))
		args = append(args, f.Action)
	} else {
		add(f.Action != "", "action = ?", f.Action)
	}
	add(f.Target != "", "target = ?", f.Target)
	add(!f.From.IsZero(), "at >= ?", db.Micros(f.From))
	add(!f.To.IsZero(), "at < ?", db.Micros(f.To))
	add(f.Before > 0, "sequence < ?", f.Before)
	add(f.After > 0, "sequence > ?", f.After)
	query := "SELECT sequence, at, actor, action, target, detail, previous, hash FROM audit"
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	rows, err := a.db.Query(ctx, query+" ORDER BY sequence DESC LIMIT ?", append(args, min(f.Limit, 1000))...)
	if err != nil {
		return nil, fmt.Errorf("list the audit log: %w", err)
	}
	defer rows.Close()
	list := []Record{}
	for rows.Next() {
		r, err := scanRecord(rows)
		if err != nil {
			return nil, fmt.Errorf("list the audit log: %w", err)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}
