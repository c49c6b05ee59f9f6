package gemini

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/secret"
)

func send(t *testing.T, p gateway.Provider, surface llm.Surface, body string) (*gateway.Response, string) {
	t.Helper()
	r, err := p.Send(context.Background(), &gateway.Attempt{Surface: surface, Model: "gemini-embedding-001", Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(b)
}

func TestAServiceAccountGetsOneTokenForManyCalls(t *testing.T) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	var status atomic.Int32
	status.Store(403)
	google := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/token" {
			asked.Add(1)
			if s := int(status.Load()); s != 200 {
				w.WriteHeader(s)
				io.WriteString(w, `{"error":"invalid_grant secret-assertion"}`)
				return
			}
			io.WriteString(w, `{"access_token":"ya29.secret","expires_in":3600,"token_type":"Bearer"}`)
			return
		}
		if r.Header.Get("Authorization") != "Bearer ya29.secret" || !strings.HasSuffix(r.URL.Path, "/models/gemini-embedding-001:generateContent") {
			t.Errorf("%s %v", r.URL.Path, r.Header)
		}
		w.WriteHeader(403)
		io.WriteString(w, `{"error":{"message":"no `+r.Header.Get("Authorization")+`"}}`)
	}))
	defer google.Close()
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "a@b.iam.gserviceaccount.com", "token_uri": google.URL + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New("vertex", gateway.ProviderConfig{BaseURL: google.URL + "/v1/projects/p/locations/l/publishers/google", APIKey: secret.New(string(account))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, err = p.Send(context.Background(), &gateway.Attempt{Surface: Surface, Model: "gemini-embedding-001", Body: []byte(`{}`)})
	if f := fault.As(err); err == nil || f.Kind != fault.Unavailable || strings.Contains(err.Error(), "secret") {
		t.Fatal(err)
	}
	status.Store(200)
	for range 3 {
		r, body := send(t, p, Surface, `{}`)
		if r.Status != 403 || strings.Contains(body, "secret") || strings.Contains(string(r.Clean([]byte("ya29.secret"))), "secret") {
			t.Errorf("%d %s", r.Status, body)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("%d tokens were asked for", n)
	}
}

func TestKeysThatCannotBeUsedAreRefused(t *testing.T) {
	for _, text := range []string{`{`, `{}`, `{"type":"authorized_user"}`, `{"type":"service_account","client_email":"a","private_key":"very secret","token_uri":"http://elsewhere.example"}`} {
		if _, err := New("x", gateway.ProviderConfig{APIKey: secret.New(text)}, nil); err == nil || strings.Contains(err.Error(), "very secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestEmbeddingsAreAskedForInPortionsAndCounted(t *testing.T) {
	var paths []string
	var texts int
	google := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		var q struct {
			Requests []struct {
				Size int `json:"outputDimensionality"`
			}
			Instances  []struct{ Content string }
			Parameters struct{ OutputDimensionality int }
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		if len(q.Instances) > 0 {
			io.WriteString(w, `{"predictions":[{"embeddings":{"values":[3,4],"statistics":{"token_count":5,"truncated":false}}}]}`)
			return
		}
		texts += len(q.Requests)
		io.WriteString(w, `{"embeddings":[`+strings.TrimSuffix(strings.Repeat(`{"values":[3,4]},`, len(q.Requests)), ",")+`]}`)
	}))
	defer google.Close()
	p, err := New("gemini", gateway.ProviderConfig{BaseURL: google.URL + "/v1beta", APIKey: secret.New("k")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	many, _ := json.Marshal(map[string]any{"input": strings.Split(strings.Repeat("word ", 150)+"word", " "), "dimensions": 2})
	r, body := send(t, p, llm.Embeddings, string(many))
	u := r.Meter.Reading().Usage
	if len(paths) != 2 || texts != 151 || strings.Count(body, `"embedding":[0.6,0.8]`) != 151 || u.Source != llm.Counted || u.Input < 151 {
		t.Errorf("%v, %d texts, %+v", paths, texts, u)
	}
	v, err := New("vertex", gateway.ProviderConfig{BaseURL: google.URL + "/v1/projects/p/locations/l/publishers/google", APIKey: secret.New("k")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	r, body = send(t, v, llm.Embeddings, `{"input":"one","encoding_format":"base64"}`)
	if u := r.Meter.Reading().Usage; !strings.HasSuffix(paths[2], ":predict") || u.Input != 5 || u.Source != llm.Reported || !strings.Contains(body, `"AABAQAAAgEA="`) {
		t.Errorf("%v %+v %s", paths, u, body)
	}
	for _, wrong := range []string{`{"input":[1,2]}`, `{"input":[]}`, `{"input":""}`, `{"input":"x","encoding_format":"int8"}`, `[]`} {
		if r, body := send(t, p, llm.Embeddings, wrong); r.Status != 400 || !strings.Contains(body, `"invalid_request_error"`) {
			t.Errorf("%s: %d %s", wrong, r.Status, body)
		}
	}
}
