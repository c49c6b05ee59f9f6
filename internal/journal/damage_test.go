package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// written makes a journal of the records and returns its only segment's bytes and where each record begins.
func written(t testing.TB, records ...string) (dir, name string, content []byte, starts []int) {
	t.Helper()
	dir = t.TempDir()
	j := open(t, dir, Default())
	appendAll(t, j, records...)
	j.Close()
	segments, err := listSegments(dir)
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	name = segments[0].path(dir)
	if content, err = os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
	at := headerBytes
	for _, r := range records {
		starts = append(starts, at)
		at += frameBytes + len(r)
	}
	return dir, name, content, append(starts, at)
}

func TestALastRecordTornAtAnyByteIsCutOff(t *testing.T) {
	records := []string{"first", "second", "the last record, which is torn"}
	dir, name, content, starts := written(t, records...)
	for cut := starts[2]; cut < len(content); cut++ {
		if err := os.WriteFile(name, content[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, dir, Default())
		if torn := j.Stats().Torn; torn != int64(cut-starts[2]) {
			t.Fatalf("cut at %d: %d bytes torn, want %d", cut, torn, cut-starts[2])
		}
		appendAll(t, j, "after the crash")
		r := j.Reader(Position{})
		equal(t, drain(t, r), []string{"first", "second", "after the crash"})
		if r.Skipped() != 0 {
			t.Fatalf("cut at %d: %d bytes skipped", cut, r.Skipped())
		}
		r.Close()
		j.Close()
		for _, s := range mustList(t, dir) {
			os.Remove(s.path(dir))
		}
	}
}

func TestAFileBegunWhenTheProcessDiedIsNoHindrance(t *testing.T) {
	for size := range headerBytes + 1 {
		dir := t.TempDir()
		j := open(t, dir, Default())
		appendAll(t, j, "kept")
		first := j.ID()
		j.Close()
		next := segment{number: 2}.path(dir)
		if err := os.WriteFile(next, header(first, 2)[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		j = open(t, dir, Default())
		if j.ID() != first || j.Stats().Tail.Segment != 3 {
			t.Fatalf("size %d: id %s, %+v", size, j.ID(), j.Stats())
		}
		equal(t, drain(t, j.Reader(Position{})), []string{"kept"})
	}
}

func TestAnyDamagedByteLosesOnlyItsRecord(t *testing.T) {
	records := []string{"one", "", "three, somewhat longer than the others", "four"}
	dir, name, content, starts := written(t, records...)
	for at := headerBytes; at < len(content); at++ {
		damaged := bytes.Clone(content)
		damaged[at] ^= 0x10
		if err := os.WriteFile(name, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		hit := 0
		for starts[hit+1] <= at {
			hit++
		}
		a, err := OpenReader(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		r := a.Reader(Position{})
		equal(t, drain(t, r), slices.Delete(slices.Clone(records), hit, hit+1))
		if want := int64(frameBytes + len(records[hit])); r.Skipped() != want {
			t.Fatalf("byte %d: %d skipped, want %d", at, r.Skipped(), want)
		}
		r.Close()
		a.Close()
	}
}

func TestADamagedHeaderLosesNoRecord(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, small())
	want := numbered(40, 300)
	appendAll(t, j, want...)
	j.Close()
	f, err := os.OpenFile(segment{number: 2}.path(dir), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("overwritten"), 10); err != nil {
		t.Fatal(err)
	}
	f.Close()
	equal(t, drain(t, open(t, dir, small()).Reader(Position{})), want)
}

func TestAPayloadCannotPassForARecord(t *testing.T) {
	_, _, content, _ := written(t, "a record of another journal")
	foreign := string(content[headerBytes:])
	dir, name, content, starts := written(t, "first", "payload "+foreign+" end", "last")
	content[starts[1]+4] ^= 0xff // its length: the reader must look for the next record inside the payload
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	equal(t, drain(t, open(t, dir, Default()).Reader(Position{})), []string{"first", "last"})
}

func TestDamageLargerThanTheReadBufferIsPassed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	dir, name, content, starts := written(t, "first", string(randomBytes(random, 3*readBytes)), "third")
	copy(content[starts[1]:starts[2]], randomBytes(random, starts[2]-starts[1]))
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir, Default()).Reader(Position{})
	equal(t, drain(t, r), []string{"first", "third"})
	if r.Skipped() != int64(starts[2]-starts[1]) {
		t.Fatalf("%d bytes skipped", r.Skipped())
	}
}

// FuzzReader damages a segment and expects that reading ends, that every byte is accounted for and that what is
// returned was written.
func FuzzReader(f *testing.F) {
	f.Add([]byte{}, uint16(0))
	f.Add([]byte("garbage in the middle"), uint16(70))
	f.Add(bytes.Repeat([]byte{0}, 300), uint16(55))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint16(headerBytes+4))
	f.Fuzz(func(t *testing.T, damage []byte, at uint16) {
		var records []string
		for i := range 12 {
			records = append(records, fmt.Sprintf("%d %s", i, bytes.Repeat([]byte{byte(i)}, i*i)))
		}
		const journalID = idPrefix + "_00000000000000000000000000"
		framing := framingOf(journalID)
		content := header(journalID, 1)
		for _, r := range records {
			content = framing.appendTo(content, []byte(r), framing.checksum([]byte(r)))
		}
		start := headerBytes + int(at)%(len(content)-headerBytes)
		content = append(content[:start:start], append(damage, content[min(len(content), start+len(damage)/2):]...)...)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000001.journal"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := OpenReader(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		r := a.Reader(Position{})
		defer r.Close()
		read := int64(headerBytes)
		for {
			record, _, err := r.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || !slices.Contains(records, string(record)) {
				t.Fatalf("%q: %v", record, err)
			}
			read += int64(frameBytes + len(record))
		}
		if read+r.Skipped() != int64(len(content)) {
			t.Fatalf("%d bytes read, %d skipped, of %d", read, r.Skipped(), len(content))
		}
	})
}

func mustList(t testing.TB, dir string) []segment {
	t.Helper()
	segments, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	return segments
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
