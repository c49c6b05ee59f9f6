// Package bedrock talks to Amazon Bedrock: chat through Converse and ConverseStream, which are one API for the models of
// all makers, and vectors through InvokeModel. The gateway's wiring gives it the kind of this name.
package bedrock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/aws/smithy-go/encoding/httpbinding"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/provider/wire"
	"airfield/internal/llm"
)

// Provider is Bedrock in one region.
type Provider struct {
	name   string
	wire   *wire.Client
	signer *signer // nil where an API key says who asks
}

// New connects to nothing yet; it is a gateway.Kind.
func New(name string, c gateway.ProviderConfig, _ *slog.Logger) (gateway.Provider, error) {
	region, signer, err := identify(name, c)
	if err != nil {
		return nil, err
	}
	if c.BaseURL == "" {
		c.BaseURL = endpoint(region)
	}
	header, secrets := c.Header()
	if !c.SessionToken.Empty() {
		secrets = append(secrets, c.SessionToken.Reveal())
	}
	client, err := wire.New(name, c, header, secrets)
	if err != nil {
		return nil, err
	}
	return &Provider{name: name, wire: client, signer: signer}, nil
}

// endpoint is where Bedrock answers in a region.
// https://docs.aws.amazon.com/general/latest/gr/bedrock.html
func endpoint(region string) string {
	host := "https://bedrock-runtime." + region + ".amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		host += ".cn"
	}
	return host
}

// Takes reports whether a surface's requests are taken as they are: those for vectors.
func (p *Provider) Takes(s llm.Surface) bool { return s == llm.Embeddings }

// Dialect is Converse.
func (p *Provider) Dialect() neutral.Dialect { return dialect{} }

// Close gives back idle connections.
func (p *Provider) Close() error { return p.wire.Close() }

// Send makes one exchange; vectors of several texts may take several.
func (p *Provider) Send(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
	switch a.Surface {
	case llm.Embeddings:
		return p.embed(ctx, a)
	case Converse:
		return p.converse(ctx, a)
	}
	return nil, fault.New(fault.Invalid, "surface_unsupported", "provider %s does not serve %s", p.name, a.Surface)
}

const (
	eventStream = "application/vnd.amazon.eventstream"
	plainJSON   = "application/json"
)

func (p *Provider) converse(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
	operation, accept := "converse", plainJSON
	if a.Stream {
		operation, accept = "converse-stream", eventStream
	}
	r, _, err := p.invoke(ctx, a, operation, accept)
	if err != nil || r.Status >= 400 {
		return r, err
	}
	if came := strings.HasPrefix(r.ContentType, eventStream); came != a.Stream {
		r.Body.Close()
		return nil, fault.New(fault.Upstream, "upstream_answer", "provider %s answered with %q where %s was asked for", p.name, r.ContentType, accept)
	}
	// Bedrock says neither its own id of the answer nor which model made it where the dialect could read them.
	about, err := json.Marshal(&head{r.RequestID, a.Model})
	if err != nil {
		r.Body.Close()
		return nil, err
	}
	r.Size = -1
	if a.Stream {
		r.Stream, r.ContentType, r.Body = true, "text/event-stream", newFrames(r.Body, about)
		return r, nil
	}
	r.Body = &around{io.MultiReader(strings.NewReader(`{"head":`+string(about)+`,"answer":`), r.Body, strings.NewReader("}")), r.Body}
	return r, nil
}

// head is what goes before an answer.
type head struct {
	ID    string `json:"id"`
	Model string `json:"model"`
}

// around is a body with something before and behind it.
type around struct {
	io.Reader
	io.Closer
}

// invoke asks an operation of the attempt's model.
func (p *Provider) invoke(ctx context.Context, a *gateway.Attempt, operation, accept string) (*gateway.Response, http.Header, error) {
	// Ids and ARNs have colons and slashes; they stand escaped in the path, and are signed so.
	common := p.wire.Post("model/" + httpbinding.EscapePath(a.Model, true) + "/" + operation)
	own := http.Header{"Accept": {accept}}
	if p.signer != nil {
		if err := p.signer.sign(ctx, common, a.Body, own); err != nil {
			return nil, nil, err
		}
	}
	r, header, err := p.wire.Send(ctx, common, a, own)
	if err != nil {
		return nil, nil, err
	}
	r.RequestID = p.wire.RequestID(header, "X-Amzn-Requestid")
	if r.Status >= 400 {
		return refused(r, header)
	}
	return r, header, nil
}

const maxRefusal = 64 << 10

// refused puts the type of the exception, which comes in a header, into the body. Where the model is to blame, or who
// Airfield says it is, the status says so, for another deployment may do better.
func refused(r *gateway.Response, header http.Header) (*gateway.Response, http.Header, error) {
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRefusal))
	if err != nil && len(body) == 0 {
		return nil, nil, fault.New(fault.Upstream, "upstream_broken", "the refusal ended early: %w", err)
	}
	kind := []byte(header.Get("X-Amzn-Errortype"))
	if r.Clean != nil {
		kind = r.Clean(kind)
	}
	x, body := typed(string(kind), body)
	switch {
	case x.ourKey():
		r.Status = http.StatusUnauthorized
	case r.Status == http.StatusFailedDependency:
		r.Status = http.StatusBadGateway
	}
	r.ContentType, r.Size, r.Body = plainJSON, int64(len(body)), io.NopCloser(bytes.NewReader(body))
	return r, header, nil
}

// identify finds the region and who asks: an API key, a key pair of the configuration, or what AWS's own tools would find
// on this machine (environment, profile, role of the container or of the machine).
func identify(name string, c gateway.ProviderConfig) (region string, s *signer, err error) {
	pair := !c.AccessKeyID.Empty() && !c.SecretAccessKey.Empty()
	region = c.Region
	if region == "" || c.APIKey.Empty() && !pair {
		found, err := ambient(c.Region)
		if err != nil {
			return "", nil, fmt.Errorf("read the AWS configuration of this machine: %w", err)
		}
		if region = found.Region; region == "" {
			return "", nil, errors.New("region is missing, and neither AWS_REGION nor a profile says one")
		}
		s = &signer{name: name, region: region, credentials: found.Credentials}
	}
	switch {
	case !c.APIKey.Empty():
		return region, nil, nil
	case pair:
		s = &signer{name: name, region: region, credentials: static(c)}
	}
	return region, s, nil
}
