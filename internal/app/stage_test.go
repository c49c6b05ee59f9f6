package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestStagesStopInOrderAndAFailureStopsAll(t *testing.T) {
	var mu sync.Mutex
	var ended []string
	wait := func(name string) task {
		return task{name, func(ctx context.Context) error {
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			ended = append(ended, name)
			return ctx.Err()
		}}
	}
	boom := errors.New("boom")
	err := runStages(context.Background(),
		[]task{wait("listener")},
		[]task{wait("worker"), {"broken", func(context.Context) error { return boom }}},
		[]task{wait("recorder")})
	if !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), "broken: ") {
		t.Fatalf("error %v", err)
	}
	if !slices.Equal(ended, []string{"listener", "worker", "recorder"}) {
		t.Fatalf("ended %v", ended)
	}
}

func TestBeingToldToStopIsNoFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := runStages(ctx, []task{{"a", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}}); err != nil {
		t.Fatal(err)
	}
	if err := runStages(context.Background(), []task{{"a", func(context.Context) error { return nil }}}); err == nil {
		t.Fatal("a part that ends by itself is a failure")
	}
}
