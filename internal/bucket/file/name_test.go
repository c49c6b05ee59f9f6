package file

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"airfield/internal/bucket"
)

func TestNames(t *testing.T) {
	for key, want := range map[string]string{
		"handbook/travel.pdf": "objects/handbook+/travel.pdf",
		"README.md":           "objects/^r^e^a^d^m^e.md",
		"../x":                "objects/%2e.+/x",
		"/a":                  "objects/+/a",
		"a+b %":               "objects/a%2bb%20%25",
		"é":                   "objects/%c3%a9",
	} {
		if got := keyPath(key); got != want {
			t.Errorf("%q is at %s, want %s", key, got, want)
		}
	}
}

// FuzzKey holds what the layout stands on: a path leads back to its key, stays below its folder, differs from
// every other path also when case is ignored, and is made of names that any file system takes.
func FuzzKey(f *testing.F) {
	for _, pair := range [][2]string{{"a", "A"}, {"a/b", "a"}, {"..", "../"}, {"%2f", "/"}, {"é", "e\u0301"}, {strings.Repeat("x", 65), strings.Repeat("x", 64) + "/x"}, {"\x00", "^@"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, key, other string) {
		if bucket.CheckKey(key) != nil || bucket.CheckKey(other) != nil {
			return
		}
		path := keyPath(key)
		names := strings.Split(path, "/")[1:]
		back := ""
		for _, name := range names {
			piece, ok := decode(name)
			if !ok || name == "." || name == ".." || name == "" || len(name) > 255 || name[0] == '~' || !ascii(name) {
				t.Fatalf("%q has the name %q", key, name)
			}
			back += piece
		}
		if back != key {
			t.Fatalf("%q came back as %q", key, back)
		}
		if otherPath := keyPath(other); key != other && strings.EqualFold(path, otherPath) {
			t.Fatalf("%q and %q are both at %s", key, other, path)
		}
		// Pieces sort as their keys do.
		a, b := pieces(key), pieces(other)
		for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
			a, b = a[1:], b[1:]
		}
		if len(a) > 0 && len(b) > 0 && (a[0] < b[0]) != (key < other) {
			t.Fatalf("%q and %q: pieces sort %q, %q", key, other, a[0], b[0])
		}
	})
}

// FuzzVersionName holds that only names that versionName makes are read, and that they are read right.
func FuzzVersionName(f *testing.F) {
	version := bucket.NewVersion(time.UnixMicro(1_700_000_000_000_000))
	f.Add(versionName(bucket.Object{Version: version, SHA256: strings.Repeat("ab", 32), MediaType: "image/svg+xml; q=1"}))
	f.Add(versionName(bucket.Object{Version: version, SHA256: strings.Repeat("ab", 32)}))
	f.Add(versionName(bucket.Object{Version: version, Deleted: true}))
	f.Add("~" + version)
	f.Add("~x,deleted")
	f.Fuzz(func(t *testing.T, name string) {
		o, ok := parseVersion(name)
		if ok && versionName(o) != name {
			t.Fatalf("%q was read as %+v", name, o)
		}
		if ok && (o.Modified.Before(time.Unix(0, 0)) || bucket.NewVersion(o.Modified)[:16] != o.Version[:16] || !utf8.ValidString(o.Version)) {
			t.Fatalf("%q was made at %s", name, o.Modified)
		}
	})
}

func ascii(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
