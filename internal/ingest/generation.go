package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/ingest/chunk"
)

// The states of a generation.
const (
	GenerationBuilding  = "building"
	GenerationChecking  = "checking"  // built; it is held against the live one
	GenerationReady     = "ready"     // passed: it may become live
	GenerationHeld      = "held"      // did not pass: somebody has to decide
	GenerationLive      = "live"      // queries go to it
	GenerationPrevious  = "previous"  // was live; kept, and kept up to date, to go back to
	GenerationReclaimed = "reclaimed" // its rows are gone, or going
	GenerationCancelled = "cancelled"
	GenerationFailed    = "failed" // its model takes nothing; a start with the same settings goes on where it ended
)

// The phases of building, in their order.
const (
	phaseCut    = "cut"    // documents are cut anew
	phaseEmbed  = "embed"  // passages get their vectors
	phaseFollow = "follow" // what changed meanwhile is done too
)

// Generation is one embedding model's vectors of a collection, over one way of cutting it.
type Generation struct {
	ID           string       `json:"id"`
	CollectionID string       `json:"collection_id"`
	State        string       `json:"state"`
	Model        string       `json:"model"`
	Dimensions   int          `json:"dimensions"` // 0 until the first vector
	Chunking     chunk.Config `json:"chunking"`
	Reason       string       `json:"reason,omitempty"` // why it was built: request, schedule, file
	StartedBy    string       `json:"started_by,omitempty"`
	Phase        string       `json:"phase,omitempty"` // of building: cut, embed, follow
	Total        int64        `json:"total"`           // what the phase has to do: documents to cut, passages to embed
	Done         int64        `json:"done"`
	Embedded     int64        `json:"embedded"` // passages that the model was asked for
	Refused      int64        `json:"refused"`  // passages that the model refused, and documents that could not be cut anew
	Behind       int64        `json:"behind"`   // changes of the collection that it has not followed yet
	AutoSwitch   bool         `json:"auto_switch"`
	Error        string       `json:"error,omitempty"` // of the latest try
	Gate         *Gate        `json:"gate,omitempty"`
	CreatedAt    time.Time    `json:"created_at"`
	ReadyAt      time.Time    `json:"built_at,omitzero"`
	LiveAt       time.Time    `json:"live_at,omitzero"`
	KeptUntil    time.Time    `json:"kept_until,omitzero"`
	ReclaimedAt  time.Time    `json:"reclaimed_at,omitzero"`

	cut         int64
	cursor      string
	position    int64
	sequence    int64 // of the collection
	attempts    int
	leasedUntil int64
	lease       string
}

// worked reports whether there is something to do for it as long as its collection changes.
func (g *Generation) worked() bool {
	switch g.State {
	case GenerationBuilding, GenerationChecking, GenerationReady, GenerationHeld, GenerationPrevious:
		return g.ReclaimedAt.IsZero()
	}
	return false
}

// open reports whether it is on its way to become live.
func (g *Generation) open() bool { return g.worked() && g.State != GenerationPrevious }

// of is the collection as if this generation were its live one: embedding and cutting follow it.
func (g *Generation) of(c Collection) Collection {
	c.GenerationID, c.Model, c.Dimensions, c.Cut, c.Chunking = g.ID, g.Model, g.Dimensions, g.cut, g.Chunking
	return c
}

const generationColumns = `g.id, g.collection_id, g.state, g.model, g.dimensions, g.chunking, g.reason, g.started_by, g.phase, g.total, g.done, g.embedded, g.refused,
	g.error, g.gate, g.created_at, g.ready_at, g.live_at, g.kept_until, g.reclaimed_at, g.auto_switch, g.cut, g.cursor, g.position, g.attempts, g.leased_until, c.sequence, c.config
	FROM generations g JOIN collections c ON c.id = g.collection_id`

func scanGeneration(row scanner) (g Generation, err error) {
	var chunking, gate, config string
	var created, ready, live, kept, reclaimed, auto int64
	if err := row.Scan(&g.ID, &g.CollectionID, &g.State, &g.Model, &g.Dimensions, &chunking, &g.Reason, &g.StartedBy, &g.Phase, &g.Total, &g.Done, &g.Embedded, &g.Refused,
		&g.Error, &gate, &created, &ready, &live, &kept, &reclaimed, &auto, &g.cut, &g.cursor, &g.position, &g.attempts, &g.leasedUntil, &g.sequence, &config); err != nil {
		return g, err
	}
	if chunking != "" {
		err = json.Unmarshal([]byte(chunking), &g.Chunking)
	} else {
		read := struct{ Chunking *chunk.Config }{&g.Chunking}
		err = json.Unmarshal([]byte(config), &read)
	}
	if err == nil && gate != "" {
		err = json.Unmarshal([]byte(gate), &g.Gate)
	}
	if err != nil {
		return g, fmt.Errorf("read generation %s: %w", g.ID, err)
	}
	if g.worked() {
		g.Behind = g.sequence - g.position
	}
	g.AutoSwitch = auto != 0
	g.CreatedAt, g.ReadyAt, g.LiveAt, g.KeptUntil, g.ReclaimedAt = db.Time(created), db.Time(ready), db.Time(live), db.Time(kept), db.Time(reclaimed)
	return g, nil
}

func findGeneration(ctx context.Context, q db.Querier, id string) (Generation, error) {
	g, err := scanGeneration(q.QueryRow(ctx, "SELECT "+generationColumns+" WHERE g.id = ?", id))
	if db.IsNone(err) {
		return g, fault.New(fault.NotFound, "generation_not_found", "there is no generation %q", id)
	}
	return g, err
}

// generationsOf lists a collection's generations, the newest first.
func generationsOf(ctx context.Context, q db.Querier, collectionID string) ([]Generation, error) {
	return collect(ctx, q, scanGeneration, "SELECT "+generationColumns+" WHERE g.collection_id = ? ORDER BY g.created_at DESC, g.id DESC", collectionID)
}

// lockGenerations reads a collection's generations and the collection for a change of which one is live. Every transaction
// locks documents first, then runs, then generations, then the collection.
func lockGenerations(ctx context.Context, tx *db.Tx, collectionID string) (list []Generation, c Collection, err error) {
	if _, err := collect(ctx, tx, scanText, "SELECT id FROM generations WHERE collection_id = ? AND reclaimed_at = 0 ORDER BY id"+tx.ForUpdate(), collectionID); err != nil {
		return nil, c, err
	}
	if c, err = lockCollection(ctx, tx, collectionID); err != nil {
		return nil, c, err
	}
	list, err = generationsOf(ctx, tx, collectionID)
	return list, c, err
}

// pick returns the newest of the generations that fits.
func pick(list []Generation, fits func(*Generation) bool) *Generation {
	for i := range list {
		if fits(&list[i]) {
			return &list[i]
		}
	}
	return nil
}
