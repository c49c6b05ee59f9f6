package response

import (
	"context"
	"encoding/json"

	"airfield/internal/fault"
)

// prepare collects the items that are sent.
func (t *turn) prepare(ctx context.Context) (err error) {
	if t.q.search != nil {
		if t.epochs, err = t.Searcher.Epochs(ctx, t.q.search.collections); err != nil {
			return err
		}
	}
	if t.q.previous != "" {
		if !t.Keeps(t.scope.workflow) {
			return fault.New(fault.NotFound, "previous_response_not_found", "workflow %s keeps no responses, so none can be continued", t.scope.workflow).At("previous_response_id").
				Hinted("send the whole conversation as input")
		}
		if t.before, err = t.conversation(ctx, t.scope, t.q.previous); err != nil {
			return err
		}
	}
	if len(t.before) >= t.config.MaxTurns {
		return fault.New(fault.TooLarge, "conversation_too_long", "the conversation has %d responses, which is the most that is offered", len(t.before)).At("previous_response_id").
			Hinted("begin a new one; responses.max_turns sets the bound")
	}
	for n, r := range t.before {
		output, err := r.output()
		if err != nil {
			return err
		}
		t.base = append(t.base, history(r.input)...)
		pending, err := t.pending(ctx, output, n == len(t.before)-1)
		if err != nil {
			return err
		}
		t.base = append(t.base, pending...)
	}
	size, references := sizeOf(t.base), 0
	for _, i := range t.q.input {
		if typeOf(i) == "item_reference" {
			if references++; references > mostReferences {
				return fault.New(fault.TooLarge, "conversation_too_large", "the input refers to more than %d items", mostReferences).At("input")
			}
			if i, err = t.item(ctx, t.scope, idOf(i)); err != nil {
				return err
			}
		}
		t.input = append(t.input, kept(i))
		sent := history([]json.RawMessage{i})
		t.base = append(t.base, sent...)
		if size += sizeOf(sent); size > t.config.MaxBytes && len(t.before)+references > 0 {
			return fault.New(fault.TooLarge, "conversation_too_large", "the items of the conversation have %d bytes or more, at most %d are sent on", size, t.config.MaxBytes).At("input").
				Hinted("begin a new one; responses.max_bytes sets the bound")
		}
	}
	t.q.store = t.q.store && size <= t.config.MaxBytes // it could not be continued
	return nil
}

// mostReferences bounds how much a small request can make of itself.
const mostReferences = 256

func sizeOf(items []json.RawMessage) (n int64) {
	for _, i := range items {
		n += int64(len(i))
	}
	return n
}

// history are items that can be sent again; a search that was made before is not one.
func history(items []json.RawMessage) (list []json.RawMessage) {
	for _, i := range items {
		if typeOf(i) == callType {
			continue
		}
		if i = sendable(i); i != nil {
			list = append(list, i)
		}
	}
	return list
}

// pending are the items of an output that can be sent again. At the end of the conversation a search after which the model said nothing more, because
// it waited for a function of the caller's as well, is made once more, so that it sees what is there now; one that it
// answered from is left out, with the thoughts that led to it.
func (t *turn) pending(ctx context.Context, output []json.RawMessage, last bool) (list []json.RawMessage, err error) {
	answered := -1 // the last message
	for n, i := range output {
		if headOf(i).Type == "message" {
			answered = n
		}
	}
	var thoughts, results []json.RawMessage
	for n, i := range output {
		h := headOf(i)
		switch {
		case h.Type == "reasoning":
			thoughts = append(thoughts, i)
			continue
		case h.Type == callType && (n < answered || !last || t.q.search == nil):
			thoughts = nil
			continue
		case h.Type == callType:
			found, err := t.q.search.run(ctx, t.Searcher, h.Queries)
			if err != nil {
				return nil, err
			}
			callID := "call_" + h.ID
			list = append(list, history(thoughts)...)
			list = append(list, must(map[string]any{
				"type": "function_call", "call_id": callID, "name": t.q.search.name, "arguments": string(must(map[string]any{"queries": h.Queries})),
			}))
			results = append(results, functionOutput(callID, t.q.search.tell(found)))
			thoughts = nil
			continue
		}
		list = append(list, history(append(thoughts, i))...)
		thoughts = nil
	}
	return append(append(list, history(thoughts)...), results...), nil
}

func functionOutput(callID, text string) json.RawMessage {
	return must(map[string]any{"type": "function_call_output", "call_id": callID, "output": text})
}
