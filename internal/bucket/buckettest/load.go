package buckettest

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/fault"
)

func parallelPuts(t *testing.T, b bucket.Bucket) {
	const writers, each = 8, 5
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var last bucket.Object
			for i := range each {
				content := fmt.Sprintf("writer %d, number %d", w, i)
				o, err := b.Put(t.Context(), "hot", strings.NewReader(content), bucket.PutOptions{})
				if err != nil || o.Version <= last.Version {
					t.Errorf("%s: %+v after %+v: %v", content, o, last, err)
				}
				last = o
			}
		})
	}
	wg.Wait()
	v := versionsOf(t, b, "hot")
	if len(v) != writers*each {
		t.Fatalf("%d versions, want %d", len(v), writers*each)
	}
	for i, o := range v {
		if o.Latest != (i == 0) || i > 0 && (o.Version >= v[i-1].Version || !o.Modified.Before(v[i-1].Modified)) {
			t.Fatalf("version %d of the newest first: %+v after %+v", i, o, v[max(i-1, 0)])
		}
	}
	if o, err := b.Stat(t.Context(), "hot", ""); err != nil || o != v[0] {
		t.Fatalf("the latest is %+v, want %+v: %v", o, v[0], err)
	}
}

// everythingAtOnce is for the race detector, and for errors that only a crowd brings: a version that is found
// must be readable and whole, or be gone.
func everythingAtOnce(t *testing.T, b bucket.Bucket) {
	var wg sync.WaitGroup
	key := func(i int) string { return fmt.Sprintf("shared/folder-%d/doc", i%3) }
	for range 2 {
		for _, do := range []func(i int) error{
			func(i int) error {
				_, err := b.Put(t.Context(), key(i), strings.NewReader(strings.Repeat(key(i), 100)), bucket.PutOptions{})
				return err
			},
			func(i int) error {
				r, o, err := b.Get(t.Context(), key(i), "")
				if err != nil {
					return err
				}
				defer r.Close()
				content, err := io.ReadAll(r)
				if err == nil && (string(content) != strings.Repeat(key(i), 100) || o.Size != int64(len(content))) {
					t.Errorf("%d bytes of %+v", len(content), o)
				}
				return err
			},
			func(i int) error { return b.Delete(t.Context(), key(i)) },
			func(i int) error { _, err := b.Purge(t.Context(), key(i), ""); return err },
			func(int) error { _, err := b.List(t.Context(), "", "", 10); return err },
			func(int) error { _, err := b.Sweep(t.Context(), time.Now()); return err },
		} {
			wg.Go(func() {
				for i := range 20 {
					if err := do(i); err != nil && !fault.Is(err, fault.NotFound) {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
}

func lifecycle(t *testing.T, open func(*testing.T, bucket.Config) bucket.Bucket) {
	c := bucket.Default()
	c.Lifecycle.ExpireOldAfter, c.Lifecycle.KeepVersions = 24*time.Hour, 2
	const put, marker = "put", "delete"
	for _, test := range []struct {
		name   string
		keep   int
		never  bool
		do     []string
		after  time.Duration
		left   int // versions and markers
		report bucket.Report
	}{
		{"nothing is old yet", 2, false, []string{put, put, put, put}, 23 * time.Hour, 4, bucket.Report{}},
		{"old versions go but the newest stay", 2, false, []string{put, put, put, put}, 25 * time.Hour, 2, bucket.Report{Expired: 2, ExpiredBytes: 6}},
		{"only the latest is kept", 1, false, []string{put, put, put}, 25 * time.Hour, 1, bucket.Report{Expired: 2, ExpiredBytes: 6}},
		{"the latest never goes", 1, false, []string{put}, 1e4 * time.Hour, 1, bucket.Report{}},
		{"without an age nothing goes", 1, true, []string{put, put, put}, 1e4 * time.Hour, 3, bucket.Report{}},
		{"a marker that hides something stays", 1, false, []string{put, put, marker}, 25 * time.Hour, 2, bucket.Report{Expired: 1, ExpiredBytes: 3}},
		{"a superseded marker goes and does not count as kept", 2, false, []string{put, marker, put, put}, 25 * time.Hour, 2, bucket.Report{Expired: 1, ExpiredBytes: 3, Markers: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := c
			c.Lifecycle.KeepVersions = test.keep
			if test.never {
				c.Lifecycle.ExpireOldAfter = 0
			}
			b := open(t, c)
			for _, do := range test.do {
				if do == marker {
					must(t, b.Delete(t.Context(), "a/b"))
					continue
				}
				if _, err := b.Put(t.Context(), "a/b", strings.NewReader("abc"), bucket.PutOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			before := versionsOf(t, b, "a/b")
			report, err := b.Sweep(t.Context(), time.Now().Add(test.after))
			if err != nil || report != test.report {
				t.Fatalf("swept %+v, want %+v: %v", report, test.report, err)
			}
			left := versionsOf(t, b, "a/b")
			if len(left) != test.left || left[0] != before[0] {
				t.Fatalf("left %+v of %+v", left, before)
			}
			if again, err := b.Sweep(t.Context(), time.Now().Add(test.after)); err != nil || again != (bucket.Report{}) {
				t.Fatalf("a second sweep took %+v: %v", again, err)
			}
		})
	}
	t.Run("a marker with nothing behind it goes", func(t *testing.T) {
		b := open(t, c)
		o, err := b.Put(t.Context(), "a", strings.NewReader("abc"), bucket.PutOptions{})
		must(t, err)
		must(t, b.Delete(t.Context(), "a"))
		_, err = b.Purge(t.Context(), "a", o.Version)
		must(t, err)
		for _, step := range []struct {
			after   time.Duration
			markers int
		}{{time.Hour, 0}, {25 * time.Hour, 1}} {
			report, err := b.Sweep(t.Context(), time.Now().Add(step.after))
			if err != nil || report != (bucket.Report{Markers: step.markers}) {
				t.Fatalf("after %s: %+v: %v", step.after, report, err)
			}
		}
		if v := versionsOf(t, b, "a"); len(v) != 0 {
			t.Fatalf("left %+v", v)
		}
	})
}
