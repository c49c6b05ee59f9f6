package postgres

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// message writes as the database does: numbers, texts that end with a zero, and bytes as they are.
func message(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case byte:
			b = append(b, p)
		case rune:
			b = append(b, byte(p))
		case uint16:
			b = binary.BigEndian.AppendUint16(b, p)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, p)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, p)
		case string:
			b = append(append(b, p...), 0)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

func text(s string) []byte { return append(message('t', uint32(len(s))), s...) }

func tuple(values ...[]byte) []byte {
	return append(message(uint16(len(values))), slices.Concat(values...)...)
}

var (
	unchanged = []byte("u")
	null      = []byte("n")
	theTable  = message('R', uint32(7), "public", "goods", 'd', uint16(2), byte(1), "id", uint32(23), uint32(0), byte(0), "note", uint32(25), uint32(0))
	another   = message('R', uint32(8), "public", "other", 'd', uint16(1), byte(1), "id", uint32(23), uint32(0))
	opening   = message('B', uint64(10), uint64(0), uint32(1))
	closing   = message('C', byte(0), uint64(10), uint64(20), uint64(0))
)

func TestTouchedRowsAreRememberedOnceTheirTransactionEnds(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes [][]byte
		keys    []string
		whole   bool
	}{
		{"an insertion", [][]byte{message('I', uint32(7), 'N', tuple(text("1"), text("x")))}, []string{"1.json"}, false},
		{"an update that leaves a large value out", [][]byte{message('U', uint32(7), 'N', tuple(text("1"), unchanged))}, []string{"1.json"}, false},
		{"an update of the key", [][]byte{message('U', uint32(7), 'K', tuple(text("1"), null), 'N', tuple(text("2"), unchanged))}, []string{"1.json", "2.json"}, false},
		{"a large key that did not change", [][]byte{message('U', uint32(7), 'O', tuple(text("1"), null), 'N', tuple(unchanged, text("y")))}, []string{"1.json"}, false},
		{"a large key of which nothing is known", [][]byte{message('U', uint32(7), 'N', tuple(unchanged, text("y")))}, nil, true},
		{"a deletion", [][]byte{message('D', uint32(7), 'K', tuple(text("3"), null))}, []string{"3.json"}, false},
		{"a deletion of which the key is not told", [][]byte{message('D', uint32(7), 'K', tuple(null, null))}, nil, true},
		{"a truncation", [][]byte{message('I', uint32(7), 'N', tuple(text("1"), null)), message('T', uint32(2), byte(0), uint32(8), uint32(7))}, nil, true},
		{"another table", [][]byte{message('I', uint32(8), 'N', tuple(text("1"))), message('T', uint32(1), byte(0), uint32(8))}, nil, false},
		{"messages of others", [][]byte{message('O', uint64(1), "x"), message('Y', uint32(1), "a", "b"), message('M', byte(0))}, nil, false},
		{"fewer columns than before", [][]byte{message('I', uint32(7), 'N', tuple())}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stream{schema: "public", name: "goods", key: []string{"id"}, relations: map[uint32]followed{}, notify: make(chan struct{}, 1)}
			send := func(list ...[]byte) {
				t.Helper()
				for _, m := range list {
					parsed, err := parse(m)
					if err == nil {
						err = s.heard(parsed)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			send(opening, theTable, another)
			send(c.changes...)
			s.idle(15)
			if b := s.take(); len(b.keys) > 0 || b.whole || b.at != 0 {
				t.Errorf("before the end: %+v", b)
			}
			send(closing)
			b := s.take()
			var keys []string
			for key := range b.keys {
				keys = append(keys, key)
			}
			slices.Sort(keys)
			if !slices.Equal(keys, c.keys) || b.whole != c.whole || b.at != 20 {
				t.Errorf("%q %+v", keys, b)
			}
			s.idle(30)
			if b := s.take(); b.at != 30 || len(b.keys) > 0 {
				t.Errorf("when idle: %+v", b)
			}
		})
	}
}

func TestTooManyTouchedRowsAreAllOfThem(t *testing.T) {
	var b batch
	for i := range mostKeys + 1 {
		b.touch(itemKey([]string{string(rune('a' + i%26)), string(binary.BigEndian.AppendUint32(nil, uint32(i)))}))
	}
	if !b.whole || b.keys != nil {
		t.Errorf("%d keys are kept", len(b.keys))
	}
}

func TestAnIdentityWithoutTheKeyIsRefused(t *testing.T) {
	s := &stream{schema: "public", name: "goods", key: []string{"note"}, relations: map[uint32]followed{}}
	m, err := parse(theTable)
	if err != nil || s.heard(m) == nil {
		t.Error("deletions could not be told", err)
	}
}

func TestPlacesInTheLog(t *testing.T) {
	for _, text := range []string{"0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"} {
		if at, err := place(text); err != nil || placeText(at) != text {
			t.Errorf("%s: %s %v", text, placeText(at), err)
		}
	}
	for _, text := range []string{"", "1", "x/1", "100000000/0"} {
		if _, err := place(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// FuzzParse holds that no message takes the reader down, and that each is refused or whole.
func FuzzParse(f *testing.F) {
	for _, m := range [][]byte{theTable, another, opening, closing, message('U', uint32(7), 'K', tuple(text("1"), null), 'N', tuple(text("2"), unchanged)),
		message('D', uint32(7), 'O', tuple(text("3"), null)), message('T', uint32(1<<31), byte(0), uint32(7)), message('I', uint32(7), 'N', uint16(65535), 't', uint32(1<<32-1))} {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &stream{schema: "public", name: "goods", key: []string{"id"}, relations: map[uint32]followed{7: {ours: true, at: []int{0}}}, notify: make(chan struct{}, 1)}
		m, err := parse(b)
		if err != nil && !errors.Is(err, errTorn) {
			t.Fatal(err)
		}
		if err == nil {
			s.heard(m)
		}
		s.data(b)
	})
}
