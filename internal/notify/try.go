package notify

import (
	"context"
	"time"

	"airfield/internal/fault"
)

// Tested is what became of a word that was sent to see whether it arrives.
type Tested struct {
	Channel string `json:"channel"`
	OK      bool   `json:"ok"`
	Error   string `json:"error,omitempty"`
}

// Test makes one try of a delivery on a channel, or on each where none is named, whatever kinds the channel is for.
func (n *Notifier) Test(ctx context.Context, name string) ([]Tested, error) {
	results := []Tested{}
	for _, c := range n.list() {
		if name != "" && c.name != name {
			continue
		}
		c.mu.Lock()
		config := c.config
		c.mu.Unlock()
		m := newMessage(Event{
			Kind: "notify.test", Key: c.name, Severity: Info, Title: "a test of the channel " + c.name, Text: "Nothing has happened. Somebody wanted to know whether this arrives.",
			At: time.Now(), Environment: n.deps.Environment,
		}, 0)
		t := Tested{Channel: c.name, OK: true}
		if f := (webhook{n.client, config}).deliver(ctx, m); f != nil {
			t.OK, t.Error = false, f.text
		}
		results = append(results, t)
	}
	if name != "" && len(results) == 0 {
		return nil, fault.New(fault.NotFound, "channel_not_found", "there is no channel %q", name).At("channel").Hinted("airfield notify lists them")
	}
	return results, nil
}
