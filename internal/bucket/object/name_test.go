package object

import (
	"strings"
	"testing"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/place"
)

func TestNames(t *testing.T) {
	for key, want := range map[string]string{
		"versions/ver_01ab/original": "objects/versions.ver_01ab.original!/",
		"README.md":                  "objects/X52X45X41X44X4dX45-2emd!/",
		"../x":                       "objects/-2e-2e.x!/",
		"é~":                         "objects/~c3~a9~7e!/",
		strings.Repeat("a", 60):      "objects/" + strings.Repeat("a", 60) + "/!/",
		strings.Repeat("a", 61):      "objects/" + strings.Repeat("a", 60) + "/a!/",
	} {
		if got := folder(key); got != want {
			t.Errorf("%q is at %s, want %s", key, got, want)
		}
	}
}

// FuzzName holds what the layout stands on: names lead back, sort as their keys do and the newest first, and are such as
// every store takes.
func FuzzName(f *testing.F) {
	at := int64(1_700_000_000_000_000)
	for _, pair := range [][2]string{{"a", "A"}, {"a/b", "a"}, {"..", "../"}, {"a!", "a/"}, {"é", "e\u0301"}, {strings.Repeat("x", 60), strings.Repeat("x", 60) + "/x"}, {"\x00", "`"}} {
		f.Add(pair[0], pair[1], "text/plain; charset=utf-8", at)
	}
	f.Fuzz(func(t *testing.T, key, other, mediaType string, micros int64) {
		if bucket.CheckKey(key) != nil || bucket.CheckKey(other) != nil || bucket.CheckMediaType(mediaType) != nil || micros < 0 || micros > 1<<61 {
			return
		}
		if len(escape(mediaType, false)) > maxMediaTypeName {
			return
		}
		moment := time.UnixMicro(micros).UTC()
		o := bucket.Object{Key: key, Version: bucket.NewVersion(moment), Modified: moment, SHA256: strings.Repeat("ab", 32), MediaType: mediaType}
		name := folder(key) + versionName(o)
		if back, ok := parse(name); !ok || back != o {
			t.Fatalf("%q came back as %+v, %v, was %+v", name, back, ok, o)
		}
		if len(name)+place.MaxPrefixBytes > 1024 {
			t.Fatalf("%q has %d bytes", name, len(name))
		}
		for part := range strings.SplitSeq(name, "/") {
			if part == "" || part == "." || part == ".." || len(part) > 255 || strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Fatalf("%q has the part %q", name, part)
			}
		}
		if (folder(key) < folder(other)) != (key < other) || (folder(key) == folder(other)) != (key == other) {
			t.Fatalf("%q and %q do not sort as %q and %q", key, other, folder(key), folder(other))
		}
		if strings.HasPrefix(key, other) != strings.HasPrefix(folder(key), objects+escape(other, true)) {
			t.Fatalf("%q begins with %q, or not, but %q with %q", key, other, folder(key), escape(other, true))
		}
		later := o
		later.Version = bucket.NewVersion(moment.Add(time.Microsecond))
		if versionName(later) >= versionName(o) {
			t.Fatalf("%s comes before %s", versionName(o), versionName(later))
		}
	})
}

// FuzzParse holds that only names that we make are read.
func FuzzParse(f *testing.F) {
	o := bucket.Object{Key: "a/b", Version: bucket.NewVersion(time.UnixMicro(1_700_000_000_000_000)), Deleted: true}
	f.Add(folder(o.Key) + versionName(o))
	f.Add("objects/a!/x")
	f.Add("objects/!/,")
	f.Fuzz(func(t *testing.T, name string) {
		if o, ok := parse(name); ok && folder(o.Key)+versionName(o) != name {
			t.Fatalf("%q was read as %+v", name, o)
		}
	})
}
