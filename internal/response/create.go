package response

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"airfield/internal/fault"
	"airfield/internal/id"
	"airfield/internal/money"
)

// Create answers a request of POST /v1/responses. An error means that nothing was written but headers. A response that
// breaks off, fails or is left by its caller before its end is not kept: there is nothing then that could be continued.
func (s *Service) Create(ctx context.Context, body []byte, timeout time.Duration, send Send, w http.ResponseWriter) (err error) {
	q, err := readRequest(body)
	if err != nil {
		return err
	}
	if q == nil || q.asIs() {
		return send(ctx, body, "", timeout, w)
	}
	ctx, span := s.Tracer.Start(ctx, "response") // so that its calls and searches are of one trace
	defer func() { span.Done(err) }()
	t := &turn{Service: s, q: q, send: send, w: w, id: id.New("resp"), created: time.Now(), timeout: timeout}
	if t.scope, err = scopeOf(ctx); err != nil {
		return err
	}
	q.store = q.store && s.config.Keep > 0 && s.Keeps(t.scope.workflow)
	if err := t.prepare(ctx); err != nil {
		return err
	}
	return t.run(ctx)
}

// turn is one response on its way: as a rule one call of a model, with file_search as many as it takes.
type turn struct {
	*Service
	q       *request
	scope   scope
	send    Send
	w       http.ResponseWriter
	id      string
	created time.Time
	timeout time.Duration // over all calls; 0 where the caller set none
	before  []row         // the conversation that is continued
	input   []json.RawMessage
	epochs  string

	base  []json.RawMessage // what is sent in every round
	said  []json.RawMessage // what the rounds before said, for the next
	shown []shown           // the output

	rounds   int
	searches int
	used     usage
	cost     money.Nanos
	unpriced bool
	started  int64 // created_at as the caller was told it; 0 before
	sequence int64 // of the next event
	last     object
}

// shown is an item of the output, and how it is kept where that differs.
type shown struct{ item, kept json.RawMessage }

// run asks the model, again where it wants to search, and gives the answer.
func (t *turn) run(ctx context.Context) error {
	if t.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, t.created.Add(t.timeout))
		defer cancel()
	}
	for {
		t.rounds++
		_, plain := t.plain.Load(t.q.model)
		r, err := t.ask(ctx, !plain)
		if err == nil && !plain && r.refusesThoughts() {
			t.plain.Store(t.q.model, nil)
			r, err = t.ask(ctx, false)
		}
		switch {
		case err != nil && t.sequence == 0:
			return err
		case err != nil:
			t.broken(err)
			return nil
		case r.over: // it was told, or broke off
			return nil
		case r.status >= 400 || r.whole == nil:
			if t.sequence > 0 {
				t.broken(refusal(r))
				return nil
			}
			return r.pass(t.w)
		}
		again, err := t.take(ctx, r)
		if err != nil {
			if t.sequence == 0 {
				return err
			}
			t.broken(err)
			return nil
		}
		if !again {
			return t.finish(ctx, r)
		}
	}
}

// refusal is what a provider said after the answer had begun.
func refusal(r *round) *fault.Fault {
	var read struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	json.Unmarshal(r.body, &read) // it may be anything
	return fault.New(fault.Upstream, "upstream_error", "the model refused to go on after a search: %d %s", r.status, clip(read.Error.Message))
}

// ask makes one call.
func (t *turn) ask(ctx context.Context, thoughts bool) (*round, error) {
	body := t.q.body(slices.Concat(t.base, t.said), thoughts)
	first := t.rounds == 1
	if t.q.search != nil {
		most := t.config.SearchRounds
		if t.q.calls > 0 {
			most = min(most, t.q.calls)
		}
		t.q.search.offer(body, first, t.rounds > t.config.SearchRounds || t.searches >= most)
	}
	if t.q.limit > 0 && !first {
		body["max_output_tokens"] = must(max(16, t.q.limit-t.used.Output)) // 16 is the least that OpenAI takes
	}
	left := time.Duration(0)
	if t.timeout > 0 {
		if left = time.Until(t.created.Add(t.timeout)); left <= 0 {
			return nil, fault.New(fault.Timeout, "timeout", "the time that the caller gave is over")
		}
	}
	r := &round{t: t, first: first, header: http.Header{}}
	if err := t.send(ctx, must(body), t.epochs, left, r); err != nil {
		if t.sequence == 0 {
			forward(r.header, t.w.Header()) // which call it was
		}
		return nil, err
	}
	return r, r.end()
}

