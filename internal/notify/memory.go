package notify

import "time"

// maxRemembered bounds the memory of a channel. Past it the oldest is forgotten: rather said twice than never.
const maxRemembered = 4096

// thing is what events are about.
type thing struct{ kind, key string }

// word is what was last said of a thing.
type word struct {
	id       string
	at       time.Time
	resolved bool
	held     int // equal events since
}

// memory is what a channel has said.
type memory map[thing]*word

// again reports whether the same was said less than repeat ago, and if not, how many equal events were held back since.
func (m memory) again(e Event, now time.Time, repeat time.Duration) (held int, again bool) {
	last := m[thing{e.Kind, e.Key}]
	if last == nil || last.resolved != e.Resolved {
		return 0, false
	}
	if now.Sub(last.at) < repeat {
		last.held++
		return 0, true
	}
	return last.held, false
}

// add remembers a message.
func (m memory) add(said *message, now time.Time, repeat time.Duration) {
	of := thing{said.Kind, said.Key}
	if _, known := m[of]; !known && len(m) >= maxRemembered {
		m.tidy(now, repeat)
	}
	m[of] = &word{id: said.id, at: now, resolved: said.Resolved}
}

// tidy forgets what may be said again anyhow, and the oldest where that is nothing.
func (m memory) tidy(now time.Time, repeat time.Duration) {
	var oldest thing
	var at time.Time
	for of, w := range m {
		if now.Sub(w.at) >= repeat {
			delete(m, of)
		} else if at.IsZero() || w.at.Before(at) {
			oldest, at = of, w.at
		}
	}
	if len(m) >= maxRemembered {
		delete(m, oldest)
	}
}

// forget takes back that a message was said, unless another was since.
func (m memory) forget(said *message) {
	of := thing{said.Kind, said.Key}
	if last := m[of]; last != nil && last.id == said.id {
		delete(m, of)
	}
}
