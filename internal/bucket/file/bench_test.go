package file

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"airfield/internal/bucket"
)

// BenchmarkPut stores small objects under new keys, one after the other and from 16 goroutines.
func BenchmarkPut(b *testing.B) {
	content := strings.Repeat("x", 4<<10)
	put := func(b *testing.B, bk *Bucket, key string) {
		if _, err := bk.Put(b.Context(), key, strings.NewReader(content), bucket.PutOptions{MediaType: "text/plain"}); err != nil {
			b.Error(err)
		}
	}
	b.Run("one", func(b *testing.B) {
		bk, n := open(b, b.TempDir(), bucket.Default()), 0
		for b.Loop() {
			n++
			put(b, bk, fmt.Sprintf("collection/doc-%d", n))
		}
	})
	b.Run("sixteen", func(b *testing.B) {
		bk := open(b, b.TempDir(), bucket.Default())
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n++ {
				put(b, bk, fmt.Sprintf("collection/%p-%d", pb, n))
			}
		})
	})
}

// BenchmarkList goes through 10,000 keys by pages of 1,000.
func BenchmarkList(b *testing.B) {
	bk := open(b, b.TempDir(), bucket.Default())
	for n := range 10_000 { // as Put leaves them, without its flushes
		o := bucket.Object{Key: fmt.Sprintf("collection/doc-%d", n), Version: bucket.NewVersion(time.Now()), SHA256: strings.Repeat("0", 64)}
		if err := bk.root.MkdirAll(keyPath(o.Key), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := bk.root.WriteFile(keyPath(o.Key)+"/"+versionName(o), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		keys, after := 0, ""
		for {
			page, err := bk.List(b.Context(), "", after, 1000)
			if err != nil {
				b.Fatal(err)
			}
			if keys += len(page); len(page) < 1000 {
				break
			}
			after = page[len(page)-1].Key
		}
		if keys != 10_000 {
			b.Fatal(keys)
		}
	}
}
