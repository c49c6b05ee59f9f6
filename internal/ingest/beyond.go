package ingest

import "time"

// Retained is something that may hold a deleted document's words and that no purge reaches.
type Retained struct {
	What string
	For  time.Duration // how long it keeps what was in it at the deletion; 0: nothing here ends it
	Note string
}

// Beyond is what may still hold a deleted document's words, and until when.
type Beyond struct {
	What  string    `json:"what"`
	Until time.Time `json:"until,omitzero"` // missing: nothing here ends it, the note says who does
	Note  string    `json:"note"`
}

// beyond is what a proof cannot speak for: from the deletion on no new answer has the words, and what has them runs out.
func (p *Pipeline) beyond(proof Proof) []Beyond {
	if p.Beyond == nil {
		return nil
	}
	var list []Beyond
	for _, r := range p.Parts.Beyond() {
		b := Beyond{What: r.What, Note: r.Note}
		if r.For > 0 {
			b.Until = proof.DeletedAt.UTC().Add(r.For)
		}
		list = append(list, b)
	}
	return list
}