// take adds what a round said to the output. It reports whether the model is to be asked again.
func (t *turn) take(ctx context.Context, r *round) (again bool, err error) {
	t.last = r.whole
	t.used.add(r.whole["usage"])
	t.charged(r.header)
	var output []json.RawMessage
	json.Unmarshal(r.whole["output"], &output) // without one there is nothing to take
	if len(output) == 0 {
		output = r.items
	}
	complete := string(r.whole["status"]) != `"incomplete"`
	waits := false // for the caller
	var results []json.RawMessage
	for _, i := range output {
		h := headOf(i)
		if t.q.search == nil || h.Type != "function_call" || h.Name != t.q.search.name {
			waits = waits || h.Type == "function_call" || h.Type == "custom_tool_call"
			t.show(t.q.search.citeItem(i), nil)
			if i = sendable(i); i != nil {
				t.said = append(t.said, i)
			}
			continue
		}
		if !complete { // its arguments may be cut off
			item := t.q.search.item(r.searchID(h.CallID), "incomplete", nil, nil, false)
			t.show(item, nil)
			r.tellItem(h.CallID, item)
			continue
		}
		text, err := t.searched(ctx, r, h)
		if err != nil {
			return false, err
		}
		t.said = append(t.said, sendable(i))
		results = append(results, functionOutput(h.CallID, text))
	}
	t.said = append(t.said, results...)
	return len(results) > 0 && !waits, nil
}

// searched makes a search that the model asked for and returns what it is told.
func (t *turn) searched(ctx context.Context, r *round, h head) (string, error) {
	t.searches++
	itemID, asked, status := r.searchID(h.CallID), queries(h.Arguments), "completed"
	r.tellSearch(h.CallID, "searching")
	text := "The search could not be made: give the argument queries, a list of short texts."
	var found []Source
	if len(asked) == 0 {
		status = "failed"
	} else {
		var err error
		found, err = t.q.search.run(ctx, t.Searcher, asked)
		switch {
		case fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge): // the model's queries are at fault
			status, text = "failed", "The search could not be made: "+fault.As(err).Text
		case err != nil:
			return "", err
		default:
			text = t.q.search.tell(found)
		}
	}
	item := t.q.search.item(itemID, status, asked, found, slices.Contains(t.q.include, resultsInclude))
	t.show(item, t.q.search.item(itemID, status, asked, nil, false)) // passages are not kept: their document may be deleted
	if status == "completed" {
		r.tellSearch(h.CallID, status)
	}
	r.tellItem(h.CallID, item)
	return text, nil
}

func (t *turn) show(item, kept json.RawMessage) {
	if kept == nil {
		kept = item
	}
	t.shown = append(t.shown, shown{item, kept})
}

// charged adds up what the calls cost.
func (t *turn) charged(h http.Header) {
	n, err := money.Parse(h.Get("X-Airfield-Cost-Usd"))
	if err != nil {
		t.unpriced = true
	}
	t.cost = t.cost.Add(n)
}

// patch makes a provider's response the one that the caller asked for.
func (t *turn) patch(o object, store bool) {
	o["id"], o["store"] = must(t.id), must(store)
	o["previous_response_id"] = json.RawMessage("null")
	if t.q.previous != "" {
		o["previous_response_id"] = must(t.q.previous)
	}
	if t.started > 0 {
		o["created_at"] = must(t.started)
	} else if json.Unmarshal(o["created_at"], &t.started) != nil || t.started == 0 {
		t.started = t.created.Unix()
		o["created_at"] = must(t.started)
	}
	if t.q.search == nil {
		return
	}
	for _, name := range []string{"tools", "tool_choice", "max_output_tokens", "max_tool_calls"} {
		if v, ok := t.q.fields[name]; ok {
			o[name] = v
		} else if name == "tool_choice" {
			o[name] = must("auto")
		}
	}
}

// finish keeps the response and gives its last byte, in this order.
func (t *turn) finish(ctx context.Context, r *round) error {
	o := t.last
	t.patch(o, t.q.store)
	items, keep := []json.RawMessage{}, []json.RawMessage{}
	var ids []string
	for _, s := range t.shown {
		items, keep = append(items, s.item), append(keep, s.kept)
		if one := idOf(s.item); one != "" && len(one) <= 128 {
			ids = append(ids, one)
		}
	}
	if t.rounds > 1 {
		o["usage"] = must(t.used)
	}
	if t.q.store {
		o["output"] = must(keep)
		if err := t.keep(ctx, must(o), ids); err != nil {
			// The answer was paid for: it is given, and says that it cannot be continued.
			t.Log.Error("a response was not kept", "response", t.id, "workflow", t.scope.workflow, "error", err)
			o["store"] = json.RawMessage("false")
		}
	}
	o["output"] = must(items)
	return r.give(o)
}

// saveTime bounds how long an answer waits to be kept.
const saveTime = 5 * time.Second

func (t *turn) keep(ctx context.Context, response json.RawMessage, ids []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	return t.save(ctx, t.scope, row{id: t.id, previous: t.q.previous, turn: len(t.before) + 1, created: t.created, input: t.input, response: response}, t.before, ids)
}
