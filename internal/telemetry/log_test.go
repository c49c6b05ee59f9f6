package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"airfield/internal/id"
	"airfield/internal/secret"
)

func TestNoKeyGetsIntoTheLog(t *testing.T) {
	ours, theirs, literal := id.Secret("afk_"), "sk-proj-abcdefghijklmnop1234", secret.New("hunter2hunter2")
	type header struct{ Name, Value string }
	for name, log := range map[string]func(*slog.Logger){
		"in a text":                func(l *slog.Logger) { l.Info("x", "a", "the key "+ours+" is wrong") },
		"in the message":           func(l *slog.Logger) { l.Info("got " + ours) },
		"in an error":              func(l *slog.Logger) { l.Info("x", "error", fmt.Errorf("call: %w", errors.New("401 for "+theirs))) },
		"in a header":              func(l *slog.Logger) { l.Info("x", "header", []string{"Bearer " + theirs}) },
		"in a struct":              func(l *slog.Logger) { l.Info("x", "header", header{"X", ours}) },
		"in a group":               func(l *slog.Logger) { l.WithGroup("g").With("a", ours).Info("x", slog.Group("h", "b", theirs)) },
		"by its name":              func(l *slog.Logger) { l.Info("x", "Authorization", "hunter2hunter2", "password", "hunter2hunter2") },
		"a secret value":           func(l *slog.Logger) { l.Info("x", "v", literal, "w", &literal) },
		"a basic authentication":   func(l *slog.Logger) { l.Info("x", "v", "basic aHVudGVyMmh1bnRlcjI=") },
		"a password in a URL":      func(l *slog.Logger) { l.Info("x", "v", "postgres://me:hunter2hunter2@host/db") },
		"a bearer of another kind": func(l *slog.Logger) { l.Info("x", "v", "authorization: bearer eyJhbGciOi.hunter2hunter2") },
	} {
		for _, format := range []string{"json", "text"} {
			var out bytes.Buffer
			l, err := NewLogger(&out, Config{Level: "debug", Format: format})
			if err != nil {
				t.Fatal(err)
			}
			log(l)
			for _, never := range []string{ours, theirs, "hunter2", "aHVudGVy"} {
				if out.Len() == 0 || strings.Contains(out.String(), never) {
					t.Errorf("%s, %s: %s", name, format, out.String())
				}
			}
		}
	}
}

func TestOrdinaryTextsAreLoggedAsTheyAre(t *testing.T) {
	for _, s := range []string{"risk-assessment-of-the-whole-harbour", "afk_", "a bearer of news", "task-0123456789abcdef0123", "https://host:8080/a@b", "sk-short"} {
		if got, changed := redact(s); changed {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func TestALineIsJSONWithTimesInUTC(t *testing.T) {
	var out bytes.Buffer
	l, err := NewLogger(&out, Default())
	if err != nil {
		t.Fatal(err)
	}
	l.Debug("not this")
	l.Warn("disk", "free", 7)
	var line struct {
		Time  time.Time
		Level string
		Msg   string
		Free  int
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Level != "WARN" || line.Msg != "disk" || line.Free != 7 || line.Time.Location() != time.UTC {
		t.Fatal(out.String(), err)
	}
	for _, bad := range []Config{{Level: "loud", Format: "json"}, {Level: "info", Format: "xml"}} {
		if _, err := bad.Check(); err == nil {
			t.Errorf("%+v", bad)
		}
	}
}

func TestADurationIsLoggedWithItsUnit(t *testing.T) {
	var out strings.Builder
	log, err := NewLogger(&out, Default())
	if err != nil {
		t.Fatal(err)
	}
	log.Info("x", "took", 1500*time.Millisecond)
	if !strings.Contains(out.String(), `"took":"1.5s"`) {
		t.Fatal(out.String())
	}
}
