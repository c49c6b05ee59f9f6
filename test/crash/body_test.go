package crash

import (
	"context"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airfield/internal/api/admin"
)

func TestKilledUnderLoadEachRowIsTrueOfItsBodies(t *testing.T) {
	u := newUpstream(t, 6, 10*time.Millisecond)
	s := install(t, "log: {level: warn}\nobserve: {bodies: {seal_after: 1s}}\n"+u.Models())
	s.Start()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() { done <- len(s.Load(ctx, 32, half)) }()
	s.Await("a few hundred calls, and some of them to be on the disk", func() bool { return u.Chats().Whole > 300 && s.spooled() })
	s.Kill()
	cancel()
	<-done
	s.Start()
	count := map[string]int{}
	looked := 0
	for id, row := range s.calls("chat") {
		count[row.Bodies]++
		if row.Bodies == "" || row.Bodies == "none" || row.Bodies == "dropped" {
			t.Errorf("%s: its bodies are said to be %q", id, row.Bodies)
		}
		if row.Outcome == "cut" && row.Bodies == "kept" {
			t.Errorf("%s was cut in two and its answer is said to be there", id)
		}
		if row.Bodies != "kept" && row.Bodies != "request" || looked == 200 {
			continue
		}
		looked++
		var b admin.CallBody
		s.Call(http.MethodGet, "/api/calls/"+id+"/body", nil, &b)
		if b.Request == nil || !strings.Contains(b.Request.Text, `"model"`) || row.Bodies == "kept" && (b.Answer == nil || b.Answer.Text == "") {
			t.Errorf("%s says %s, and shows %+v", id, row.Bodies, b)
		}
	}
	t.Logf("bodies by what their rows say: %v; %d were looked at", count, looked)
	if count["kept"] == 0 || count["lost"] == 0 || count["pending"] > 0 {
		t.Error("nothing is kept, nothing was lost, or something is said to be on its way from a process that is dead")
	}
	s.Stop()
}

// spooled reports whether a frame of bodies is on the disk.
func (s *installation) spooled() bool {
	for _, folder := range []string{s.Path("data", "bodies"), s.Path("data", "bucket", "objects", "bodies+")} {
		found := false
		filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error { // what comes and goes meanwhile is looked for again
			if err == nil && e.Type().IsRegular() {
				if info, err := e.Info(); err == nil && info.Size() > 0 {
					found = true
				}
			}
			return nil
		})
		if found {
			return true
		}
	}
	return false
}
