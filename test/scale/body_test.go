package scale

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"airfield/internal/api/admin"
	"airfield/internal/db/dbtest"
	"airfield/test/binary"
	"airfield/test/upstream"
)

func TestWhatOneProcessKeepsAnotherShows(t *testing.T) {
	u := upstream.New(t, upstream.Options{Events: 3})
	url := dbtest.Postgres(t)
	f := launch(t, 2, u, url, "log: {level: warn}\nobserve: {bodies: {seal_after: 200ms}}\n"+stores(t, url)+models(u, 1, 1)+workflow)
	e, err := f.all[0].Chat(context.Background(), question(1, 100), binary.As(f.key)...)
	if err != nil || !e.Whole {
		t.Fatal(e, err)
	}
	var b admin.CallBody
	f.all[1].Await("the other process shows it", func() bool {
		a, err := f.all[1].Ask(context.Background(), http.MethodGet, "/api/calls/"+e.ID+"/body", nil)
		if err != nil || a.Status == http.StatusOK {
			if err == nil {
				err = json.Unmarshal(a.Body, &b)
			}
			if err != nil {
				t.Fatal(err)
			}
			return true
		}
		if a.Status != http.StatusNotFound && a.Status != http.StatusServiceUnavailable {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return false
	})
	if b.Request == nil || !strings.Contains(b.Request.Text, "max_tokens") || b.Answer == nil || b.Answer.Text != e.Text {
		t.Errorf("it shows %+v, the caller got %s", b, e.Text)
	}
}
