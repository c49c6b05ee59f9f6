package ingest_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/db/dbtest"
	"airfield/internal/ingest"
)

// together is a file that is not read before all of them are.
type together struct {
	text  *strings.Reader
	begin func()
	all   <-chan struct{}
}

func (r *together) Read(b []byte) (int, error) {
	r.begin()
	select {
	case <-r.all:
		return r.text.Read(b)
	case <-time.After(10 * time.Second):
		return 0, errors.New("the other files are not read meanwhile")
	}
}

func TestFilesAreOnTheirWayTogetherAndKeepTheirOrder(t *testing.T) {
	h := open(t, dbtest.Open(t, dbtest.SQLite(t)), t.TempDir(), quick())
	h.collection("docs")
	const n = 4
	var begun sync.WaitGroup
	begun.Add(n)
	all := make(chan struct{})
	go func() { begun.Wait(); close(all) }()
	var uploads []ingest.Upload
	for i := range n {
		uploads = append(uploads, ingest.Upload{Name: fmt.Sprintf("%d.txt", i), Reader: &together{strings.NewReader(strings.Repeat("x", i+1)), sync.OnceFunc(begun.Done), all}})
	}
	for range 2 { // more than are on their way at once; one of them cannot be read
		uploads = append(uploads, ingest.Upload{Name: "broken.txt", Reader: io.MultiReader(strings.NewReader("y"), broken{})})
	}
	receipts, err := h.UploadAll(system(), "docs", uploads)
	must(t, err)
	for i, r := range receipts {
		if i < n && (r.Err != nil || r.Bytes != int64(i+1)) || i >= n && r.Err == nil {
			t.Errorf("%d: %+v", i, r)
		}
	}
}

// broken is a file that cannot be read.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the disk is bad") }
