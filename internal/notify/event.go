// Package notify tells people what they should know now: a budget that is used up, a model that nobody serves, a document
// that will not become live. Features send events; each channel of the configuration delivers those it is for. Sending
// never waits. Of the same thing there is one word an hour until it is over.
package notify

import (
	"encoding/json"
	"time"

	"airfield/internal/id"
)

// Severity says how soon somebody should look.
type Severity string

const (
	Info     Severity = "info"     // worth knowing
	Warning  Severity = "warning"  // will hurt if nobody looks
	Critical Severity = "critical" // hurts now
)

// Event is something that people should know.
type Event struct {
	Kind        string            // what sort of thing, with dots: "budget.exceeded"
	Key         string            // which one: events of one kind and key are the same thing over time
	Severity    Severity          // Warning, where none is given
	Title       string            // one line
	Text        string            // what happened and what to do about it
	At          time.Time         // when; now, where none is given
	Resolved    bool              // it is over
	Environment string            // the notifier's own, where none is given
	Fields      map[string]string // figures and names; never what was asked or answered
}

// message is an event as a channel delivers it.
type message struct {
	Event
	id   string // the same in each try, by which a receiver knows what it has already
	held int    // the same events that were held back since the last one
}

func newMessage(e Event, held int) *message { return &message{Event: e, id: id.New("evt"), held: held} }

// wire is a message as JSON. Its names are a promise to those who receive it.
type wire struct {
	Version     int               `json:"version"`     // 1; another only where a name goes or changes its meaning
	ID          string            `json:"id"`          // the same in every try of a delivery
	Kind        string            `json:"kind"`        // "budget.exceeded"
	Key         string            `json:"key"`         // which one
	Severity    Severity          `json:"severity"`    // info, warning, critical
	Resolved    bool              `json:"resolved"`    // it is over
	Title       string            `json:"title"`       // one line
	Text        string            `json:"text"`        // what happened and what to do about it
	At          time.Time         `json:"at"`          // RFC 3339, in UTC
	Environment string            `json:"environment"` // which deployment
	Fields      map[string]string `json:"fields"`      // figures and names; an object, also where there are none
	Held        int               `json:"held"`        // equal events that were not sent since the last one that was
}

func (m *message) body() []byte {
	w := wire{
		Version: 1, ID: m.id, Kind: m.Kind, Key: m.Key, Severity: m.Severity, Resolved: m.Resolved, Title: m.Title, Text: m.Text,
		At: m.At.UTC(), Environment: m.Environment, Fields: m.Fields, Held: m.held,
	}
	if w.Fields == nil {
		w.Fields = map[string]string{}
	}
	text, err := json.Marshal(w)
	if err != nil { // a year that RFC 3339 has no digits for
		w.At = time.Now().UTC()
		text, _ = json.Marshal(w)
	}
	return text
}
