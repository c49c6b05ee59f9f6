package bedrock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"airfield/internal/fault"
	"airfield/internal/gateway"
)

// service is Bedrock's name in signatures.
const service = "bedrock"

// credentialTime bounds how long it takes to find out who this is, which may ask the machine's own services.
const credentialTime = 10 * time.Second

// signer says, with a signature, who asks (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html).
type signer struct {
	name        string
	region      string
	credentials aws.CredentialsProvider // keeps what it found until that expires
}

// ambient is what AWS's own tools would find on this machine. Credentials are looked for when they are needed.
func ambient(region string) (aws.Config, error) {
	ctx, cancel := context.WithTimeout(context.Background(), credentialTime)
	defer cancel()
	return config.LoadDefaultConfig(ctx, func(o *config.LoadOptions) error {
		if region != "" {
			o.Region = region
		}
		return nil
	})
}

// static are the credentials of the configuration.
func static(c gateway.ProviderConfig) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(c.AccessKeyID.Reveal(), c.SecretAccessKey.Reveal(), c.SessionToken.Reveal())
}

// sign adds to own what says who sends the body. What is added to a request later is not part of the signature.
func (s *signer) sign(ctx context.Context, common *http.Request, body []byte, own http.Header) error {
	ctx, cancel := context.WithTimeout(ctx, credentialTime)
	defer cancel()
	who, err := s.credentials.Retrieve(ctx)
	if err != nil {
		return fault.New(fault.Upstream, "upstream_key", "no AWS credentials were found for provider %s: %w", s.name, err)
	}
	hash := sha256.Sum256(body)
	r := *common
	r.Header, r.ContentLength = http.Header{"Content-Type": {plainJSON}}, int64(len(body))
	if err := v4.NewSigner().SignHTTP(ctx, who, &r, hex.EncodeToString(hash[:]), service, s.region, time.Now()); err != nil {
		return fault.New(fault.Internal, "upstream_sign", "the request to provider %s could not be signed: %w", s.name, err)
	}
	for name, values := range r.Header {
		own[name] = values
	}
	return nil
}
