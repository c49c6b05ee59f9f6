package response

import (
	"encoding/json"

	"airfield/internal/id"
)

// searching gives an event of a stream in which the model may search: searches are shown in the place of the function that
// the model calls, texts without their markers, and all calls of the response count as one.
func (r *round) searching(data []byte, e *said) {
	if e.Output == nil {
		r.tell(data, object{}, *e)
		return
	}
	s := r.t.q.search
	if e.Type == "response.output_item.added" {
		r.place(*e.Output)
		if h := headOf(e.Item); h.Type == "function_call" && h.Name == s.name {
			r.startSearch(*e.Output, h.CallID)
			return
		}
	}
	if _, ours := r.calls[*e.Output]; ours {
		return // the caller sees a search
	}
	changed := object{"output_index": must(r.place(*e.Output))}
	if s.citing() {
		r.cite(e, changed)
		if e.Type == "response.output_text.delta" && string(changed["delta"]) == `""` {
			r.annotate(e)
			return
		}
	}
	r.tell(data, changed, *e)
	if e.Type == "response.output_text.delta" {
		r.annotate(e)
	}
}

// place is where an item of this call stands in the response.
func (r *round) place(output int) int {
	if r.outputs == nil {
		r.outputs = map[int]int{}
	}
	n, ok := r.outputs[output]
	if !ok {
		n = len(r.t.shown) + len(r.outputs)
		r.outputs[output] = n
	}
	return n
}

func (r *round) startSearch(output int, callID string) {
	if r.calls == nil {
		r.calls, r.found = map[int]string{}, map[string]at{}
	}
	r.calls[output] = callID
	p := at{id.New("fs"), r.place(output)}
	r.found[callID] = p
	r.make("response.output_item.added", map[string]any{"output_index": p.output, "item": r.t.q.search.item(p.id, "in_progress", nil, nil, false)})
	r.tellSearch(callID, "in_progress")
}

// tellSearch says how far a search is.
func (r *round) tellSearch(callID, state string) {
	if p, ok := r.found[callID]; ok {
		r.make("response.file_search_call."+state, map[string]any{"output_index": p.output, "item_id": p.id})
	}
}

// tellItem says what became of a search.
func (r *round) tellItem(callID string, item json.RawMessage) {
	if p, ok := r.found[callID]; ok {
		r.make("response.output_item.done", map[string]any{"output_index": p.output, "item": item})
	}
}

// cite changes the texts of an event.
func (r *round) cite(e *said, changed object) {
	s := r.t.q.search
	switch e.Type {
	case "response.output_text.delta":
		var piece string
		if json.Unmarshal(e.Delta, &piece) != nil {
			return
		}
		c, key := r.citer(e)
		text, cited := c.add(piece)
		changed["delta"] = must(text)
		r.told(key, cited)
	case "response.output_text.done":
		var text string
		if json.Unmarshal(e.Text, &text) != nil {
			return
		}
		c, _ := r.citer(e)
		if rest := c.flush(); rest != "" {
			r.make("response.output_text.delta", map[string]any{"item_id": e.ItemID, "output_index": r.place(*e.Output), "content_index": e.Content, "delta": rest, "logprobs": []any{}})
		}
		text, _ = s.cite(text)
		changed["text"] = must(text)
	case "response.content_part.done":
		changed["part"] = s.citePart(e.Part)
	case "response.output_item.done":
		changed["item"] = s.citeItem(e.Item)
	}
}

// citer is that of the part that an event is about.
func (r *round) citer(e *said) (*citer, string) {
	key := e.ItemID + "/" + string(must(e.Content))
	if r.citers == nil {
		r.citers, r.cited = map[string]*citer{}, map[string]int{}
		r.waiting = map[string][]citation{}
	}
	if r.citers[key] == nil {
		r.citers[key] = newCiter(r.t.q.search.sources)
	}
	return r.citers[key], key
}

func (r *round) told(key string, cited []citation) {
	if len(cited) > 0 {
		r.waiting[key] = append(r.waiting[key], cited...)
	}
}

// annotate tells the citations behind the text that they follow.
func (r *round) annotate(e *said) {
	if r.waiting == nil {
		return
	}
	_, key := r.citer(e)
	for _, c := range r.waiting[key] {
		r.make("response.output_text.annotation.added", map[string]any{
			"item_id": e.ItemID, "output_index": r.place(*e.Output), "content_index": e.Content, "annotation_index": r.cited[key], "annotation": c,
		})
		r.cited[key]++
	}
	delete(r.waiting, key)
}
