package crash

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"airfield/test/binary"
	"airfield/test/upstream"
)

func TestMain(m *testing.M) { binary.Main(m) }

// installation is a server, its folder, and what tests here ask of them.
type installation struct{ *binary.Server }

// install makes an installation, in whose folder documents is for sources.
func install(t *testing.T, config string) *installation {
	t.Helper()
	s := &installation{binary.Install(t, config)}
	if err := os.Mkdir(s.Path("documents"), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// settled writes a document that was last changed a minute ago, so that no scan waits for it to be left alone.
func (s *installation) settled(name string, text []byte) {
	s.T.Helper()
	path := filepath.Join("documents", name)
	s.Write(path+".part", text) // a name that sources pass over
	before := time.Now().Add(-time.Minute)
	if err := errors.Join(os.Chtimes(s.Path(path+".part"), before, before), os.Rename(s.Path(path+".part"), s.Path(path))); err != nil {
		s.T.Fatal(err)
	}
}

// newUpstream starts a provider whose streams have so many events, with so much time between two of them, and before an answer
// of another kind.
func newUpstream(t *testing.T, events int, between time.Duration) *upstream.Upstream {
	return upstream.New(t, upstream.Options{Events: events, Default: upstream.Behaviour{Between: between}})
}

// question is a chat request.
func question(n int, stream bool) []byte { return upstream.Question("", n, stream) }
