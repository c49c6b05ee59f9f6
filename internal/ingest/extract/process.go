package extract

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// process is one extracting process as its parent holds it.
type process struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	replies chan reply    // closed when the process ends or breaks the protocol
	quit    chan struct{} // closed by kill
	ended   chan struct{} // closed when the process has been waited for
	once    sync.Once
	heavy   atomic.Bool
	stderr  tail

	files int
	since time.Time // when it became idle
}

// start runs the command with an empty environment: nothing that this process knows is the business of a process that
// opens strangers' files.
func start(command []string, dir string) (*process, error) {
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find own executable: %w", err)
		}
		command = []string{self, "extract-child"}
	}
	p := &process{replies: make(chan reply), quit: make(chan struct{}), ended: make(chan struct{})}
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Dir = dir
	p.cmd.Env = []string{"TMPDIR=" + dir, "LANG=C.UTF-8"}
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = 5 * time.Second
	// A group of its own: an interrupt at the terminal is for the parent, which drains.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("open pipe: %w", err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("open pipe: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	go p.receive(stdout)
	return p, nil
}

// receive passes replies on until the pipe ends, then reaps the process.
func (p *process) receive(stdout io.Reader) {
	r := bufio.NewReaderSize(stdout, 64<<10)
	for open := true; open; {
		var answer reply
		if err := readFrame(r, &answer); err != nil {
			break
		}
		select {
		case p.replies <- answer:
		case <-p.quit:
			open = false
		}
	}
	// The group, so that a program it started ends too; before it is reaped, while its number is still its own.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	_ = p.cmd.Wait()
	close(p.ended)
	close(p.replies)
}

func (p *process) send(r request) error { return writeFrame(p.stdin, r) }

// kill ends the process and returns when it is reaped.
func (p *process) kill() {
	p.once.Do(func() {
		close(p.quit)
		_ = p.cmd.Process.Kill()
		_ = p.stdin.Close()
	})
	<-p.ended
}

func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	case <-p.quit:
		return true
	default:
		return false
	}
}

// exit describes how the process ended, once it has.
func (p *process) exit() string { return p.cmd.ProcessState.String() }

// overweight reports whether it died of the memory limit: ours, the kernel's, or its runtime's.
func (p *process) overweight() bool {
	return p.heavy.Load() || strings.Contains(p.stderr.String(), "out of memory") || strings.Contains(p.stderr.String(), "cannot allocate memory")
}

const watchEvery = 50 * time.Millisecond

// watch kills the process when its resident memory passes the limit; the returned function ends the watch.
func (p *process) watch(limit int64) (stop func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-p.ended:
				return
			case <-tick.C:
				if size, err := resident(p.cmd.Process.Pid); err == nil && size > limit {
					p.heavy.Store(true)
					p.kill()
					return
				}
			}
		}
	}()
	return func() { close(done) }
}

// tail keeps the first and the last of what is written to it: a crash says what it is in its first line, and where in
// its last.
type tail struct {
	mu          sync.Mutex
	first, last []byte
}

const tailBytes = 2 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := b
	if n := min(tailBytes-len(t.first), len(rest)); n > 0 {
		t.first, rest = append(t.first, rest[:n]...), rest[n:]
	}
	t.last = append(t.last, rest...)
	if over := len(t.last) - tailBytes; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.first) + string(t.last)
}
