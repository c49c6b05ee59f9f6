package limit

import (
	"sync"
	"sync/atomic"
	"time"
)

// bell tells those who wait that something may have come free.
type bell struct {
	fns   atomic.Pointer[[]func()]
	mu    sync.Mutex
	timer *time.Timer // nil: none is set
	at    time.Time
}

func (b *bell) add(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var fns []func()
	if old := b.fns.Load(); old != nil {
		fns = append(fns, *old...)
	}
	fns = append(fns, fn)
	b.fns.Store(&fns)
}

func (b *bell) ring() {
	if fns := b.fns.Load(); fns != nil {
		for _, fn := range *fns {
			fn()
		}
	}
}

// ringIn rings after d at the latest, for what comes free without anybody's doing in this process.
func (b *bell) ringIn(d time.Duration) {
	if b.fns.Load() == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	at := time.Now().Add(d)
	if b.timer != nil {
		if !at.Before(b.at) {
			return
		}
		b.timer.Stop()
	}
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		b.mu.Lock()
		if b.timer == timer {
			b.timer = nil
		}
		b.mu.Unlock()
		b.ring()
	})
	b.timer, b.at = timer, at
}
