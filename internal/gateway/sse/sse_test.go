package sse

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// read takes a stream apart as the gateway does: events with the prefix "hold" are withheld.
func read(t testing.TB, src io.Reader) (passed string, data []string, unended bool, r *Reader) {
	t.Helper()
	r = NewReader()
	r.Reset(src)
	var out strings.Builder
	for range 1 << 20 {
		err := r.Fill()
		for {
			e, ok := r.Next()
			if !ok {
				break
			}
			unended = e.Unended
			if e.Part {
				data = append(data, "part")
				continue
			}
			if e.Data != nil {
				data = append(data, string(e.Data))
			}
			if strings.HasPrefix(string(e.Data), "hold") {
				out.Write(r.Hold())
			}
		}
		out.Write(r.Ready())
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, iotest.ErrTimeout) {
				t.Fatal(err)
			}
			return out.String(), data, unended, r
		}
	}
	t.Fatal("no end")
	return
}

func TestEventsComeApartHoweverTheyArrive(t *testing.T) {
	for name, c := range map[string]struct {
		stream, passed string
		data           string
		unended        bool
	}{
		"two events":              {"data: a\n\ndata: b\n\n", "data: a\n\ndata: b\n\n", "a|b", false},
		"carriage returns":        {"data: a\r\n\r\ndata: b\r\n\r\n", "data: a\r\n\r\ndata: b\r\n\r\n", "a|b", false},
		"both line ends":          {"data: a\r\n\ndata: b\n\r\n", "data: a\r\n\ndata: b\n\r\n", "a|b", false},
		"no space":                {"data:a\n\n", "data:a\n\n", "a", false},
		"two spaces":              {"data:  a\n\n", "data:  a\n\n", " a", false},
		"no value":                {"data\n\ndata:\n\n", "data\n\ndata:\n\n", "|", false},
		"several lines":           {"data: a\ndata: b\ndata: c\n\n", "data: a\ndata: b\ndata: c\n\n", "a\nb\nc", false},
		"other fields":            {": comment\n\nid: 1\nevent: x\ndatabase: no\ndata: a\n\n", ": comment\n\nid: 1\nevent: x\ndatabase: no\ndata: a\n\n", "a", false},
		"more blank lines":        {"\n\n\ndata: a\n\n\n\n", "\n\n\ndata: a\n\n\n\n", "a", false},
		"one withheld":            {"data: a\n\ndata: hold\n\ndata: b\n\n", "data: a\n\ndata: b\n\n", "a|hold|b", false},
		"all withheld":            {"data: hold 1\n\ndata: hold 2\n\n", "", "hold 1|hold 2", false},
		"an end without a line":   {"data: a\n\ndata: b", "data: a\n\ndata: b\n\n", "a|b", true},
		"an end after half of it": {"data: a\n\ndata: b\n", "data: a\n\ndata: b\n\n", "a|b", true},
		"nothing":                 {"", "", "", false},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with the end": iotest.DataErrReader,
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				passed, data, unended, r := read(t, wrap(strings.NewReader(c.stream)))
				if passed != c.passed || strings.Join(data, "|") != c.data || unended != c.unended || r.Size() != int64(len(c.stream)) || r.Inside() {
					t.Fatalf("passed %q, data %q, unended %v, size %d", passed, data, unended, r.Size())
				}
			})
		}
	}
}

func TestALargeEventComesInPartsAndTheNextOneWhole(t *testing.T) {
	for _, end := range []string{"\n\n", "\r\n\r\n"} {
		stream := "data: a" + end + "data: " + strings.Repeat("x", 3*MaxEvent) + strings.Repeat("\ndata: y", 10) + end + "data: b" + end
		passed, data, _, r := read(t, strings.NewReader(stream))
		if passed != stream || data[0] != "a" || data[len(data)-1] != "b" || len(data) < 5 || r.Inside() {
			t.Fatalf("%d bytes of %d, %d events", len(passed), len(stream), len(data))
		}
		if cap(r.buf) > 3*MaxEvent {
			t.Fatalf("the buffer grew to %d", cap(r.buf))
		}
		r.Reset(nil)
		if cap(r.buf) > keepBuffer {
			t.Fatalf("a buffer of %d is kept", cap(r.buf))
		}
	}
	_, _, _, r := read(t, strings.NewReader("data: "+strings.Repeat("x", 2*MaxEvent)))
	if !r.Inside() {
		t.Fatal("an event without an end has ended")
	}
}

func TestTheRestOfATornStreamIsNotAnEvent(t *testing.T) {
	passed, data, _, _ := read(t, io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(iotest.ErrTimeout)))
	if passed != "data: a\n\n" || len(data) != 1 {
		t.Fatalf("%q %q", passed, data)
	}
}

// Whatever comes and in whatever pieces, every byte is passed on, once and in order, and the events are the same.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"data: a\n\ndata: b\n\n", "data: a\r\n\r\n", "\n\n\n", ": x\n\ndata", "data: hol\ndata: d\n\n\r\n", "\r\r\n\r", "a\x00b\n\n"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		stream := strings.ReplaceAll(string(b), "hold", "----")
		passed, data, unended, _ := read(t, strings.NewReader(stream))
		if passed != stream && !(strings.HasPrefix(passed, stream) && strings.Trim(passed[len(stream):], "\n") == "" && len(passed)-len(stream) <= 2) {
			t.Fatalf("%q became %q (unended %v)", stream, passed, unended)
		}
		again, data2, _, _ := read(t, &pieces{stream, int(piece)%7 + 1})
		if again != passed || strings.Join(data, "|") != strings.Join(data2, "|") {
			t.Fatalf("%q: %q in pieces, %q at once; data %q and %q", stream, again, passed, data2, data)
		}
	})
}

type pieces struct {
	rest string
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.rest == "" {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.n, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}
