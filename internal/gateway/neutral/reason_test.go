package neutral

import (
	"strings"
	"testing"
)

func TestAReasonIsFoundHoweverItIsWrapped(t *testing.T) {
	for text, want := range map[string]string{
		`"busy"`:                       "busy",
		`{"message":"busy"}`:           "busy",
		`{"error":"busy"}`:             "busy",
		`{"error":{"message":"busy"}}`: "busy",
		`{"object":"error","message":{"detail":[{"loc":["body"],"msg":"busy"}]}}`: "busy",
		`{"detail":[{"msg":"busy"},{"msg":"other"}]}`:                             "busy",
		`{"detail":"less","message":"busy"}`:                                      "busy",
		`{"code":7}`:                                                              "", `[]`: "", `null`: "", ``: "", `7`: "", `{"message":`: "",
		strings.Repeat("[", 200): "",
	} {
		if got := Reason([]byte(text)); got != want {
			t.Errorf("%s says %q", text, got)
		}
	}
}
