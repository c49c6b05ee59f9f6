package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// roleVariable makes this program serve one role instead of measuring.
const roleVariable = "LOAD_ROLE"

// process is a server that was started to be measured. It is ended by its pid.
type process struct {
	name string
	cmd  *exec.Cmd
	errs *bytes.Buffer
	addr string
	done chan struct{}
}

// startRole runs this program again in a role and waits for the address it prints.
func startRole(ctx context.Context, role string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := begin(role, cmd)
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s did not start: %s", role, p.errs)
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

func begin(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, errs: &bytes.Buffer{}, done: make(chan struct{})}
	cmd.Stderr = &tail{to: p.errs}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop asks the process to end, and ends it if it does not.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// ticks per second of the kernel's accounting, the same on every Linux of today.
const ticks = 100

// cpu is the processor time the process has used, from /proc: Linux only.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of %s: %w", p.name, err)
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat has an unknown form")
	}
	var sum int64
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// peak is the most resident memory the process has had, in bytes.
func (p *process) peak() (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("/proc/PID/status has no VmHWM")
}

// tail keeps the last of what a process says on standard error.
type tail struct{ to *bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if t.to.Len() > 64<<10 {
		t.to.Next(t.to.Len() - 32<<10)
	}
	return t.to.Write(p)
}
