package body

import (
	"encoding/binary"
)

// What of a call a record holds, as the index has it.
const (
	request = 1
	answer  = 2
)

// hash is the beginning of the SHA-256 of a piece as it is kept.
type hash [16]byte

// place is where a piece is.
type place struct {
	block    string
	frame    int64
	at, size int
	sum      hash
}

// recipe is one body: its parts, one after the other.
type recipe struct {
	size      int64 // as it was sent
	truncated bool
	media     string
	parts     []part
}

// part is bytes that stand for themselves, or a piece.
type part struct {
	plain []byte
	piece *place
}

// record is what is kept of a call, in one place.
type record struct {
	callID    string
	what      int
	redaction string
	bodies    []recipe // in the order of what
}

type writer []byte

func (w *writer) number(n int64) { *w = binary.AppendUvarint(*w, uint64(n)) }

func (w *writer) text(b string) {
	w.number(int64(len(b)))
	*w = append(*w, b...)
}

// encode appends a record. The places of one recipe are mostly in few blocks, which are named once.
func (r *record) encode(w writer) writer {
	w.text(r.callID)
	w.number(int64(r.what))
	w.text(r.redaction)
	var blocks []string
	index := func(name string) int64 {
		for i, b := range blocks {
			if b == name {
				return int64(i)
			}
		}
		blocks = append(blocks, name)
		return int64(len(blocks) - 1)
	}
	for i := range r.bodies {
		for _, p := range r.bodies[i].parts {
			if p.piece != nil {
				index(p.piece.block)
			}
		}
	}
	w.number(int64(len(blocks)))
	for _, b := range blocks {
		w.text(b)
	}
	for i := range r.bodies {
		body := &r.bodies[i]
		w.number(body.size)
		flags := int64(0)
		if body.truncated {
			flags = 1
		}
		w.number(flags)
		w.text(body.media)
		w.number(int64(len(body.parts)))
		for _, p := range body.parts {
			if p.piece == nil {
				w.number(0)
				w.number(int64(len(p.plain)))
				w = append(w, p.plain...)
				continue
			}
			w.number(1 + index(p.piece.block))
			w.number(p.piece.frame)
			w.number(int64(p.piece.at))
			w.number(int64(p.piece.size))
			w = append(w, p.piece.sum[:]...)
		}
	}
	return w
}

type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) number() int64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > 1<<62 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return int64(n)
}

func (r *reader) bytes(n int64) []byte {
	if n > int64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) text() string { return string(r.bytes(r.number())) }

// name reads only whose record it is, and what it holds.
func name(content []byte) (callID string, what int, err error) {
	r := reader{rest: content}
	callID, what = r.text(), int(r.number())
	if r.bad || callID == "" || what < request || what > request|answer {
		return "", 0, errDamaged
	}
	return callID, what, nil
}

func decode(content []byte) (rec record, err error) {
	r := reader{rest: content}
	rec.callID, rec.what, rec.redaction = r.text(), int(r.number()), r.text()
	var blocks []string
	for n := r.number(); n > 0 && !r.bad; n-- {
		blocks = append(blocks, r.text())
	}
	for bit := request; bit <= answer; bit <<= 1 {
		if rec.what&bit == 0 {
			continue
		}
		body := recipe{size: r.number(), truncated: r.number()&1 != 0, media: r.text()}
		for n := r.number(); n > 0 && !r.bad; n-- {
			which := r.number()
			if which == 0 {
				body.parts = append(body.parts, part{plain: r.bytes(r.number())})
				continue
			}
			if which > int64(len(blocks)) {
				return rec, errDamaged
			}
			p := &place{block: blocks[which-1], frame: r.number(), at: int(r.number()), size: int(r.number())}
			copy(p.sum[:], r.bytes(int64(len(p.sum))))
			body.parts = append(body.parts, part{piece: p})
		}
		rec.bodies = append(rec.bodies, body)
	}
	if r.bad || rec.callID == "" || len(r.rest) > 0 {
		return rec, errDamaged
	}
	return rec, nil
}
