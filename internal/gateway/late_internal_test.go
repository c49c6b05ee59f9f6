package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAContextWhoseTimerIsSetLateEndsLikeAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		parent, leave := context.WithCancel(context.WithValue(context.Background(), key{}, "v"))
		defer leave()
		l := &lateContext{Context: parent, until: time.Now().Add(time.Minute)}
		if at, ok := l.Deadline(); !ok || !at.Equal(l.until) || l.Err() != nil || l.Value(key{}) != "v" || l.timed != nil {
			t.Fatalf("%v %v %v: a timer was set for a look", at, ok, l.Err())
		}
		begin := time.Now()
		<-l.Done()
		if took := time.Since(begin); took != time.Minute || !errors.Is(l.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(l), errWaited) {
			t.Fatalf("after %s: %v, %v", took, l.Err(), context.Cause(l))
		}

		past := &lateContext{Context: parent, until: time.Now().Add(-time.Second)}
		if !errors.Is(past.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(past), errWaited) {
			t.Fatalf("%v, %v", past.Err(), context.Cause(past))
		}
		ended := &lateContext{Context: parent, until: time.Now().Add(time.Minute)}
		ended.end()
		if !errors.Is(ended.Err(), context.Canceled) {
			t.Fatal(ended.Err())
		}
		child, cancel := context.WithTimeout(&lateContext{Context: parent, until: time.Now().Add(time.Minute)}, time.Hour)
		defer cancel()
		leave()
		<-child.Done()
		if !errors.Is(context.Cause(child), context.Canceled) {
			t.Fatalf("the caller left: %v", context.Cause(child))
		}
	})
}
