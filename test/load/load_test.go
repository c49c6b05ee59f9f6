package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestTheRequestIsWhatItIsSaidToBe(t *testing.T) {
	if len(body) != 500 || !json.Valid(body) {
		t.Fatalf("%d bytes: %s", len(body), body)
	}
}

func TestPercentilesAndMedians(t *testing.T) {
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(100-i))
	}
	if percentile(all, 0.5) != 51 || percentile(all, 0.99) != 100 || percentile(all, 1) != 100 || percentile(nil, 0.5) != 0 {
		t.Error(percentile(all, 0.5), percentile(all, 0.99), percentile(all, 1))
	}
	if median([]float64{3, 1, 2}) != 2 || median([]float64{4, 1, 2, 3}) != 2.5 || median(nil) != 0 {
		t.Error("median")
	}
}

func TestTheClientReadsAnswersAndNoticesErrors(t *testing.T) {
	for text, wrong := range map[string]string{
		"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc":            "",
		"HTTP/1.1 503 Away\r\nContent-Length: 3\r\n\r\nabc":          "503 Away: abc",
		"HTTP/1.1 200 OK\r\n\r\n":                                    "without a length",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc":            "EOF",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc":            "invalid syntax",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n": "without a length",
	} {
		err := readAnswer(bufio.NewReader(strings.NewReader(text)))
		if (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestBothLoopsCountWhatWasAnswered(t *testing.T) {
	served := 0
	seen := make(chan string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		select {
		case seen <- r.Header.Get("Authorization") + string(b):
		default:
		}
		mock(w, r)
	}))
	defer s.Close()
	target := &target{name: "x", addr: s.Listener.Addr().String(), key: "k"}
	n, _, err := saturate(context.Background(), target, 2, 50*time.Millisecond)
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
	served += int(n)
	if got := <-seen; got != "Bearer k"+string(body) {
		t.Fatal(got)
	}
	took, err := steady(context.Background(), target, 100, 100*time.Millisecond)
	if err != nil || len(took) != 10 {
		t.Fatal(len(took), err)
	}
	if target.made.Load() != int64(served+10) {
		t.Fatal(target.made.Load())
	}
	bad := httptest.NewServer(http.NotFoundHandler())
	defer bad.Close()
	target.addr = bad.Listener.Addr().String()
	if _, _, err := saturate(context.Background(), target, 1, 50*time.Millisecond); err == nil {
		t.Fatal("404 is not an answer")
	}
	if _, err := steady(context.Background(), target, 100, 50*time.Millisecond); err == nil {
		t.Fatal("404 is not an answer")
	}
}
