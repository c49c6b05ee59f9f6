package gateway

import (
	"bytes"
	"sync"

	"airfield/internal/gateway/sse"
)

// buffers are for answers on their way. Those that grew beyond keepBuffer are not kept.
var buffers bufferPool

const keepBuffer = 256 << 10

type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) take() *bytes.Buffer {
	if b, ok := p.pool.Get().(*bytes.Buffer); ok {
		b.Reset()
		return b
	}
	return bytes.NewBuffer(make([]byte, 0, 8<<10))
}

func (p *bufferPool) give(b *bytes.Buffer) {
	if b != nil && b.Cap() <= keepBuffer {
		p.pool.Put(b)
	}
}

// streams are readers of events.
var streams streamPool

type streamPool struct{ pool sync.Pool }

func (p *streamPool) take() *sse.Reader {
	if r, ok := p.pool.Get().(*sse.Reader); ok {
		return r
	}
	return sse.NewReader()
}

func (p *streamPool) give(r *sse.Reader) {
	if r != nil {
		r.Reset(nil)
		p.pool.Put(r)
	}
}

// calls are for calls to come. Nothing of a call is used once it was closed: what others have of it, they have copied.
var calls = sync.Pool{New: func() any { return new(call) }}
