package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestACauseIsKeptButNotShown(t *testing.T) {
	cause := errors.New("dial tcp 10.0.0.3:5432: refused")
	f := New(Unavailable, "database_away", "the database does not answer: %w", cause).Hinted("try again")
	if f.Text != "the database does not answer" || !errors.Is(f, cause) {
		t.Fatalf("text %q, cause %v", f.Text, f.Err)
	}
	if got := As(fmt.Errorf("search: %w", f)); got != f {
		t.Fatalf("As lost the fault: %v", got)
	}
}

func TestAnUnclassifiedErrorShowsNothing(t *testing.T) {
	f := As(errors.New("open /etc/shadow: permission denied"))
	if f.Kind != Internal || strings.Contains(f.Text, "shadow") {
		t.Fatalf("got %+v", f)
	}
}

func TestKinds(t *testing.T) {
	for err, want := range map[error]Kind{
		context.Canceled: Cancelled,
		fmt.Errorf("x: %w", context.DeadlineExceeded): Timeout,
		errors.New("x"):             Internal,
		New(Limited, "budget", "x"): Limited,
	} {
		if got := KindOf(err); got != want {
			t.Errorf("KindOf(%v) = %s, want %s", err, got, want)
		}
	}
	if KindOf(nil) != "" || Limited.Status() != 429 || Kind("?").Status() != 500 {
		t.Error("wrong mapping")
	}
}
