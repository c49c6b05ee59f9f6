package neutral

import "airfield/internal/gateway/scan"

// Reason finds what a value says is wrong, in the shapes that endpoints have for it: a text, {"message":…}, {"detail":…}
// and lists of {"msg":…}; empty where it says nothing.
func Reason(value []byte) string { return reason(value, 6) }

func reason(value []byte, depth int) (said string) {
	if depth == 0 {
		return ""
	}
	switch scan.Kind(value) {
	case '"':
		said, _ = scan.Text(value)
	case '[':
		if list := scan.Array(value); list.Next() {
			said = reason(list.Value, depth-1)
		}
	case '{':
		for o := scan.Object(value); o.Next(); {
			switch string(o.Key) {
			case "error", "message", "detail", "msg":
				if s := reason(o.Value, depth-1); s != "" && (said == "" || string(o.Key) == "message") {
					said = s
				}
			}
		}
	}
	return said
}
