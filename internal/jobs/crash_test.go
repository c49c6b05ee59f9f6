package jobs

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
)

// The child is this test binary again: a worker that takes a job and never gives it back.
const childURL = "AIRFIELD_TEST_JOBS_CHILD"

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		if err := hang(url); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func hang(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := db.Default()
	c.URL = url
	log := slog.New(slog.DiscardHandler)
	d, err := db.Open(ctx, c, log)
	if err != nil {
		return err
	}
	config := Default()
	config.DeadAfter = deadAfter
	q, err := New(ctx, d, config, log)
	if err != nil {
		return err
	}
	q.Handle("work", func(ctx context.Context, _ Job) error {
		fmt.Println("running")
		<-ctx.Done()
		return ctx.Err()
	})
	return q.Run(ctx)
}

const deadAfter = 2500 * time.Millisecond

// child starts a worker in another process and waits until it runs the one job there is.
func child(t *testing.T, url string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childURL+"="+url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		cmd.Process.Kill() // SIGKILL: it gets to say nothing
		cmd.Wait()
	}
	t.Cleanup(kill)
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		lines <- line
	}()
	if line := receive(t, lines); strings.TrimSpace(line) != "running" {
		t.Fatalf("the child said %q", line)
	}
	return kill
}

func TestAKilledProcessesJobIsTakenOverByALiveOne(t *testing.T) {
	t.Parallel()
	url := dbtest.Postgres(t)
	q := newQueue(t, dbtest.Open(t, url), func(c *Config) { c.DeadAfter = deadAfter })
	got := make(chan Job, 2)
	q.Handle("work", func(_ context.Context, j Job) error { got <- j; return nil })
	enqueue(t, q, "work", nil, Options{MaxAttempts: 3})
	kill := child(t, url)
	start(t, q)
	nothing(t, got, 2*deadAfter) // a busy process is not a dead one
	killed := time.Now()
	kill()
	j := receive(t, got)
	took := time.Since(killed)
	t.Logf("after kill -9 the job ran elsewhere within %s (dead_after %s)", took, deadAfter)
	if j.Attempt != 2 {
		t.Errorf("a crash uses up an attempt: %+v", j)
	}
	if bound := deadAfter + deadAfter/5 + poll + 2*time.Second; took > bound {
		t.Errorf("more than %s", bound)
	}
}

func TestAnEmbeddedStartReleasesWhatADeadProcessLeft(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLite(t)
	q := newQueue(t, dbtest.Open(t, url), nil)
	enqueue(t, q, "work", nil, Options{MaxAttempts: 2})
	kill := child(t, url)
	kill()
	got := make(chan Job, 2)
	q.Handle("work", func(_ context.Context, j Job) error { got <- j; return nil })
	before := time.Now()
	start(t, q)
	if j := receive(t, got); j.Attempt != 2 {
		t.Errorf("%+v", j)
	}
	if took := time.Since(before); took > time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAnEmbeddedStartLeadsAtOnceInsteadOfADeadProcess(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLite(t)
	d := dbtest.Open(t, url)
	q := newQueue(t, d, nil)
	enqueue(t, q, "work", nil, Options{MaxAttempts: 2})
	kill := child(t, url)
	leader := func(other string) (who string) {
		t.Helper()
		for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if err := d.QueryRow(t.Context(), "SELECT leader_id FROM river_leader").Scan(&who); err == nil && who != other {
				return who
			}
		}
		t.Fatalf("nobody leads but %q", who)
		return ""
	}
	dead := leader("")
	kill()
	q.Handle("work", func(context.Context, Job) error { return nil })
	start(t, q)
	leader(dead)
}

func TestAJobThatEndsEveryProcessIsGivenUp(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLite(t)
	q := newQueue(t, dbtest.Open(t, url), nil)
	enqueue(t, q, "work", nil, Options{MaxAttempts: 1})
	child(t, url)()
	got := make(chan Job, 2)
	q.Handle("work", func(_ context.Context, j Job) error { got <- j; return nil })
	start(t, q)
	nothing(t, got, 300*time.Millisecond)
}

func TestProcessesThatStartTogetherSetTheTablesUpOnce(t *testing.T) {
	t.Parallel()
	url := dbtest.Postgres(t)
	const processes = 4
	errs := make(chan error, processes)
	for range processes {
		d := dbtest.Open(t, url)
		go func() {
			_, err := New(context.Background(), d, Default(), slog.New(slog.DiscardHandler))
			errs <- err
		}()
	}
	for range processes {
		if err := receive(t, errs); err != nil {
			t.Error(err)
		}
	}
}
