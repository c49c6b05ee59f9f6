package anthropic

import (
	"bytes"
	"slices"

	"airfield/internal/gateway/scan"
)

// signedThoughts takes out the thoughts that nobody signed: another provider's model had them earlier in the conversation,
// and Anthropic refuses the whole request for them. Everything else stays as the caller wrote it.
func signedThoughts(body []byte) []byte {
	if !bytes.Contains(body, []byte(`"thinking"`)) {
		return body
	}
	for m := scan.Object(body); m.Next(); {
		if string(m.Key) != "messages" || scan.Kind(m.Value) != '[' {
			continue
		}
		left, changed := messagesWithout(m.Value)
		if !changed {
			return body
		}
		return slices.Concat(body[:m.Offset], left, body[m.Offset+len(m.Value):])
	}
	return body
}

// messagesWithout leaves out a message of which nothing is left: empty ones are refused, too.
func messagesWithout(list []byte) (left []byte, changed bool) {
	var kept [][]byte
	for a := scan.Array(list); a.Next(); {
		message := a.Value
		for o := scan.Object(message); o.Next(); {
			if string(o.Key) != "content" || scan.Kind(o.Value) != '[' {
				continue
			}
			blocks, fewer := blocksWithout(o.Value)
			if !fewer {
				continue
			}
			changed = true
			if message = nil; len(blocks) > 0 {
				message = slices.Concat(a.Value[:o.Offset], array(blocks), a.Value[o.Offset+len(o.Value):])
			}
			break
		}
		if message != nil {
			kept = append(kept, message)
		}
	}
	return array(kept), changed
}

func blocksWithout(list []byte) (kept [][]byte, fewer bool) {
	for a := scan.Array(list); a.Next(); {
		if unsigned(a.Value) {
			fewer = true
			continue
		}
		kept = append(kept, a.Value)
	}
	return kept, fewer
}

// unsigned reports whether a block is such a thought.
func unsigned(block []byte) bool {
	thought, signature := false, ""
	for o := scan.Object(block); o.Next(); {
		s, _ := scan.Text(o.Value)
		switch string(o.Key) {
		case "type":
			thought = s == "thinking"
		case "signature":
			signature = s
		}
	}
	return thought && signature == ""
}

func array(items [][]byte) []byte {
	return slices.Concat([]byte{'['}, bytes.Join(items, []byte{','}), []byte{']'})
}
