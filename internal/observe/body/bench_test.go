package body

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"airfield/internal/bucket"
	"airfield/internal/bucket/file"
	"airfield/internal/db/dbtest"
	"airfield/internal/id"
	"airfield/internal/llm"
)

// BenchmarkKeep is all that one call costs here, from the hand-over to its row in the database, without redaction.
func BenchmarkKeep(b *testing.B) {
	d := dbtest.Open(b, dbtest.SQLite(b))
	files, err := file.Open(filepath.Join(b.TempDir(), "bucket"), bucket.Default(), quiet)
	if err != nil {
		b.Fatal(err)
	}
	defer files.Close()
	s, err := Open(Default(), Parts{DB: d, Bucket: files, Dir: filepath.Join(b.TempDir(), "bodies"), Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	request := []byte(chat(message("system", "You answer questions about parcels."), message("user", strings.Repeat("Where is the parcel that was sent last week? ", 8))))
	answer := strings.Repeat("It is on its way. ", 15)
	b.SetBytes(int64(len(request) + len(answer)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		said := fmt.Sprint(answer, i)
		e := &llm.Exchange{CallID: id.New("call"), Environment: "bench", Workflow: "w", Request: request, RequestSize: int64(len(request))}
		for s.Begin(e) != llm.BodiesKept || !s.Room(len(said)) {
			if err := s.Flush(ctx); err != nil {
				b.Fatal(err)
			}
		}
		e.Answer, e.AnswerSize = []byte(said), int64(len(said))
		s.End(e, len(said))
	}
	if err := s.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
