package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"airfield/internal/fault"
	"airfield/internal/secret"
)

const (
	origin      = "https://storage.googleapis.com"
	scope       = "https://www.googleapis.com/auth/devstorage.read_write"
	connectTime = 5 * time.Second
	answerTime  = 60 * time.Second // until an answer begins
	tokenTime   = 10 * time.Second
	tries       = 4
	firstPause  = 200 * time.Millisecond
	maxAnswer   = 16 << 20 // bytes of JSON: a page of a thousand names is far below
)

// Client asks for the objects of one bucket.
type Client struct {
	place Place
	base  string
	http  *http.Client
	token func() (string, error) // nil: nobody is named
}

// Open makes a client. It asks nothing. credentials is the key file of a service account; where it is empty it is what
// Google's own tools find: GOOGLE_APPLICATION_CREDENTIALS, gcloud's login, a workload identity, the machine.
func (p Place) Open(credentials secret.Value) (*Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: connectTime}).DialContext
	transport.ResponseHeaderTimeout = answerTime
	transport.MaxIdleConnsPerHost = 64
	transport.DisableCompression = true // an object that was stored compressed comes as it was before
	c := &Client{place: p, base: origin, http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if p.Endpoint != "" {
		c.base = strings.TrimSuffix(p.Endpoint, "/")
	}
	switch ref := credentials.Ref(); {
	case p.Anonymous && (ref != "" || !credentials.Empty()):
		return nil, fault.New(fault.Invalid, "gcs_credentials", "anonymous and credentials exclude each other")
	case p.Anonymous:
		return c, nil
	case ref != "" && credentials.Empty():
		return nil, fault.New(fault.Invalid, "gcs_credentials", "the credentials %s are not set or empty", ref)
	}
	tokens := &tokens{credentials: credentials, client: &http.Client{Timeout: tokenTime}}
	if !credentials.Empty() {
		if err := tokens.find(); err != nil {
			return nil, err
		}
	}
	c.token = tokens.get
	return c, nil
}

// tokens finds out who asks when it is first needed, as that may mean to ask the machine's metadata.
type tokens struct {
	credentials secret.Value
	client      *http.Client

	mu     sync.Mutex
	source oauth2.TokenSource
}

func (t *tokens) find() error {
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, t.client) // what is found lives as long as the process
	var found *google.Credentials
	var err error
	if t.credentials.Empty() {
		found, err = google.FindDefaultCredentials(ctx, scope)
	} else if found, err = google.CredentialsFromJSONWithType(ctx, []byte(t.credentials.Reveal()), google.ServiceAccount, scope); err != nil {
		err = errors.New("they are not the key file of a service account") // what it says may quote the file
	}
	if err != nil {
		return fault.New(fault.Unavailable, "bucket_credentials", "no credentials were found for Google Cloud Storage: %w", err).
			Hinted("give credentials, or what Google's own tools read: GOOGLE_APPLICATION_CREDENTIALS, gcloud auth application-default login, the machine's service account")
	}
	t.source = oauth2.ReuseTokenSource(nil, found.TokenSource)
	return nil
}

func (t *tokens) get() (string, error) {
	t.mu.Lock()
	if t.source == nil {
		if err := t.find(); err != nil {
			t.mu.Unlock()
			return "", err
		}
	}
	source := t.source
	t.mu.Unlock()
	token, err := source.Token()
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) && refused.Response != nil { // its text holds what was sent
			err = fmt.Errorf("the answer was status %d", refused.Response.StatusCode)
		}
		return "", fault.New(fault.Unavailable, "bucket_credentials", "no token was given for Google Cloud Storage: %w", err)
	}
	return token.AccessToken, nil
}

// request is one that can be sent again.
type request struct {
	method string
	url    string
	header map[string]string
	body   func() io.Reader // nil: none
	size   int64
}

// answered is a status that is no success.
type answered struct {
	status  int
	message string
}

func (a *answered) Error() string {
	if a.message == "" {
		return fmt.Sprintf("status %d", a.status)
	}
	return fmt.Sprintf("status %d: %s", a.status, a.message)
}

// send sends a request until it is answered with something other than a hint to try later. The caller closes the body.
func (c *Client) send(ctx context.Context, r request) (res *http.Response, err error) {
	pause := firstPause
	for try := 1; ; try++ {
		if res, err = c.sendOnce(ctx, r); err == nil || try == tries || !again(err) || ctx.Err() != nil {
			return res, err
		}
		wait := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil, context.Cause(ctx)
		case <-wait.C:
		}
		pause *= 2
	}
}

func again(err error) bool {
	var a *answered
	if errors.As(err, &a) {
		return a.status == http.StatusRequestTimeout || a.status == http.StatusTooManyRequests || a.status >= 500
	}
	return network(err)
}

func network(err error) bool {
	var u *url.Error
	return errors.As(err, &u)
}

func (c *Client) sendOnce(ctx context.Context, r request) (*http.Response, error) {
	var body io.Reader
	if r.body != nil {
		body = r.body()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		return nil, err
	}
	if r.body != nil {
		req.ContentLength = r.size
		if r.size == 0 {
			req.Body = http.NoBody
		}
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	if c.token != nil {
		token, err := c.token()
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 || res.StatusCode == http.StatusPermanentRedirect { // the latter: an upload goes on
		return res, nil
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	var told struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(text, &told) != nil { // some answers are plain text
		told.Error.Message = strings.TrimSpace(string(text[:min(len(text), 200)]))
	}
	return nil, &answered{res.StatusCode, told.Error.Message}
}

// decode reads an answer of JSON.
func decode(res *http.Response, into any) error {
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("the answer is not what Google Cloud Storage would give: %w", err)
	}
	return nil
}

// Gone reports whether an error says that there is no such object.
func Gone(err error) bool {
	var a *answered
	return errors.As(err, &a) && a.status == http.StatusNotFound
}

// Explain says what a failed request means. What is wrong is with the server's own configuration or with the store,
// never with who asked the server: so none of it is a refusal.
func (p Place) Explain(doing string, err error) error {
	var known *fault.Fault
	var a *answered
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.As(err, &a) && a.status == http.StatusNotFound:
		return fault.New(fault.Unavailable, "bucket_missing", "there is no bucket %s: %w", p.Bucket, err).Hinted("make it, or correct its address")
	case errors.As(err, &a) && (a.status == http.StatusForbidden || a.status == http.StatusUnauthorized):
		return fault.New(fault.Unavailable, "bucket_denied", "the bucket %s refuses us: %w", p.Bucket, err).
			Hinted("give these credentials the rights that docs/guides/s3-and-gcs.md lists")
	case again(err):
		return fault.New(fault.Unavailable, "bucket_away", "the bucket %s does not answer: %w", p.Bucket, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
