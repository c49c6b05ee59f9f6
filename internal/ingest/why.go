package ingest

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

// Explanation says in words where a document stands.
type Explanation struct {
	Document Document `json:"document"`
	Lines    []string `json:"lines"`
	Ahead    int      `json:"ahead,omitempty"` // runs that come before it
}

// Why explains where a document stands: by its id, or by its name in a source.
func (p *Pipeline) Why(ctx context.Context, idOrPath string) (e Explanation, err error) {
	documentID := idOrPath
	if !id.Has(idOrPath, "doc") {
		if documentID, err = p.byPath(ctx, idOrPath); err != nil {
			return e, err
		}
	}
	d, c, err := p.anyDocument(ctx, documentID)
	if err != nil {
		return e, err
	}
	e.Document = d
	if !d.DeletedAt.IsZero() {
		return p.whyDeleted(ctx, e)
	}
	if err := p.fillVersion(ctx, &e.Document.Newest); err != nil {
		return e, err
	}
	v := e.Document.Newest
	e.say("%s in collection %s, from the source %s, is version %d and %s; its tier is %s.", d.SourceKey, c.Name, d.Source, v.Number, v.State, d.Tier)
	if d.LiveVersion != "" && d.LiveVersion != v.ID {
		e.say("An earlier version is live and is found until this one takes its place.")
	}
	if v.Run != nil {
		if err := p.whyRun(ctx, &e, v); err != nil {
			return e, err
		}
	}
	h, err := heldDocument(ctx, p.DB, d.ID)
	if err != nil {
		return e, err
	}
	if h != nil {
		e.say("A legal hold keeps it from every deletion since %s: %s.", h.PlacedAt.Format(time.RFC3339), h.Reason)
	}
	if v.Partial {
		e.say("It could be read only in part:")
	}
	for _, w := range v.Warnings {
		e.say("- %s", w)
	}
	return e, nil
}

func (e *Explanation) say(format string, args ...any) {
	e.Lines = append(e.Lines, fmt.Sprintf(format, args...))
}

func (p *Pipeline) whyRun(ctx context.Context, e *Explanation, v Version) (err error) {
	r, now := *v.Run, time.Now()
	switch r.State {
	case runDone:
		size := counted(v.Chunks, "chunk", "chunks")
		if v.Pages > 0 {
			size += " on " + counted(v.Pages, "page", "pages")
		}
		e.say("It became live %s with %s.", v.LiveAt.Format(time.RFC3339), size)
	case runDead:
		e.say("The step %s gave up after %s: %s.", r.Step, counted(r.Attempts, "try", "tries"), r.Error)
		e.say("Replay it with airfield dlq replay %s once the cause is gone, or discard it.", r.ID)
	case runCancelled:
		e.say("Its run was ended: the version was overtaken, cancelled, discarded or deleted.")
	case runRunning:
		e.say("The worker %s does the step %s; its lease ends in %s, and is renewed as long as it works.", r.LeasedBy, r.Step, r.LeasedUntil.Sub(now).Round(time.Second))
	case runWaiting:
		pause, failed := pausedBy(ctx, p.DB, r.ID)
		if failed != nil {
			return failed
		}
		if pause != nil {
			e.say("It waits at the step %s: %s is paused since %s by %s. %s", r.Step, pause.Target, pause.PausedAt.Format(time.RFC3339), pause.PausedBy, pause.Reason)
			e.say("airfield ingest resume %s lets it go on.", pause.Target)
			return nil
		}
		err = p.DB.QueryRow(ctx, "SELECT COUNT(*) FROM runs WHERE state = ? AND due_at <= ? AND (priority < (SELECT priority FROM runs WHERE id = ?) OR (priority = (SELECT priority FROM runs WHERE id = ?) AND due_at < ?))",
			runWaiting, db.Micros(now), r.ID, r.ID, db.Micros(r.DueAt)).Scan(&e.Ahead)
		if r.Attempts > 0 {
			e.say("The step %s failed %s, last with: %s.", r.Step, counted(r.Attempts, "time", "times"), r.Error)
		}
		if wait := r.DueAt.Sub(now); wait > 0 {
			e.say("The next try is in %s, of %d at the most.", wait.Round(time.Second), p.config.MaxAttempts)
		} else {
			e.say("It waits for a worker to do the step %s; %s before it.", r.Step, counted(e.Ahead, "run is", "runs are"))
		}
	}
	if r.Crashes > 0 {
		e.say("%s died, or stopped answering, in this step.", counted(r.Crashes, "worker", "workers"))
	}
	return err
}

func (p *Pipeline) whyDeleted(ctx context.Context, e Explanation) (Explanation, error) {
	d := e.Document
	e.say("%s was deleted %s and is not found any more.", d.SourceKey, d.DeletedAt.Format(time.RFC3339))
	h, err := heldDocument(ctx, p.DB, d.ID)
	if err != nil {
		return e, err
	}
	if h != nil {
		e.say("Its bytes are kept by a legal hold since %s: %s. It is purged when that is released.", h.PlacedAt.Format(time.RFC3339), h.Reason)
		return e, nil
	}
	r, err := newestRun(ctx, p.DB, "r.kind = ? AND r.collection_id = ? AND r.document_id IN (?, '')", kindPurge, d.CollectionID, d.ID)
	if err != nil || r == nil {
		return e, err
	}
	if r.State == runDone {
		e.say("Its purge is proven in the audit log since %s.", r.FinishedAt.Format(time.RFC3339))
		return e, nil
	}
	e.say("Its purge is at the step %s.", r.Step)
	if r.Error != "" {
		e.say("The last of %s ended with: %s.", counted(r.Attempts, "try", "tries"), r.Error)
	}
	return e, nil
}

// byPath finds a document by its name in a source, as far as the caller may know of it; one that is not deleted first.
func (p *Pipeline) byPath(ctx context.Context, path string) (string, error) {
	type place struct {
		document   Document
		collection Collection
	}
	found, err := collect(ctx, p.DB, func(row scanner) (pl place, err error) {
		return pl, row.Scan(&pl.document.ID, &pl.document.Tier, &pl.collection.Name, &pl.collection.Workflow)
	},
		`SELECT d.id, d.tier, c.name, c.workflow FROM documents d JOIN collections c ON c.id = d.collection_id WHERE d.source_key = ?
		ORDER BY CASE WHEN d.deleted_at IS NULL THEN 0 ELSE 1 END, d.updated_at DESC LIMIT 100`, path)
	if err != nil {
		return "", err
	}
	for _, pl := range found {
		if reads(ctx, pl.collection) && sees(ctx, pl.collection, pl.document) {
			return pl.document.ID, nil
		}
	}
	return "", fault.New(fault.NotFound, "document_not_found", "there is no document %q", path).Hinted("give its id, or its path in the source; airfield ingest list shows both")
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
