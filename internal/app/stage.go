package app

import (
	"context"
	"errors"
	"sync"
)

// task is a long part of the process: it runs until its context ends.
type task struct {
	name string
	run  func(ctx context.Context) error
}

// runStages runs every task until ctx ends or one of them fails. Then the stages are stopped in their order, each waited
// for before the next is told: listeners, then workers, then what records what those did.
func runStages(ctx context.Context, stages ...[]task) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var mu sync.Mutex
	var failures []error
	type running struct {
		cancel context.CancelFunc
		wait   *sync.WaitGroup
	}
	all := make([]running, len(stages))
	for i, stage := range stages {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		all[i] = running{cancel, &sync.WaitGroup{}}
		for _, t := range stage {
			all[i].wait.Go(func() {
				err := t.run(own)
				if own.Err() == nil && err == nil {
					err = errors.New("ended by itself")
				}
				if err != nil && !(own.Err() != nil && errors.Is(err, context.Canceled)) {
					mu.Lock()
					failures = append(failures, &taskError{t.name, err})
					mu.Unlock()
					fail(err)
				}
			})
		}
	}
	<-ctx.Done()
	for _, r := range all {
		r.cancel()
		r.wait.Wait()
	}
	return errors.Join(failures...)
}

// taskError says which part of the process failed.
type taskError struct {
	name string
	err  error
}

func (e *taskError) Error() string { return e.name + ": " + e.err.Error() }
func (e *taskError) Unwrap() error { return e.err }
