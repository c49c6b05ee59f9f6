package gemini

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"airfield/internal/fault"
	"airfield/internal/gateway"
)

// key is how the provider shows who asks: an API key, a token, or a service account for which tokens are got.
type key struct {
	name, value string // of the header; empty where there is none
	account     *account
}

// newKey takes api_key: the JSON of a service account, a token for Vertex AI, or a key of the Gemini API.
func newKey(c gateway.ProviderConfig, vertex bool) (key, error) {
	text := strings.TrimSpace(c.APIKey.Reveal())
	switch {
	case strings.HasPrefix(text, "{"):
		a, err := newAccount([]byte(text), c.Timeouts.Connect)
		return key{account: a}, err
	case text == "":
		return key{}, nil
	case vertex:
		return key{name: "Authorization", value: "Bearer " + text}, nil
	}
	return key{name: "X-Goog-Api-Key", value: text}, nil
}

// secrets are what must not be told to anybody else.
func (k *key) secrets() []string {
	switch {
	case k.account != nil:
		return []string{string(k.account.config.PrivateKey)}
	case k.value != "":
		return []string{strings.TrimPrefix(k.value, "Bearer ")}
	}
	return nil
}

// header shows who asks; token is what was got for it and is as secret as a key.
func (k *key) header(ctx context.Context) (h http.Header, token string, err error) {
	if k.account == nil {
		if k.name == "" {
			return nil, "", nil
		}
		return http.Header{k.name: {k.value}}, "", nil
	}
	if token, err = k.account.token(ctx); err != nil {
		return nil, "", err
	}
	return http.Header{"Authorization": {"Bearer " + token}}, token, nil
}

// account gets tokens for a service account (https://developers.google.com/identity/protocols/oauth2/service-account).
// One is used until shortly before it expires, by all calls.
type account struct {
	config jwt.Config
	client *http.Client

	turn  chan struct{} // whoever holds it may get a token
	mu    sync.Mutex
	value string
	until time.Time
}

const (
	scope      = "https://www.googleapis.com/auth/cloud-platform"
	tokenTime  = 10 * time.Second // to get one
	tokenSlack = 2 * time.Minute  // before it expires
)

func newAccount(text []byte, connect time.Duration) (*account, error) {
	var file struct {
		Type         string `json:"type"`
		ClientEmail  string `json:"client_email"`
		PrivateKey   string `json:"private_key"`
		PrivateKeyID string `json:"private_key_id"`
		TokenURI     string `json:"token_uri"`
	}
	if json.Unmarshal(text, &file) != nil { // what it says would quote the file
		return nil, errors.New("api_key begins as JSON and is none")
	}
	u, err := url.Parse(file.TokenURI)
	switch {
	case file.Type != "service_account" || file.ClientEmail == "" || file.PrivateKey == "":
		return nil, fmt.Errorf("api_key is JSON, but not the key of a service account: its type is %q", file.Type)
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Hostname() != "127.0.0.1":
		return nil, errors.New("api_key: token_uri of the service account is not an https address")
	}
	a := &account{turn: make(chan struct{}, 1), config: jwt.Config{
		Email: file.ClientEmail, PrivateKey: []byte(file.PrivateKey), PrivateKeyID: file.PrivateKeyID, TokenURL: file.TokenURI, Scopes: []string{scope},
	}}
	a.client = &http.Client{Timeout: tokenTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return a, nil
}

func (a *account) current() (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.value, time.Now().Before(a.until)
}

func (a *account) token(ctx context.Context) (string, error) {
	if value, ok := a.current(); ok {
		return value, nil
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if value, ok := a.current(); ok { // got meanwhile by another call
		return value, nil
	}
	t, err := a.config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, a.client)).Token()
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fault.New(fault.Unavailable, "upstream_token", "no token was given for the service account: %s", tokenProblem(err))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.value, a.until = t.AccessToken, t.Expiry.Add(-tokenSlack)
	return t.AccessToken, nil
}

// tokenProblem says why without what was sent or answered, which is nobody's business.
func tokenProblem(err error) string {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil {
		return fmt.Sprintf("the answer was status %d", refused.Response.StatusCode)
	}
	var away *url.Error
	if errors.As(err, &away) {
		return "its token_uri does not answer"
	}
	return "its private_key cannot be used"
}
