package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// target is a server under measurement.
type target struct {
	name string
	addr string
	key  string
	made atomic.Int64 // requests answered with 200 over the whole run
}

const path = "/v1/chat/completions"

// body is a request of 500 bytes.
var body = func() []byte {
	frame := `{"model":"` + benchModel + `","max_tokens":128,"messages":[{"role":"system","content":"You answer questions about parcels."},{"role":"user","content":"%s"}]}`
	filler := strings.Repeat("Where is the parcel that was sent last week? ", 20)
	return fmt.Appendf(nil, frame, filler[:500-(len(frame)-2)])
}()

// saturate keeps the connections busy, each with one request after the other, and returns how many were answered.
// The client speaks just enough HTTP to leave the processor to those that are measured.
func saturate(ctx context.Context, t *target, connections int, d time.Duration) (answered int64, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var count atomic.Int64
	errs := make(chan error, connections)
	var group sync.WaitGroup
	start := time.Now()
	for range connections {
		group.Go(func() {
			n, err := loop(ctx, t)
			count.Add(n)
			if err != nil {
				errs <- err
			}
		})
	}
	group.Wait()
	took = time.Since(start)
	t.made.Add(count.Load())
	select {
	case err = <-errs:
		err = fmt.Errorf("%s: %w", t.name, err)
	default:
	}
	return count.Load(), took, err
}

func loop(ctx context.Context, t *target) (n int64, err error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", t.addr)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil
		}
		return 0, err
	}
	defer conn.Close()
	request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, t.addr, t.key, len(body), body)
	in := bufio.NewReaderSize(conn, 8<<10)
	for ctx.Err() == nil {
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Write(request); err != nil {
			return n, err
		}
		if err := readAnswer(in); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// readAnswer reads one response that has a length, and minds nothing but its status.
func readAnswer(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	good := bytes.Contains(line, []byte(" 200 "))
	status := strings.TrimSpace(string(line))
	length := -1
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		const name = "content-length:"
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without a length")
	}
	if good {
		_, err = in.Discard(length)
		return err
	}
	text, _ := io.ReadAll(io.LimitReader(in, int64(min(length, 300))))
	return fmt.Errorf("%s: %s", status, text)
}

// steady sends requests at a rate whatever the answers do, and returns the latencies of those that were answered.
func steady(ctx context.Context, t *target, rate int, d time.Duration) ([]time.Duration, error) {
	attacker := vegeta.NewAttacker(vegeta.Workers(64), vegeta.MaxWorkers(512), vegeta.Connections(256), vegeta.Timeout(10*time.Second))
	targeter := vegeta.NewStaticTargeter(vegeta.Target{
		Method: "POST", URL: "http://" + t.addr + path, Body: body,
		Header: map[string][]string{"Authorization": {"Bearer " + t.key}, "Content-Type": {"application/json"}},
	})
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	var took []time.Duration
	var failed error
	for r := range attacker.Attack(targeter, vegeta.Rate{Freq: rate, Per: time.Second}, d, t.name) {
		if r.Error != "" || r.Code != 200 {
			failed = fmt.Errorf("%s at %d a second: status %d %s", t.name, rate, r.Code, r.Error)
			continue
		}
		took = append(took, r.Latency)
	}
	t.made.Add(int64(len(took)))
	return took, failed
}
