// Package buckettest is the conformance suite of buckets: what every backend promises, as tests.
package buckettest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/fault"
)

// Run runs the suite. open returns an empty bucket with the lifecycle of c, and closes it when the test ends.
func Run(t *testing.T, open func(t *testing.T, c bucket.Config) bucket.Bucket) {
	for name, test := range map[string]func(*testing.T, bucket.Bucket){
		"what is put comes back":                 roundTrip,
		"each put is a version and none is lost": versions,
		"a marker hides and a put shows again":   deletion,
		"a purge leaves nothing and counts":      purge,
		"any text is a key and none collides":    keys,
		"a key that cannot be is refused":        badKeys,
		"a listing goes page by page in order":   list,
		"a failed upload leaves nothing":         failedUploads,
		"parallel puts of one key all count":     parallelPuts,
		"equal contents are two objects":         equalContents,
		"everything at once":                     everythingAtOnce,
		"a bucket that works says so":            func(t *testing.T, b bucket.Bucket) { must(t, b.Probe(t.Context())) },
		"an ended context ends the work":         endedContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t, bucket.Default())) })
	}
	t.Run("the lifecycle takes what is old", func(t *testing.T) { lifecycle(t, open) })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, b bucket.Bucket, key, content string) bucket.Object {
	t.Helper()
	o, err := b.Put(t.Context(), key, strings.NewReader(content), bucket.PutOptions{MediaType: "text/plain; charset=utf-8"})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return o
}

