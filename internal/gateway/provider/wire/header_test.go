package wire

import (
	"net/http"
	"testing"
	"time"
)

func FuzzATimeToComeBackIsWithinAnHour(f *testing.F) {
	f.Add("20")
	f.Add("1e999")
	f.Fuzz(func(t *testing.T, ms string) {
		h := http.Header{"Retry-After-Ms": {ms}}
		if d := retryIn(h); d < 0 || d > time.Hour {
			t.Fatal(d)
		}
	})
}
