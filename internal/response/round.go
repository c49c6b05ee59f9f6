package response

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"airfield/internal/fault"
	"airfield/internal/id"
)

// round is the answer of one call, as the gateway writes it. The events of a stream go on as they come, except for the
// last one, which is held until the response is kept; everything else is collected.
type round struct {
	t       *turn
	first   bool
	header  http.Header
	status  int
	streams bool
	body    []byte // of what is no stream
	rest    []byte // the beginning of an event whose end has not come
	whole   object // the response, once it is there
	items   []json.RawMessage
	ending  string // the type of the event that ended the stream
	number  int64  // and its number
	over    bool   // nothing more is to be given: the stream failed
	gone    error  // the caller left

	outputs map[int]int    // where the items of this call stand in the response
	calls   map[int]string // the searches among them: the ids of their calls
	found   map[string]at  // where these are shown
	citers  map[string]*citer
	cited   map[string]int        // annotations told of a part
	waiting map[string][]citation // and those that are to be told
}

// at is where an item is shown.
type at struct {
	id     string
	output int
}

// mostCollected bounds an answer, or one event of it, that is held.
const mostCollected = 64 << 20

func (r *round) Header() http.Header { return r.header }

// Unwrap lets the gateway set deadlines and flush, where there is a caller who reads along.
func (r *round) Unwrap() http.ResponseWriter {
	if r.streams {
		return r.t.w
	}
	return nil
}

func (r *round) WriteHeader(status int) {
	if r.status != 0 {
		return
	}
	r.status = status
	r.streams = status < 400 && strings.HasPrefix(r.header.Get("Content-Type"), "text/event-stream")
	if r.streams && r.first {
		forward(r.header, r.t.w.Header())
		r.t.w.WriteHeader(status)
	}
}

func forward(from, to http.Header) {
	for name, values := range from {
		if name != "Content-Length" {
			to[name] = values
		}
	}
}

func (r *round) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if r.gone != nil {
		return 0, r.gone
	}
	if !r.streams {
		if r.body = append(r.body, p...); len(r.body) > mostCollected {
			return 0, fmt.Errorf("an answer of more than %d bytes cannot be kept", mostCollected)
		}
		return len(p), nil
	}
	r.rest = append(r.rest, p...)
	for {
		n := eventEnd(r.rest)
		if n < 0 {
			break
		}
		r.event(r.rest[:n])
		r.rest = r.rest[n:]
	}
	if len(r.rest) > mostCollected {
		r.gone = fmt.Errorf("an event of more than %d bytes cannot be kept", mostCollected)
	}
	return len(p), r.gone
}

// eventEnd is the length of the first whole event, or -1.
func eventEnd(b []byte) int {
	end := -1
	for _, blank := range [...]string{"\n\n", "\n\r\n"} {
		if i := bytes.Index(b, []byte(blank)); i >= 0 && (end < 0 || i+len(blank) < end) {
			end = i + len(blank)
		}
	}
	return end
}

// write gives bytes to the caller at once.
func (r *round) write(b []byte) {
	if r.gone != nil {
		return
	}
	if _, r.gone = r.t.w.Write(b); r.gone == nil {
		http.NewResponseController(r.t.w).Flush() // a writer without buffers has nothing to flush
	}
}

// dataOf joins the data fields of an event.
func dataOf(raw []byte) (data []byte) {
	for line := range bytes.Lines(raw) {
		if value, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), []byte("data:")); ok {
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, bytes.TrimPrefix(value, []byte(" "))...)
		}
	}
	return data
}

// said is what is looked at in an event.
type said struct {
	Type     string          `json:"type"`
	Sequence int64           `json:"sequence_number"`
	Response object          `json:"response"`
	Item     json.RawMessage `json:"item"`
	Part     json.RawMessage `json:"part"`
	ItemID   string          `json:"item_id"`
	Output   *int            `json:"output_index"`
	Content  int             `json:"content_index"`
	Delta    json.RawMessage `json:"delta"`
	Text     json.RawMessage `json:"text"`
}

