package script

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"airfield/internal/app"
)

// server is a running airfield serve.
type server struct {
	cmd   *exec.Cmd
	log   string // a file of the script: NAME.log
	ended chan error
}

// serve starts a server and waits until it is ready: serve NAME FOLDER [FLAG…]. FOLDER has the airfield.yaml and, below it,
// the data folder. Its log is NAME.log; its address becomes $NAME_URL.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 2, args, "serve NAME FOLDER [FLAG…]")
	name, folder := args[0], ts.MkAbs(args[1])
	s := &server{log: ts.MkAbs(name + ".log"), ended: make(chan error, 1)}
	log, err := os.Create(s.log)
	ts.Check(err)
	defer log.Close()
	s.cmd = exec.Command(airfield(ts), append([]string{"serve", "--config", filepath.Join(folder, "airfield.yaml")}, args[2:]...)...)
	s.cmd.Env, s.cmd.Dir = environ(ts), folder
	s.cmd.Stdout, s.cmd.Stderr = log, log
	ts.Check(s.cmd.Start())
	go func() { s.ended <- s.cmd.Wait() }()
	sessionOf(ts).servers[name] = s
	ts.Defer(func() { s.kill() })

	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-s.ended:
			s.ended <- err
			ts.Fatalf("the server %s ended: %v\n%s", name, err, ts.ReadFile(s.log))
		default:
		}
		local, err := app.ReadLocal(filepath.Join(folder, "data"))
		if err == nil && local.Process == s.cmd.Process.Pid && ready(local.URL) {
			ts.Setenv(name+"_URL", local.URL)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the server %s was not ready within %s\n%s", name, patience, ts.ReadFile(s.log))
		}
	}
}

func ready(url string) bool {
	res, err := client.Get(url + "/readyz")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// airfield is the binary's path, as a shell of the script would find it.
func airfield(ts *testscript.TestScript) string {
	return filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "airfield")
}

// environ is the script's environment, as programs get it.
func environ(ts *testscript.TestScript) []string {
	var all []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TZ", "WORK", "AIRFIELD_SERVER_LISTEN", "AIRFIELD_DATABASE_URL", "AIRFIELD_DATABASE_PASSWORD", "AIRFIELD_BUCKET_URL", "PROVIDER_KEY"} {
		if v := ts.Getenv(name); v != "" {
			all = append(all, name+"="+v)
		}
	}
	return all
}

// halt ends a server the way systems do and asks that it ends well: halt NAME, or halt -kill NAME.
func halt(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 1, args, "halt [-kill] NAME")
	if args[0] == "-kill" {
		find(ts, args[1]).kill()
		return
	}
	s := find(ts, args[0])
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-s.ended:
		s.ended <- nil
		if err != nil {
			ts.Fatalf("the server did not end well: %v\n%s", err, ts.ReadFile(s.log))
		}
	case <-time.After(patience):
		ts.Fatalf("the server did not end within %s\n%s", patience, ts.ReadFile(s.log))
	}
	if text := ts.ReadFile(s.log); strings.Contains(text, "panic") || strings.Contains(text, "goroutine ") {
		ts.Fatalf("the server's log has a panic\n%s", text)
	}
}

// hup asks a server to load its configuration again: hup NAME
func hup(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 1, args, "hup NAME")
	ts.Check(find(ts, args[0]).cmd.Process.Signal(syscall.SIGHUP))
}

func find(ts *testscript.TestScript, name string) *server {
	s := sessionOf(ts).servers[name]
	if s == nil {
		ts.Fatalf("there is no server %s", name)
	}
	return s
}

// kill ends the process, whatever it is at, and waits until it is gone.
func (s *server) kill() {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return
	}
	s.ended <- <-s.ended
}

// provider starts a model API that asks for $PROVIDER_KEY, if that is set, and answers chats: provider NAME. Its address
// becomes $NAME_URL.
func provider(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 2, args, "provider NAME KEY")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"object":"list","data":[]}`)) })
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Model string `json:"model"`
		}
		json.NewDecoder(r.Body).Decode(&q)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{
			"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": q.Model,
			"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": "Good day from " + args[0] + "."}}},
			"usage":   map[string]any{"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
		})
	})
	l := listen(ts)
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+args[1] {
			http.Error(w, `{"error":{"message":"wrong key","type":"invalid_request_error"}}`, http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	ts.Setenv(args[0]+"_URL", "http://"+l.Addr().String())
}

// follow runs a command that ends only when it is interrupted: follow start ARG…; then follow first KEY METHOD URL BODY makes
// calls until it shows one; follow stop prints what it showed.
func follow(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 1, args, "follow start ARG… | first KEY METHOD URL BODY | stop")
	s := sessionOf(ts).servers["follow"]
	switch args[0] {
	case "start":
		s = &server{log: ts.MkAbs("follow.out"), ended: make(chan error, 1)}
		out, err := os.Create(s.log)
		ts.Check(err)
		defer out.Close()
		s.cmd = exec.Command(airfield(ts), args[1:]...)
		s.cmd.Env, s.cmd.Dir, s.cmd.Stdout = append(environ(ts), "AIRFIELD_CONFIG="+ts.Getenv("AIRFIELD_CONFIG")), ts.MkAbs("."), out
		ts.Check(s.cmd.Start())
		go func() { s.ended <- s.cmd.Wait() }()
		sessionOf(ts).servers["follow"] = s
		ts.Defer(s.kill)
	case "first":
		// It shows what ends after it began, and says nothing when it begins: so there are calls until one is shown.
		for deadline := time.Now().Add(patience); !strings.Contains(ts.ReadFile(s.log), "call_"); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				ts.Fatalf("no call was seen within %s", patience)
			}
			request(ts, false, append([]string{"-k"}, args[1:]...))
		}
	case "stop":
		ts.Check(s.cmd.Process.Signal(os.Interrupt))
		err := <-s.ended
		s.ended <- err
		ts.Check(err)
		ts.Stdout().Write([]byte(ts.ReadFile(s.log)))
	}
}

// seen waits until a file holds a pattern, over lines: seen one.log 'taken over'
func seen(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 2, args, "seen FILE PATTERN")
	pattern := regexp.MustCompile("(?s)" + args[1])
	for deadline := time.Now().Add(patience); !pattern.MatchString(ts.ReadFile(args[0])); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("%q was not seen in %s within %s\n%s", args[1], args[0], patience, ts.ReadFile(args[0]))
		}
	}
}
