package neutral

// Collect makes a whole answer of its events.
type Collect struct {
	Answer Answer
	Done   bool // it has a Finish
	Err    *Error
}

// Add takes the next event.
func (c *Collect) Add(e *Event) {
	a := &c.Answer
	switch e.Kind {
	case Begin:
		a.ID, a.Model, a.Created, a.Usage = e.Answer.ID, e.Answer.Model, e.Answer.Created, e.Answer.Usage
	case Open:
		if e.Index == len(a.Parts) {
			a.Parts = append(a.Parts, e.Part)
		}
	case Delta:
		if e.Index < 0 || e.Index >= len(a.Parts) {
			return
		}
		p := &a.Parts[e.Index]
		p.Text += e.Part.Text
		p.Data += e.Part.Data
		p.Signature += e.Part.Signature
		p.Citations = append(p.Citations, e.Part.Citations...)
	case Finish:
		a.Stop, a.Sequence, a.Usage, a.Service, c.Done = e.Answer.Stop, e.Answer.Sequence, e.Answer.Usage, e.Answer.Service, true
	case Failed:
		c.Err = e.Err
	}
}

// Events tells a whole answer as events.
func Events(a *Answer, emit func(*Event)) {
	emit(&Event{Kind: Begin, Answer: Answer{ID: a.ID, Model: a.Model, Created: a.Created}})
	for i := range a.Parts {
		emit(&Event{Kind: Open, Index: i, Part: Part{Kind: a.Parts[i].Kind, ID: a.Parts[i].ID, Name: a.Parts[i].Name, Media: a.Parts[i].Media}})
		emit(&Event{Kind: Delta, Index: i, Part: a.Parts[i]})
		emit(&Event{Kind: Close, Index: i})
	}
	emit(&Event{Kind: Finish, Answer: Answer{Stop: a.Stop, Sequence: a.Sequence, Usage: a.Usage, Service: a.Service}})
}
