package bedrock_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/bedrock"
	"airfield/internal/secret"
)

// signature is what https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html says a
// request must carry, worked out from what arrived. It shares nothing with the library that signs.
func signature(r *http.Request, body []byte, secretKey string) (authorization string, err error) {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=")
	credential, rest, ok2 := strings.Cut(rest, ", SignedHeaders=")
	signed, _, ok3 := strings.Cut(rest, ", Signature=")
	scope := strings.Split(credential, "/")
	if !ok || !ok2 || !ok3 || len(scope) != 5 {
		return "", fmt.Errorf("not a signature: %q", r.Header.Get("Authorization"))
	}
	date, region, service := scope[1], scope[2], scope[3]

	var headers strings.Builder
	names := strings.Split(signed, ";")
	if !slices.IsSorted(names) || !slices.Contains(names, "host") || !slices.Contains(names, "x-amz-date") {
		return "", fmt.Errorf("signed headers %q", signed)
	}
	for _, name := range names {
		value := strings.Join(strings.Fields(r.Header.Get(name)), " ")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(len(body))
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, value)
	}
	hash := func(b []byte) string { sum := sha256.Sum256(b); return hex.EncodeToString(sum[:]) }
	canonical := strings.Join([]string{r.Method, twice(r.URL.EscapedPath()), "", headers.String(), signed, hash(body)}, "\n")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), strings.Join(scope[1:], "/"), hash([]byte(canonical))}, "\n")
	mac := func(key []byte, s string) []byte {
		h := hmac.New(sha256.New, key)
		io.WriteString(h, s)
		return h.Sum(nil)
	}
	key := mac(mac(mac(mac([]byte("AWS4"+secretKey), date), region), service), scope[4])
	return "AWS4-HMAC-SHA256 Credential=" + credential + ", SignedHeaders=" + signed + ", Signature=" + hex.EncodeToString(mac(key, text)), nil
}

// twice escapes a path once more, as every service but S3 asks for.
func twice(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// get-vanilla of the test suite that AWS publishes for signers: what the test works out must be what AWS
// documents, before it judges anybody.
func TestTheJudgeOfSignaturesAgreesWithAWS(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "https://example.amazonaws.com/", nil)
	want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	r.Header.Set("Authorization", want)
	if got, err := signature(r, nil, awsSecret); err != nil || got != want {
		t.Errorf("%s\n%v", got, err)
	}
}

// checking is a Bedrock that lets in only who signs rightly.
func checking(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		want, err := signature(r, body, awsSecret)
		if err != nil || want != r.Header.Get("Authorization") {
			w.Header().Set("X-Amzn-Errortype", "InvalidSignatureException")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"message":"The request signature we calculated does not match: %v"}`, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"output":{"message":{"role":"assistant","content":[{"text":"in"}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1}}`)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestASignatureHoldsWhateverTheNameOfTheModel(t *testing.T) {
	server := checking(t)
	c := gateway.ProviderConfig{BaseURL: server.URL, Region: "eu-central-1", AccessKeyID: secret.New("AKIDEXAMPLE"), SecretAccessKey: secret.New(awsSecret), SessionToken: secret.New("token"), Headers: map[string]string{"X-Team": "a"}}
	for _, base := range []string{"", "/proxy/bedrock"} {
		c.BaseURL = server.URL + base
		p := open(t, c)
		for _, model := range []string{
			"amazon.nova-lite-v1:0", sonnet, "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
			"arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3", "odd name+(ü)~*=&?#%2F",
		} {
			r, err := p.Send(t.Context(), &gateway.Attempt{Surface: bedrock.Converse, Model: model, Body: []byte(`{"messages":[]}`), Traceparent: "00-1-2-01"})
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(r.Body)
			r.Body.Close()
			if a, err := p.Dialect().ReadAnswer(body); r.Status != 200 || err != nil || a.Model != model {
				t.Errorf("%s%s: %d %s %v", base, model, r.Status, body, err)
			}
		}
	}
}

func TestAWrongSignatureIsOurMistakeNotTheCallers(t *testing.T) {
	p := open(t, gateway.ProviderConfig{BaseURL: checking(t).URL, Region: "eu-central-1", AccessKeyID: secret.New("AKIDEXAMPLE"), SecretAccessKey: secret.New("another")})
	r, err := p.Send(t.Context(), &gateway.Attempt{Surface: bedrock.Converse, Model: "m", Body: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	if e := p.Dialect().ReadError(r.Status, body); r.Status != 401 || e.Type != "authentication_error" || e.Code != "InvalidSignatureException" {
		t.Errorf("%d %s", r.Status, body)
	}
}

func TestWhoAsksIsFoundAsAWSsOwnToolsFindIt(t *testing.T) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": awsSecret, "AWS_REGION": "eu-west-3", "AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none"} {
		t.Setenv(name, value)
	}
	r, err := open(t, gateway.ProviderConfig{BaseURL: checking(t).URL}).Send(t.Context(), &gateway.Attempt{Surface: bedrock.Converse, Model: "m", Body: []byte(`{}`)})
	if err != nil || r.Status != 200 {
		t.Fatal(r, err)
	}
	r.Body.Close()
}

func TestWithoutAnyCredentialsNothingIsSent(t *testing.T) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
	p := open(t, gateway.ProviderConfig{BaseURL: "http://127.0.0.1:1", Region: "eu-west-3"})
	_, err := p.Send(t.Context(), &gateway.Attempt{Surface: bedrock.Converse, Model: "m", Body: []byte(`{}`)})
	if f := fault.As(err); err == nil || f.Code != "upstream_key" {
		t.Errorf("%v", err)
	}
	if _, err := bedrock.New("up", gateway.ProviderConfig{BaseURL: "http://127.0.0.1:1"}, nil); err == nil || !strings.Contains(err.Error(), "region is missing") {
		t.Errorf("without a region: %v", err)
	}
}

func open(t *testing.T, c gateway.ProviderConfig) gateway.Provider {
	t.Helper()
	p, err := bedrock.New("up", c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}
