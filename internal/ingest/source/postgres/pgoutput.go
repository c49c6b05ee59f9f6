package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// The messages of the output plugin pgoutput, protocol version 1, as far as a source needs them.

// begin opens a transaction; commit ends it.
type (
	begin  struct{}
	commit struct{ end uint64 }
)

// relation tells of a table before its first change, and whenever it was altered.
type relation struct {
	oid          uint32
	schema, name string
	columns      []attribute
}

type attribute struct {
	name     string
	identity bool // part of the replica identity
	oid      uint32
}

// change is an inserted, updated or deleted row; old is there where the database sent what was before.
type change struct {
	relation uint32
	old, new []datum
}

// truncate empties tables.
type truncate struct{ relations []uint32 }

// datum is one value of a change.
type datum struct {
	kind byte // n: NULL, u: unchanged and not sent, t: text, b: binary
	data []byte
}

var errTorn = errors.New("a message of the replication stream cannot be read")

// parse reads one message; nil where it is of a kind that tells a source nothing.
func parse(message []byte) (any, error) {
	if len(message) == 0 {
		return nil, errTorn
	}
	r := &reader{rest: message[1:]}
	var m any
	switch message[0] {
	case 'B':
		r.take(8 + 8 + 4)
		m = begin{}
	case 'C':
		r.take(1 + 8)
		end := r.uint64()
		r.take(8)
		m = commit{end}
	case 'R':
		m = r.relation()
	case 'I':
		c := change{relation: r.uint32()}
		if r.byte() != 'N' {
			return nil, errTorn
		}
		c.new = r.tuple()
		m = c
	case 'U':
		c := change{relation: r.uint32()}
		kind := r.byte()
		if kind == 'K' || kind == 'O' {
			c.old = r.tuple()
			kind = r.byte()
		}
		if kind != 'N' {
			return nil, errTorn
		}
		c.new = r.tuple()
		m = c
	case 'D':
		c := change{relation: r.uint32()}
		if kind := r.byte(); kind != 'K' && kind != 'O' {
			return nil, errTorn
		}
		c.old = r.tuple()
		m = c
	case 'T':
		n := r.uint32()
		r.byte()
		t := truncate{}
		for i := uint32(0); i < n && !r.torn; i++ {
			t.relations = append(t.relations, r.uint32())
		}
		m = t
	default: // origins, types, messages of others
		return nil, nil
	}
	if r.torn || len(r.rest) > 0 {
		return nil, errTorn
	}
	return m, nil
}

// reader reads a message; once it is torn it gives zeros.
type reader struct {
	rest []byte
	torn bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.torn, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) string() string {
	end := bytes.IndexByte(r.rest, 0)
	if end < 0 {
		r.take(len(r.rest) + 1)
		return ""
	}
	return string(r.take(end + 1)[:end])
}

func (r *reader) relation() relation {
	rel := relation{oid: r.uint32(), schema: r.string(), name: r.string()}
	if rel.schema == "" { // that is how pg_catalog is written
		rel.schema = "pg_catalog"
	}
	r.byte()
	for n := r.uint16(); n > 0 && !r.torn; n-- {
		a := attribute{identity: r.byte()&1 != 0, name: r.string(), oid: r.uint32()}
		r.take(4)
		rel.columns = append(rel.columns, a)
	}
	return rel
}

func (r *reader) tuple() []datum {
	tuple := []datum{} // not nil: it is there
	for n := r.uint16(); n > 0 && !r.torn; n-- {
		d := datum{kind: r.byte()}
		switch d.kind {
		case 'n', 'u':
		case 't', 'b':
			size := r.uint32()
			if uint64(size) > uint64(len(r.rest)) {
				r.take(len(r.rest) + 1)
				return nil
			}
			d.data = r.take(int(size))
		default:
			r.take(len(r.rest) + 1)
		}
		tuple = append(tuple, d)
	}
	return tuple
}
