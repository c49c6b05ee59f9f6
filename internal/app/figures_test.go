package app

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"airfield/internal/gateway"
	"airfield/internal/index"
	"airfield/internal/observe"
	"airfield/internal/telemetry"
)

func TestWhatIsReadOnDemandIsAmongTheFigures(t *testing.T) {
	m := telemetry.NewMetrics()
	if err := addFigures(m, figures{
		lag: func() observe.Lag {
			return observe.Lag{Records: 3, Age: 1500 * time.Millisecond, Bytes: 20, Limit: 100}
		},
		runs: func() map[string]float64 { return map[string]float64{"dead": 2} },
		gateway: func() gateway.RouteState {
			return gateway.RouteState{Waiting: map[string]int{"support": 4}, Deployments: []gateway.DeploymentState{{Deployment: "a/m", Breaker: "open"}, {Deployment: "b/m", Breaker: "closed"}}}
		},
		away:   func() bool { return true },
		bodies: func() (int64, int64) { return 5, 6 },
		index: func() map[string]index.Stats {
			return map[string]index.Stats{"papers": {Chunks: 7, Vectors: 6, Bytes: 4096}}
		},
	}); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"journal_waiting_records 3", "journal_waiting_seconds 1.5", "journal_bytes 20", "journal_limit_bytes 100", `ingest_runs{state="dead"} 2`, `ingest_runs{state="waiting"} 0`,
		`queue_waiting_calls{workflow="support"} 4`, `breaker_open{deployment="a/m"} 1`, `breaker_open{deployment="b/m"} 0`, "redis_away 1", `bodies_waiting_bytes{in="disk"} 6`,
		`index_bytes{collection="papers"} 4096`, `index_chunks{collection="papers"} 7`, `index_vectors{collection="papers"} 6`} {
		if !strings.Contains(w.Body.String(), "\nairfield_"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

func TestSearchesAreCountedByAsManyNamesAsThereIsRoomFor(t *testing.T) {
	counts := map[string]int{}
	count := searched(func(labels ...string) { counts[labels[0]]++ })
	for range 2 {
		for i := range countedCollections + 50 {
			count(fmt.Sprintf("c%d", i))
		}
	}
	if len(counts) != countedCollections+1 || counts["c0"] != 2 || counts["other"] != 100 {
		t.Error(len(counts), counts["c0"], counts["other"])
	}
}
