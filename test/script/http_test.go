package script

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// client takes every certificate: what a server shows is looked at with serving.
var client = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

// request sends a request and prints the status, some headers and the body:
//
//	http [-k KEY] [-h 'Name: value'] [-long BYTES] [-size BYTES] METHOD URL [BODY|@FILE]
func request(ts *testscript.TestScript, neg bool, args []string) {
	header := http.Header{}
	size := int64(0)
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-k":
			header.Set("Authorization", "Bearer "+args[1])
		case "-h":
			name, value, _ := strings.Cut(args[1], ":")
			header.Add(name, strings.TrimSpace(value))
		case "-size":
			n, err := strconv.ParseInt(args[1], 10, 64)
			ts.Check(err)
			size = n
		case "-long":
			n, err := strconv.Atoi(args[1])
			ts.Check(err)
			header.Set("X-Long", strings.Repeat("a", n))
		default:
			ts.Fatalf("there is no %s", args[0])
		}
		args = args[2:]
	}
	refuseNot(ts, neg, 2, args, "http [-k KEY] [-h HEADER] [-size BYTES] METHOD URL [BODY|@FILE]")
	var body io.Reader
	if len(args) > 2 {
		text := args[2]
		if name, ok := strings.CutPrefix(text, "@"); ok {
			text = ts.ReadFile(name)
		}
		body = strings.NewReader(text)
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/json")
		}
	}
	if size > 0 {
		body = io.LimitReader(letters{}, size)
	}
	req, err := http.NewRequest(args[0], args[1], body)
	ts.Check(err)
	if size > 0 {
		req.ContentLength = size
	}
	req.Header = header
	res, err := client.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	ts.Check(err)
	fmt.Fprintln(ts.Stdout(), res.Status)
	for _, name := range []string{"Content-Type", "Allow", "Www-Authenticate", "X-Airfield-Call-Id", "X-Airfield-Cost-Usd", "X-Airfield-Cache", "X-Airfield-Degraded", "X-Airfield-Prompt-Version", "Traceparent"} {
		if v := res.Header.Get(name); v != "" {
			fmt.Fprintf(ts.Stdout(), "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(ts.Stdout(), "\n%s\n", strings.TrimRight(string(text), "\n"))
}

// letters is a body without an end.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func listen(ts *testscript.TestScript) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	return l
}

// serving waits until a server shows a certificate with a name: serving URL NAME
func serving(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 2, args, "serving URL NAME")
	seen := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(args[0], "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			ts.Fatalf("%v", err)
		}
		seen = conn.ConnectionState().PeerCertificates[0].Subject.CommonName
		conn.Close()
		if seen == args[1] {
			return
		}
	}
	ts.Fatalf("the certificate is of %s, not of %s", seen, args[1])
}

// certificate makes a self-signed pair: certificate NAME CERT KEY
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 3, args, "certificate NAME CERT KEY")
	cert, key, err := selfSigned(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), key, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), cert, 0o644))
}

// roles asks which of the script's keys may do something: roles METHOD PATH KEY… The others must get 403, and these not.
func roles(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 3, args, "roles METHOD PATH KEY…")
	for _, role := range []string{"WORKFLOW", "OPERATOR", "AUDITOR", "VIEWER", "ADMIN"} {
		key := ts.Getenv(role)
		req, err := http.NewRequest(args[0], ts.Getenv("one_URL")+args[1], strings.NewReader("{}"))
		ts.Check(err)
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		ts.Check(err)
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if may := slices.Contains(args[2:], key); may == (res.StatusCode == http.StatusForbidden) || res.StatusCode == http.StatusUnauthorized || res.StatusCode >= 500 {
			ts.Fatalf("%s %s as %s: status %d, may %v", args[0], args[1], role, res.StatusCode, may)
		}
	}
}