// want reads a version and compares.
func want(t testing.TB, b bucket.Bucket, key, version, content string) {
	t.Helper()
	r, o, err := b.Get(t.Context(), key, version)
	if err != nil {
		t.Fatalf("get %q %s: %v", key, version, err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	sum := sha256.Sum256([]byte(content))
	if err != nil || string(got) != content || o.Size != int64(len(content)) || o.SHA256 != hex.EncodeToString(sum[:]) || o.Key != key {
		t.Fatalf("got %.40q, %+v, want %.40q: %v", got, o, content, err)
	}
	stat, err := b.Stat(t.Context(), key, version)
	if err != nil || stat != o {
		t.Fatalf("stat says %+v, get said %+v: %v", stat, o, err)
	}
}

func wantNone(t testing.TB, b bucket.Bucket, key, version string) {
	t.Helper()
	if _, _, err := b.Get(t.Context(), key, version); !fault.Is(err, fault.NotFound) {
		t.Fatalf("get %q %q: %v", key, version, err)
	}
	if _, err := b.Stat(t.Context(), key, version); !fault.Is(err, fault.NotFound) {
		t.Fatalf("stat %q %q: %v", key, version, err)
	}
}

func versionsOf(t testing.TB, b bucket.Bucket, key string) []bucket.Object {
	t.Helper()
	v, err := b.Versions(t.Context(), key)
	must(t, err)
	return v
}

func listAll(t testing.TB, b bucket.Bucket, prefix string, page int) (keys []string) {
	t.Helper()
	for after := ""; ; after = keys[len(keys)-1] {
		objects, err := b.List(t.Context(), prefix, after, page)
		must(t, err)
		for _, o := range objects {
			if !o.Latest || o.Deleted {
				t.Fatalf("listed %+v", o)
			}
			keys = append(keys, o.Key)
		}
		if len(objects) < page {
			return keys
		}
	}
}

func roundTrip(t *testing.T, b bucket.Bucket) {
	for key, content := range map[string]string{
		"text": "some words", "empty": "", "large/file.bin": strings.Repeat("0123456789abcdef", 1<<16),
	} {
		before := time.Now()
		o := put(t, b, key, content)
		if o.Key != key || o.Version == "" || !o.Latest || o.Deleted || o.MediaType != "text/plain; charset=utf-8" {
			t.Fatalf("put returned %+v", o)
		}
		if d := o.Modified.Sub(before).Abs(); d > time.Minute || o.Modified.Location() != time.UTC {
			t.Fatalf("modified at %s, put at %s", o.Modified, before)
		}
		want(t, b, key, "", content)
		want(t, b, key, o.Version, content)
		if stat, err := b.Stat(t.Context(), key, ""); err != nil || stat != o {
			t.Fatalf("stat says %+v, put said %+v: %v", stat, o, err)
		}
	}
	wantNone(t, b, "never put", "")
	wantNone(t, b, "text", "no-such-version")
	wantNone(t, b, "tex", "")
	if o, err := b.Put(t.Context(), "untyped", strings.NewReader("x"), bucket.PutOptions{}); err != nil || o.MediaType != "" {
		t.Fatalf("%+v %v", o, err)
	}
	if _, err := b.Put(t.Context(), "typed", strings.NewReader("x"), bucket.PutOptions{MediaType: "text/\nplain"}); !fault.Is(err, fault.Invalid) {
		t.Fatal(err)
	}
}

func versions(t *testing.T, b bucket.Bucket) {
	var put4 []bucket.Object
	for i := range 4 {
		put4 = append(put4, put(t, b, "policy.md", fmt.Sprint("text ", i)))
	}
	got := versionsOf(t, b, "policy.md")
	slices.Reverse(got)
	if len(got) != 4 {
		t.Fatalf("%d versions", len(got))
	}
	for i, o := range got {
		expected := put4[i]
		expected.Latest = i == 3
		if o != expected {
			t.Fatalf("version %d is %+v, want %+v", i, o, expected)
		}
		want(t, b, "policy.md", o.Version, fmt.Sprint("text ", i))
	}
	want(t, b, "policy.md", "", "text 3")
	if len(versionsOf(t, b, "policy")) != 0 {
		t.Fatal("versions of a key that is not there")
	}
}

func deletion(t *testing.T, b bucket.Bucket) {
	must(t, b.Delete(t.Context(), "never put"))
	if v := versionsOf(t, b, "never put"); len(v) != 0 {
		t.Fatalf("a marker where nothing was: %+v", v)
	}
	first := put(t, b, "a", "first")
	must(t, b.Delete(t.Context(), "a"))
	must(t, b.Delete(t.Context(), "a"))
	v := versionsOf(t, b, "a")
	if len(v) != 2 || !v[0].Deleted || !v[0].Latest || v[1].Latest || v[1].Version != first.Version {
		t.Fatalf("%+v", v)
	}
	wantNone(t, b, "a", "")
	wantNone(t, b, "a", v[0].Version)
	want(t, b, "a", first.Version, "first")
	if keys := listAll(t, b, "", 10); len(keys) != 0 {
		t.Fatalf("hidden keys are listed: %q", keys)
	}
	put(t, b, "a", "second")
	want(t, b, "a", "", "second")
	want(t, b, "a", first.Version, "first")
}

func purge(t *testing.T, b bucket.Bucket) {
	first, second := put(t, b, "a/b", "first"), put(t, b, "a/b", "second")
	put(t, b, "a", "a neighbour")
	put(t, b, "a/b/c", "another")
	check := func(key, version string, expected bucket.Purged) {
		t.Helper()
		got, err := b.Purge(t.Context(), key, version)
		if err != nil || got != expected {
			t.Fatalf("purged %+v, want %+v: %v", got, expected, err)
		}
	}
	check("a/b", "no-such-version", bucket.Purged{})
	check("a/b", second.Version, bucket.Purged{Versions: 1, Bytes: 6})
	want(t, b, "a/b", "", "first")
	if v := versionsOf(t, b, "a/b"); len(v) != 1 || !v[0].Latest || v[0].Version != first.Version {
		t.Fatalf("%+v", v)
	}
	must(t, b.Delete(t.Context(), "a/b"))
	check("a/b", "", bucket.Purged{Versions: 1, Bytes: 5})
	check("a/b", "", bucket.Purged{})
	if v := versionsOf(t, b, "a/b"); len(v) != 0 {
		t.Fatalf("left: %+v", v)
	}
	want(t, b, "a", "", "a neighbour")
	want(t, b, "a/b/c", "", "another")
	put(t, b, "a/b", "again")
	want(t, b, "a/b", "", "again")
}

func hostileKeys() []string {
	keys := []string{
		"..", ".", "../escape", "../../../../tmp/escape", "/absolute", "/etc/passwd", "a/../b", "a/./b", "a//b", "a/", "/", "//",
		"a/b", "a.b", "a", "A", "a/B", "a+b", "a%2fb", "a%2Fb", "^a", "~version", ".hidden", "-flag", "a\x00b", "a\nb", "\x7f", " ", " a ", "a\\b", "C:\\x",
		"con", "nul.txt", "$(rm -rf)", "'\"`;|&<>*?[]{}", "objects", "uploads", "lock",
		"\u00e9", "e\u0301", "\u212b", "\u00c5", "A\u030a", "\ufb01", "ﬀ", "ß", "ẞ", "İ", "ı", "文書/手引き.pdf", "🗎", "\u202egpj.exe", "\ufeff",
		strings.Repeat("x", bucket.MaxKeyBytes-1), strings.Repeat("x", bucket.MaxKeyBytes), strings.Repeat("X", bucket.MaxKeyBytes),
		strings.Repeat("/", bucket.MaxKeyBytes), strings.Repeat("../", bucket.MaxKeyBytes/3), strings.Repeat("\x01", bucket.MaxKeyBytes), strings.Repeat("é", bucket.MaxKeyBytes/2),
		strings.Repeat("a/", bucket.MaxKeyBytes/2-1), strings.Repeat("A/", bucket.MaxKeyBytes/2),
	}
	for n := 60; n < 70; n++ { // around any length at which names may be cut
		keys = append(keys, strings.Repeat("s", n), strings.Repeat("s", n)+"/t", strings.Repeat("s", n)+".t")
	}
	return keys
}

func keys(t *testing.T, b bucket.Bucket) {
	keys := hostileKeys()
	for _, key := range keys {
		put(t, b, key, "content of "+key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		want(t, b, key, "", "content of "+key)
		if v := versionsOf(t, b, key); len(v) != 1 {
			t.Fatalf("%q has %d versions", key, len(v))
		}
	}
	if got := listAll(t, b, "", 7); !slices.Equal(got, keys) {
		t.Fatalf("listed %q\nwant %q", got, keys)
	}
	for _, key := range keys {
		if p, err := b.Purge(t.Context(), key, ""); err != nil || p.Versions != 1 {
			t.Fatalf("purge %q: %+v, %v", key, p, err)
		}
	}
	if got := listAll(t, b, "", 10); len(got) != 0 {
		t.Fatalf("left: %q", got)
	}
}

func badKeys(t *testing.T, b bucket.Bucket) {
	for _, key := range []string{"", strings.Repeat("x", bucket.MaxKeyBytes+1), "\xff\xfe", "a\xc3"} {
		_, errPut := b.Put(t.Context(), key, strings.NewReader("x"), bucket.PutOptions{})
		_, _, errGet := b.Get(t.Context(), key, "")
		_, errPurge := b.Purge(t.Context(), key, "")
		for i, err := range []error{errPut, errGet, errPurge, b.Delete(t.Context(), key)} {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("key %.10q, call %d: %v", key, i, err)
			}
		}
	}
}

func list(t *testing.T, b bucket.Bucket) {
	var all []string
	for _, folder := range []string{"", "a/", "a/b/", "a!/", "b"} {
		for i := range 7 {
			key := fmt.Sprintf("%sdoc-%02d.txt", folder, i)
			put(t, b, key, key)
			put(t, b, key, key+" again")
			all = append(all, key)
		}
	}
	slices.Sort(all)
	for _, prefix := range []string{"", "a", "a/", "a/b/doc-0", "a/b/doc-03.txt", "b", "c", "doc", "a/doc-03.txtx"} {
		var expected []string
		for _, key := range all {
			if strings.HasPrefix(key, prefix) {
				expected = append(expected, key)
			}
		}
		for _, page := range []int{1, 3, 7, 1000} {
			if got := listAll(t, b, prefix, page); !slices.Equal(got, expected) {
				t.Fatalf("prefix %q by %d: %q, want %q", prefix, page, got, expected)
			}
		}
	}
	for i, after := range all {
		objects, err := b.List(t.Context(), "", after+"\x00", 2)
		must(t, err)
		if n := min(2, len(all)-i-1); len(objects) != n || n > 0 && objects[0].Key != all[i+1] {
			t.Fatalf("after %q: %+v", after, objects)
		}
	}
}

func failedUploads(t *testing.T, b bucket.Bucket) {
	put(t, b, "kept", "before")
	broken := errors.New("the line is cut")
	ctx, cancel := context.WithCancel(t.Context())
	for name, c := range map[string]struct {
		ctx  context.Context
		r    io.Reader
		kind fault.Kind
	}{
		"the reader breaks":     {t.Context(), io.MultiReader(strings.NewReader(strings.Repeat("x", 5)), failing{broken}), fault.Internal},
		"the client breaks off": {ctx, io.MultiReader(strings.NewReader("xxx"), calling{cancel}), fault.Cancelled},
		"there is too much":     {t.Context(), strings.NewReader("eleven byte"), fault.TooLarge},
		"there is far too much": {t.Context(), bytes.NewReader(make([]byte, 1<<20)), fault.TooLarge},
	} {
		for _, key := range []string{"kept", "new"} {
			_, err := b.Put(c.ctx, key, c.r, bucket.PutOptions{MaxBytes: 10})
			if !fault.Is(err, c.kind) || name == "the reader breaks" && !errors.Is(err, broken) {
				t.Fatalf("%s: %v", name, err)
			}
			if s, ok := c.r.(io.Seeker); ok {
				s.Seek(0, io.SeekStart)
			}
		}
	}
	want(t, b, "kept", "", "before")
	if v := versionsOf(t, b, "kept"); len(v) != 1 || len(versionsOf(t, b, "new")) != 0 {
		t.Fatalf("%+v", v)
	}
	if _, err := b.Put(t.Context(), "new", strings.NewReader("ten bytes."), bucket.PutOptions{MaxBytes: 10}); err != nil {
		t.Fatalf("exactly the limit: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// calling calls once it is read, and then has nothing.
type calling struct{ do func() }

func (c calling) Read(p []byte) (int, error) {
	c.do()
	return copy(p, "x"), nil
}

func equalContents(t *testing.T, b bucket.Bucket) {
	one, two := put(t, b, "one", "the same"), put(t, b, "two", "the same")
	if one.SHA256 != two.SHA256 || one.Version == two.Version {
		t.Fatalf("%+v %+v", one, two)
	}
	if _, err := b.Purge(t.Context(), "one", ""); err != nil {
		t.Fatal(err)
	}
	want(t, b, "two", "", "the same")
}

func endedContext(t *testing.T, b bucket.Bucket) {
	put(t, b, "a", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, errPut := b.Put(ctx, "a", strings.NewReader("y"), bucket.PutOptions{})
	_, _, errGet := b.Get(ctx, "a", "")
	_, errList := b.List(ctx, "", "", 10)
	_, errSweep := b.Sweep(ctx, time.Now())
	for i, err := range []error{errPut, errGet, errList, errSweep} {
		if !fault.Is(err, fault.Cancelled) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}
