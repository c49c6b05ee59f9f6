package scale

import (
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// link is a way to a database that can be cut (connections end, and none is accepted) or halted (they are there, and nothing
// comes through), until it is mended.
type link struct {
	t        *testing.T
	network  string
	target   string
	address  string
	mu       sync.Mutex
	listener net.Listener // nil while it is cut
	open     map[net.Conn]bool
	halted   sync.RWMutex // held while nothing comes through
	wait     sync.WaitGroup
}

// newLink leads to the server of a database, and returns its address by that way.
func newLink(t *testing.T, database string) (*link, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l := &link{t: t, open: map[net.Conn]bool{}, network: "tcp", target: u.Host, address: "127.0.0.1:0"}
	q := u.Query()
	if folder := q.Get("host"); strings.HasPrefix(folder, "/") {
		l.network, l.target = "unix", filepath.Join(folder, ".s.PGSQL.5432")
	} else if u.Port() == "" {
		l.target = net.JoinHostPort(u.Hostname(), "5432")
	}
	l.Mend()
	t.Cleanup(func() { l.Cut(); l.wait.Wait() })
	q.Del("host")
	q.Set("sslmode", "disable")
	u.Host, u.RawQuery = l.address, q.Encode()
	return l, u.String()
}

// Mend lets connections through, at the same address as before.
func (l *link) Mend() {
	l.t.Helper()
	var listener net.Listener
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if listener, err = net.Listen("tcp", l.address); err == nil {
			break
		}
		if time.Now().After(end) {
			l.t.Fatal(err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.address, l.listener = listener.Addr().String(), listener
	l.wait.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			l.wait.Go(func() { l.carry(listener, c) })
		}
	})
}

// Halt lets nothing through, until Resume.
func (l *link) Halt() { l.halted.Lock() }

// Resume lets through what waits.
func (l *link) Resume() { l.halted.Unlock() }

// gate writes to a connection what the link lets through.
type gate struct {
	net.Conn
	link *link
}

func (g gate) Write(b []byte) (int, error) {
	g.link.halted.RLock()
	defer g.link.halted.RUnlock()
	return g.Conn.Write(b)
}

// Cut ends every connection, and refuses new ones.
func (l *link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener == nil {
		return
	}
	l.listener.Close()
	l.listener = nil
	for c := range l.open {
		c.Close()
	}
}

func (l *link) carry(of net.Listener, c net.Conn) {
	defer c.Close()
	to, err := net.Dial(l.network, l.target)
	if err != nil {
		return
	}
	defer to.Close()
	l.mu.Lock()
	if l.listener != of {
		l.mu.Unlock()
		return
	}
	l.open[c], l.open[to] = true, true
	l.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, to}, {to, c}} {
		both.Go(func() {
			io.Copy(gate{way[0], l}, way[1])
			way[0].Close()
		})
	}
	both.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
	delete(l.open, to)
}
