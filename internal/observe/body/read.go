package body

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/llm"
)

// Kept is what is kept of a call.
type Kept struct {
	CallID    string
	Redaction string // the version of the rules that took secrets out; empty where none did
	Request   *Text  // nil where it is not kept
	Answer    *Text
}

// Text is a request or an answer.
type Text struct {
	Bytes     []byte
	Size      int64 // as it went over the wire
	Truncated bool  // only its beginning is kept
	Media     string
}

// found is where a record is.
type found struct {
	row
	block  string
	object string
}

func foundIn(r row, b *block) found { return found{row: r, block: b.id, object: object(b.until, b.id)} }

// syncTime bounds how long a reader waits for this process's own worker.
const syncTime = 2 * time.Second

// Read returns what is kept of a call. What this process has not yet brought to the bucket is read here; what another
// one has not, is not found.
func (s *Store) Read(ctx context.Context, callID string) (Kept, error) {
	list, err := s.find(ctx, callID)
	if err != nil {
		return Kept{}, err
	}
	got := 0
	for _, f := range list {
		got |= f.what
	}
	if got != request|answer {
		s.sync(ctx, false)
		for _, f := range s.spool.find(callID) {
			if f.what&^got != 0 {
				list, got = append(list, f), got|f.what
			}
		}
		if got == 0 { // it may have left for the bucket in between
			if list, err = s.find(ctx, callID); err != nil {
				return Kept{}, err
			}
		}
	}
	if len(list) == 0 {
		return Kept{}, fault.New(fault.NotFound, "bodies_not_found", "nothing is kept here of the request and the answer of %s", callID).
			Hinted("airfield calls show %s says whether they were kept; another process's are readable when observe.bodies.seal_after is over", callID)
	}
	k := Kept{CallID: callID}
	files := &opened{store: s, ctx: ctx}
	defer files.close()
	for _, f := range list {
		if err := files.record(f, &k); err != nil {
			return Kept{}, fmt.Errorf("read what is kept of %s: %w", callID, err)
		}
	}
	return k, nil
}

// Body returns a call's request and answer as they are kept; nil where one is not.
func (s *Store) Body(ctx context.Context, callID string) (request, answer []byte, err error) {
	k, err := s.Read(ctx, callID)
	if k.Request != nil {
		request = k.Request.Bytes
	}
	if k.Answer != nil {
		answer = k.Answer.Bytes
	}
	return request, answer, err
}

