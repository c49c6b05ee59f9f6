package cloud

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"airfield/internal/aws/awstest"
	"airfield/internal/ingest"
	"airfield/test/binary"
	"airfield/test/upstream"
)

// TestASecondSyncOfAnUnchangedBucketCostsNextToNothing holds 10,000 objects to 2 s of CPU, the listing included; without
// AIRFIELD_LONG it takes a twenty-fifth of both.
func TestASecondSyncOfAnUnchangedBucketCostsNextToNothing(t *testing.T) {
	objects, bound := 400, 80*time.Millisecond
	if os.Getenv("AIRFIELD_LONG") != "" {
		objects, bound = 25*objects, 25*bound
	}
	l := newLake(t)
	numbers := make(chan int)
	var putting sync.WaitGroup
	for range 8 {
		putting.Go(func() {
			for i := range numbers {
				l.put(fmt.Sprintf("%02d/note-%05d.txt", i%100, i), fmt.Sprintf("Note %d says that the lot number%d is ready.\n", i, i))
			}
		})
	}
	for i := range objects {
		numbers <- i
	}
	close(numbers)
	putting.Wait()
	if t.Failed() {
		t.FailNow()
	}

	u := upstream.New(t, upstream.Options{Events: 1})
	// Only the scans that the test asks for, and no sweep in the middle of one.
	s := install(t, "log: {level: warn}\ningest: {sweep_every: 10h}\n"+u.Models()+fmt.Sprintf(`
collections:
  papers:
    embedding_model: vectors
    sources: {lake: {s3: '%s', interval: 10h}}
`, l.place))
	s.Env = append(s.Env, "AWS_ACCESS_KEY_ID="+awstest.KeyID, "AWS_SECRET_ACCESS_KEY="+awstest.Secret)
	began := time.Now()
	s.Start()
	s.AwaitFor(30*time.Minute, 500*time.Millisecond, "all objects to be live", func() bool { return s.counted(ingest.Live) == objects })
	first, cpu := time.Since(began), s.CPU()
	if n := len(u.Embedded()); n != objects {
		t.Errorf("%d texts were embedded for %d objects", n, objects)
	}
	s.rest()

	began, used := time.Now(), s.CPU()
	s.Call(http.MethodPost, "/api/collections/papers/sources/lake/scan", nil, nil)
	again := time.Since(began)
	if at := s.source().ScannedAt; at.Before(began) {
		t.Fatalf("the bucket was last compared %s before the scan", began.Sub(at))
	}
	cost := s.CPU() - used
	s.rest()
	t.Logf("%d objects: first sync %s (%s CPU); again %s (%s CPU)", objects, first.Round(time.Millisecond), cpu, again.Round(time.Millisecond), cost)
	if cost > bound {
		t.Errorf("a sync of %d unchanged objects took %s of CPU, more than %s", objects, cost, bound)
	}
	if more := u.Embedded(); len(more) > 0 {
		t.Errorf("%d texts were embedded again", len(more))
	}
	if n := s.counted(ingest.Live); n != objects || !s.finds(fmt.Sprintf("number%d", objects/2)) {
		t.Errorf("%d of %d objects are live", n, objects)
	}
	if src := s.source(); src.State != ingest.SourceOK {
		t.Errorf("the source is %s: %s", src.State, src.Message)
	}
}

// counted is how many versions of the collection's documents are in a state.
func (s *installation) counted(state string) int {
	s.T.Helper()
	var c struct {
		Status struct {
			Versions map[string]int `json:"versions"`
		} `json:"status"`
	}
	s.Call(http.MethodGet, "/api/collections/papers", nil, &c)
	return c.Status.Versions[state]
}

// rest waits until the server has nothing left to do.
func (s *installation) rest() {
	s.T.Helper()
	last := s.CPU()
	s.AwaitFor(binary.Patience, 500*time.Millisecond, "the server to rest", func() bool {
		now := s.CPU()
		idle := now-last <= 20*time.Millisecond
		last = now
		return idle
	})
}
