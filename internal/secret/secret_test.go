package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestASecretNeverPrints(t *testing.T) {
	v := New("sk-very-secret")
	doc, _ := json.Marshal(map[string]any{"key": v, "in": struct{ K Value }{v}})
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", v, "s", struct{ K Value }{v})
	all := fmt.Sprintf("%v %+v %#v %s %q %x %d", v, v, v, v, v, v, struct{ K Value }{v}) + string(doc) + log.String()
	if strings.Contains(all, "sk-very") || strings.Contains(all, fmt.Sprintf("%x", "sk-very")) {
		t.Fatal(all)
	}
	if v.Reveal() != "sk-very-secret" || !v.Equal("sk-very-secret") || v.Equal("sk") {
		t.Fatal("lost")
	}
}

func TestReferences(t *testing.T) {
	t.Setenv("AIRFIELD_TEST_SECRET", "abc")
	dir := t.TempDir()
	file := filepath.Join(dir, "k")
	os.WriteFile(file, []byte("def\n"), 0o600)
	for ref, want := range map[string]string{"env:AIRFIELD_TEST_SECRET": "abc", "file:" + file: "def", "file:k": "def", "env:AIRFIELD_UNSET": "", "": ""} {
		var v Value
		if err := v.UnmarshalText([]byte(ref)); err != nil || v.Resolve(dir) != nil || v.Reveal() != want || v.String() != ref {
			t.Errorf("%s: %q %v %s", ref, v.Reveal(), err, v)
		}
	}
	var v Value
	err := v.UnmarshalText([]byte("sk-literal-secret"))
	if err == nil || strings.Contains(err.Error(), "sk-literal") {
		t.Fatalf("a literal must be refused without repeating it: %v", err)
	}
	if v.UnmarshalText([]byte("file:/no/such")) != nil || v.Resolve("") == nil {
		t.Error("a missing file is an error")
	}
}

func TestAPathIsMadeAbsoluteAndStaysAReference(t *testing.T) {
	for ref, want := range map[string]string{"file:k": "file:/etc/airfield/k", "file:/k": "file:/k", "env:K": "env:K", "": ""} {
		var v Value
		if err := v.UnmarshalText([]byte(ref)); err != nil || v.Within("/etc/airfield").Ref() != want {
			t.Errorf("%s: %s %v", ref, v.Within("/etc/airfield"), err)
		}
	}
}