func (s *Store) find(ctx context.Context, callID string) (list []found, err error) {
	rows, err := s.DB.Query(ctx, "SELECT b.what, b.frame, b.place, k.id, k.object FROM bodies b JOIN body_blocks k ON k.id = b.block_id WHERE b.call_id = ? AND (k.expires_at = 0 OR k.expires_at > ?) ORDER BY b.what",
		callID, db.Micros(time.Now()))
	if err != nil {
		return nil, fmt.Errorf("look for what is kept of a call: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		f := found{row: row{callID: callID}}
		if err := rows.Scan(&f.what, &f.frame, &f.at, &f.block, &f.object); err != nil {
			return nil, fmt.Errorf("look for what is kept of a call: %w", err)
		}
		list = append(list, f)
	}
	return list, rows.Err()
}

// sync has the worker write what was handed over before, as far as there is one.
func (s *Store) sync(ctx context.Context, seal bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, syncTime, errors.New("the worker of bodies does not answer"))
	defer cancel()
	a := asking{seal: seal, done: make(chan error, 1)}
	select {
	case s.ask <- a:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-a.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Flush brings everything that was handed over to the bucket.
func (s *Store) Flush(ctx context.Context) error {
	if err := s.sync(ctx, true); err != nil {
		return err
	}
	return s.spool.wait(ctx)
}

// Resolve replaces what the rows of calls say of their bodies, which was written when the bodies were handed over, by
// what is true now.
func (s *Store) Resolve(ctx context.Context, calls []llm.Call) error {
	there := map[string]int{}
	for from := 0; from < len(calls); from += 500 {
		var ids []any
		for i := from; i < min(from+500, len(calls)); i++ {
			if promised(&calls[i]) {
				ids = append(ids, calls[i].ID)
			}
		}
		if len(ids) == 0 {
			continue
		}
		if err := s.present(ctx, ids, there); err != nil {
			return err
		}
	}
	now, asked := time.Now(), false
	for i := range calls {
		c := &calls[i]
		if !promised(c) {
			continue
		}
		if !asked && there[c.ID] != request|answer && now.Sub(c.Start.Add(c.Duration)) < 2*patience {
			asked = true
			s.sync(ctx, false) // what was just handed over here is not pending
		}
		for _, f := range s.spool.find(c.ID) {
			there[c.ID] |= f.what
		}
		young := now.Sub(c.Start.Add(c.Duration)) < s.config.SealAfter+time.Minute
		if s.DB.Engine() == db.SQLite && c.Start.Add(c.Duration).Before(s.since) {
			young = false // nobody else is at work: what an earlier process left was taken over
		}
		switch {
		case !c.BodiesUntil.IsZero() && now.After(c.BodiesUntil):
			c.Bodies = llm.BodiesExpired
		case there[c.ID] == request|answer:
		case young:
			c.Bodies = llm.BodiesPending
		case there[c.ID] == 0:
			c.Bodies = llm.BodiesLost
		default:
			c.Bodies = llm.BodiesRequest
		}
	}
	return nil
}

func promised(c *llm.Call) bool {
	return c.Bodies == llm.BodiesKept || c.Bodies == llm.BodiesTruncated || c.Bodies == llm.BodiesRequest
}

func (s *Store) present(ctx context.Context, ids []any, there map[string]int) error {
	rows, err := s.DB.Query(ctx, "SELECT call_id, what FROM bodies WHERE call_id IN ("+db.Marks(len(ids))+")", ids...)
	if err != nil {
		return fmt.Errorf("look for what is kept of calls: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var callID string
		var what int
		if err := rows.Scan(&callID, &what); err != nil {
			return fmt.Errorf("look for what is kept of calls: %w", err)
		}
		there[callID] |= what
	}
	return rows.Err()
}

// opened are the blocks and frames that one reading has looked into.
type opened struct {
	store  *Store
	ctx    context.Context
	blocks map[string]io.ReaderAt
	frames map[string][]byte
	toShut []io.Closer
}

// record reads one record into what is kept of its call.
func (o *opened) record(f found, k *Kept) error {
	raw, err := o.frame(f.object, f.frame)
	if err != nil {
		return err
	}
	kind, content, _, err := nextEntry(raw, f.at)
	if err != nil || kind != entryCall {
		return errDamaged
	}
	rec, err := decode(content)
	if err != nil || rec.callID != f.callID {
		return errDamaged
	}
	k.Redaction = rec.redaction
	for bit, i := request, 0; bit <= answer; bit <<= 1 {
		if rec.what&bit == 0 {
			continue
		}
		text, err := o.body(rec.bodies[i], path.Dir(f.object))
		if err != nil {
			return err
		}
		if i++; bit == request {
			k.Request = text
		} else {
			k.Answer = text
		}
	}
	return nil
}

func (o *opened) body(r recipe, folder string) (*Text, error) {
	t := &Text{Size: r.size, Truncated: r.truncated, Media: r.media}
	for _, p := range r.parts {
		if p.piece == nil {
			t.Bytes = append(t.Bytes, p.plain...)
			continue
		}
		raw, err := o.frame(folder+"/"+p.piece.block, p.piece.frame)
		if err != nil {
			return nil, err
		}
		if p.piece.at < 0 || p.piece.size < 0 || p.piece.at > len(raw)-p.piece.size {
			return nil, errDamaged
		}
		b := raw[p.piece.at : p.piece.at+p.piece.size]
		if sum := sha256.Sum256(b); !bytes.Equal(sum[:len(p.piece.sum)], p.piece.sum[:]) {
			return nil, errDamaged
		}
		t.Bytes = append(t.Bytes, b...)
	}
	return t, nil
}

func (o *opened) frame(object string, at int64) ([]byte, error) {
	key := fmt.Sprintf("%s %d", object, at)
	if raw, ok := o.frames[key]; ok {
		return raw, nil
	}
	r, err := o.block(object)
	if err != nil {
		return nil, err
	}
	raw, _, err := readFrame(r, at)
	if err != nil {
		return nil, err
	}
	if o.frames == nil {
		o.frames = map[string][]byte{}
	}
	o.frames[key] = raw
	return raw, nil
}

// mostBlock is what is read of a block in one go, where the bucket cannot read in the middle.
const mostBlock = maxFrame

// block opens a block, here or in the bucket.
func (o *opened) block(object string) (io.ReaderAt, error) {
	if r, ok := o.blocks[object]; ok {
		return r, nil
	}
	var r io.ReaderAt
	if file, ok := o.store.spool.open(path.Base(object)); ok {
		o.toShut = append(o.toShut, file)
		r = file
	} else {
		body, _, err := o.store.Bucket.Get(o.ctx, object, "")
		if fault.Is(err, fault.NotFound) {
			return nil, fault.New(fault.NotFound, "bodies_not_found", "a block of bodies is not in the bucket").Hinted("it is on its way there from another process, or its time is over")
		}
		if err != nil {
			return nil, err
		}
		o.toShut = append(o.toShut, body)
		if whole, ok := body.(io.ReaderAt); ok {
			r = whole
		} else {
			b, err := io.ReadAll(io.LimitReader(body, mostBlock))
			if err != nil {
				return nil, err
			}
			r = bytes.NewReader(b)
		}
	}
	if o.blocks == nil {
		o.blocks = map[string]io.ReaderAt{}
	}
	o.blocks[object] = r
	return r, nil
}

func (o *opened) close() {
	for _, c := range o.toShut {
		c.Close() // was only read
	}
}