// event deals with one event of the stream.
func (r *round) event(raw []byte) {
	data := dataOf(raw)
	var e said
	if len(data) == 0 || json.Unmarshal(data, &e) != nil || e.Type == "" {
		r.write(raw) // a comment, or nothing that is known
		return
	}
	t := r.t
	switch e.Type {
	case "response.created", "response.queued", "response.in_progress":
		if r.first && e.Response != nil {
			t.patch(e.Response, t.q.store)
			r.tell(data, object{"response": must(e.Response)}, e)
		}
	case "response.completed", "response.incomplete":
		if e.Response != nil {
			r.whole, r.ending, r.number = e.Response, e.Type, e.Sequence
		}
	case "response.failed", "error":
		r.over = true
		changed := object{}
		if e.Response != nil {
			t.patch(e.Response, false)
			changed["response"] = must(e.Response)
		}
		r.tell(data, changed, e)
	default:
		if e.Type == "response.output_item.done" {
			r.items = append(r.items, e.Item)
		}
		if t.q.search != nil {
			r.searching(data, &e)
			return
		}
		t.sequence = max(t.sequence, e.Sequence+1)
		r.write(raw)
	}
}

// tell gives an event with some of its members changed.
func (r *round) tell(data []byte, changed object, e said) {
	var o object
	if json.Unmarshal(data, &o) != nil {
		return // it was read before
	}
	for name, value := range changed {
		o[name] = value
	}
	if r.t.q.search != nil {
		o["sequence_number"] = must(r.t.sequence)
		r.t.sequence++
	} else {
		r.t.sequence = max(r.t.sequence, e.Sequence+1)
	}
	r.write(asEvent(e.Type, must(o)))
}

func asEvent(kind string, data []byte) []byte {
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", kind, data)
}

// make gives an event of ours.
func (r *round) make(kind string, o map[string]any) {
	o["type"], o["sequence_number"] = kind, r.t.sequence
	r.t.sequence++
	r.write(asEvent(kind, must(o)))
}

// end reads what was collected once the call is over. An error says that it is no response.
func (r *round) end() error {
	if r.gone != nil {
		r.over = true
		return nil
	}
	if r.streams {
		if r.whole == nil {
			if len(r.rest) > 0 {
				r.write(r.rest)
			}
			r.over = true // the gateway has said why
		}
		return nil
	}
	if r.status >= 400 {
		return nil
	}
	if json.Unmarshal(r.body, &r.whole) != nil || r.whole == nil {
		return fault.New(fault.Upstream, "upstream_answer", "the model answered with something that is not a response")
	}
	return nil
}

// refusesThoughts reports whether the provider does not know the encrypted thoughts that it was asked for: OpenAI refuses
// the whole request where a model has none.
func (r *round) refusesThoughts() bool {
	if r.status != http.StatusBadRequest {
		return false
	}
	var read struct {
		Error struct {
			Param   string `json:"param"`
			Message string `json:"message"`
		} `json:"error"`
	}
	return json.Unmarshal(r.body, &read) == nil && (read.Error.Param == "include" || strings.Contains(strings.ToLower(read.Error.Message), "encrypted content is not supported"))
}

// pass gives the caller what is no response: a refusal, as it came.
func (r *round) pass(w http.ResponseWriter) error {
	forward(r.header, w.Header())
	w.WriteHeader(r.status)
	w.Write(r.body) // a caller who left misses nothing
	return nil
}

// give gives the whole response, or the event that ends the stream.
func (r *round) give(o object) error {
	t := r.t
	if r.streams || t.sequence > 0 {
		number := r.number
		if r.ending == "" {
			r.ending = "response.completed"
		}
		if t.q.search != nil {
			number = t.sequence
		}
		r.write(asEvent(r.ending, must(map[string]any{"type": r.ending, "sequence_number": number, "response": o})))
		return nil
	}
	h := t.w.Header()
	forward(r.header, h)
	if t.rounds > 1 {
		h.Set("X-Airfield-Cost-Usd", t.cost.Decimal())
		if t.unpriced {
			h.Set("X-Airfield-Cost-Usd", "unknown")
		}
		h.Del("X-Airfield-Usage") // which is of the last call alone
	}
	body := must(o)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	t.w.WriteHeader(r.status)
	t.w.Write(body) // it is kept: a caller who left can still get it
	return nil
}

// broken tells in a stream that it ends here and is not whole.
func (t *turn) broken(err error) {
	f := fault.As(err)
	if f.Kind == fault.Internal {
		t.Log.Error("a response failed", "response", t.id, "error", err)
	}
	message := f.Text
	if f.Hint != "" {
		message += " — " + f.Hint
	}
	r := &round{t: t}
	r.make("error", map[string]any{"code": f.Code, "message": message, "param": nil})
}

// searchID is the id under which a search is shown.
func (r *round) searchID(callID string) string {
	if p, ok := r.found[callID]; ok {
		return p.id
	}
	return id.New("fs")
}
