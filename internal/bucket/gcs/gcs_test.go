package gcs

import (
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"airfield/internal/bucket"
	"airfield/internal/bucket/buckettest"
	"airfield/internal/bucket/object"
	"airfield/internal/fault"
	"airfield/internal/gcs"
	"airfield/internal/gcs/gcstest"
	"airfield/internal/secret"
)

func openTest(t *testing.T, p gcs.Place, c bucket.Config) (*object.Bucket, *store) {
	t.Helper()
	c.URL = p.String()
	s, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	b, err := object.New(s, c.Lifecycle, t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return b, s
}

func TestConformance(t *testing.T) {
	for name, versions := range map[string]bool{"a bucket without versions": false, "a bucket that keeps versions itself": true} {
		t.Run(name, func(t *testing.T) {
			buckettest.Run(t, func(t *testing.T, c bucket.Config) bucket.Bucket {
				p := gcstest.New(t, versions)
				if versions {
					p.Prefix = "some/where/"
				}
				b, _ := openTest(t, p, c)
				return b
			})
		})
	}
}

func TestAPurgeLeavesNothingInABucketThatKeepsVersions(t *testing.T) {
	b, s := openTest(t, gcstest.New(t, true), bucket.Default())
	for range 3 {
		if _, err := b.Put(t.Context(), "a/b", strings.NewReader("secret"), bucket.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	count := func() int {
		page, err := s.client.List(t.Context(), "", "", "", 100, true)
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Objects)
	}
	if n := count(); n != 3 {
		t.Fatalf("%d objects before the purge: the test would see nothing", n)
	}
	if p, err := b.Purge(t.Context(), "a/b", ""); err != nil || p != (bucket.Purged{Versions: 3, Bytes: 18}) {
		t.Fatalf("%+v %v", p, err)
	}
	if err := b.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 0 {
		t.Fatalf("%d objects are left", n)
	}
}

func TestALargeObjectGoesUpInParts(t *testing.T) {
	b, s := openTest(t, gcstest.New(t, false), bucket.Default())
	s.partBytes = 1 << 20
	raw := make([]byte, 3<<20+5)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(raw)
	o, err := b.Put(t.Context(), "large", strings.NewReader(string(raw)), bucket.PutOptions{MediaType: "application/pdf"})
	if err != nil {
		t.Fatal(err)
	}
	r, got, err := b.Get(t.Context(), "large", "")
	if err != nil || got != o {
		t.Fatalf("%+v, put %+v: %v", got, o, err)
	}
	defer r.Close()
	if size, sum, err := bucket.Receive(t.Context(), io.Discard, r, "large", 0); err != nil || size != o.Size || sum != o.SHA256 {
		t.Fatalf("read %d bytes, %s: %v", size, sum, err)
	}
}

// TestWhatGoesWrongOnTheWay has a store that fails in the ways of Google's.
func TestWhatGoesWrongOnTheWay(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, n int)
		code   string // "": it works in the end
		most   int    // requests
	}{
		"busy at first": {func(w http.ResponseWriter, r *http.Request, n int) {
			if n < 3 {
				http.Error(w, "slow down", http.StatusTooManyRequests)
				return
			}
			io.WriteString(w, `{}`)
		}, "", 3},
		"away":      {func(w http.ResponseWriter, r *http.Request, _ int) { http.Error(w, "", http.StatusServiceUnavailable) }, "bucket_away", 4},
		"no bucket": {func(w http.ResponseWriter, r *http.Request, _ int) { problem(w, http.StatusNotFound) }, "bucket_missing", 1},
		"no rights": {func(w http.ResponseWriter, r *http.Request, _ int) { problem(w, http.StatusForbidden) }, "bucket_denied", 1},
		"no store":  {func(w http.ResponseWriter, r *http.Request, _ int) { io.WriteString(w, "<html>") }, "internal", 1},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n++
				c.answer(w, r, n)
			}))
			defer server.Close()
			b, _ := openTest(t, gcs.Place{Bucket: "papers", Endpoint: server.URL, Anonymous: true}, bucket.Default())
			_, err := b.List(t.Context(), "", "", 10)
			if f := fault.As(err); c.code == "" && err != nil || c.code != "" && f.Code != c.code || n > c.most {
				t.Fatalf("%d requests: %v", n, err)
			}
		})
	}
}

func problem(w http.ResponseWriter, status int) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "message": "because"}})
}

func TestWhatArrivedOtherwiseIsNoObject(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, `{"size": "5", "crc32c": "AAAAAA==", "generation": "1"}`)
		default:
			io.WriteString(w, `{}`)
		}
	}))
	defer server.Close()
	b, _ := openTest(t, gcs.Place{Bucket: "papers", Endpoint: server.URL, Anonymous: true}, bucket.Default())
	if _, err := b.Put(t.Context(), "a", strings.NewReader("bytes"), bucket.PutOptions{}); err == nil || !strings.Contains(err.Error(), "not what was sent") {
		t.Fatal(err)
	}
}

func TestAnAddressAndCredentialsAreChecked(t *testing.T) {
	for _, url := range []string{
		"gs:", "gs://", "gs://Upper", "gs://ab", "gs://key:secret@name", "gs://name/a//b", "gs://name/../b", "gs://name?region=x", "gs://name?endpoint=gcs:9000",
		"gs://name?anonymous=yes", "gs://name/" + strings.Repeat("x", 151), "s3://name",
	} {
		c := bucket.Default()
		c.URL = url
		if _, err := Open(c, t.TempDir(), slog.New(slog.DiscardHandler)); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v", url, err)
		}
	}
	c := bucket.Default()
	c.URL, c.Credentials = "gs://papers", secret.New(`{"type": "service_account", "private_key": "very-secret`)
	if _, err := Open(c, t.TempDir(), slog.New(slog.DiscardHandler)); fault.As(err).Code != "bucket_credentials" || strings.Contains(err.Error(), "very-secret") {
		t.Error(err)
	}
	c.URL = "gs://papers?anonymous=true"
	if _, err := Open(c, t.TempDir(), slog.New(slog.DiscardHandler)); fault.As(err).Code != "gcs_credentials" {
		t.Error(err)
	}
}
