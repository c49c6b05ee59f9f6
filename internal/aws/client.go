package aws

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"airfield/internal/fault"
	"airfield/internal/secret"
)

const (
	openTime    = 10 * time.Second // for reading what AWS's own tools would
	connectTime = 5 * time.Second
	answerTime  = 60 * time.Second // until an answer begins
)

// Keys say who asks. Empty ones leave that to what AWS's own tools find: environment, profile, role.
type Keys struct{ ID, Secret, Session secret.Value }

// Check refuses half a pair.
func (k Keys) Check() error {
	if (k.ID.Ref() == "" && k.ID.Empty()) != (k.Secret.Ref() == "" && k.Secret.Empty()) {
		return fault.New(fault.Invalid, "aws_keys", "access_key_id and secret_access_key belong together: one of them is missing")
	}
	return nil
}

// Open makes a client. It asks nothing of the bucket.
func (p Place) Open(ctx context.Context, keys Keys) (*s3.Client, error) {
	if err := keys.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = answerTime
		t.MaxIdleConnsPerHost = 64
	}).WithDialerOptions(func(d *net.Dialer) { d.Timeout = connectTime })
	found, err := config.LoadDefaultConfig(ctx, func(o *config.LoadOptions) error {
		o.HTTPClient = client
		if p.Region != "" {
			o.Region = p.Region
		}
		if ref := keys.ID.Ref(); ref != "" || !keys.ID.Empty() {
			if keys.ID.Empty() || keys.Secret.Empty() {
				return fault.New(fault.Invalid, "aws_keys", "the keys %s and %s are not set or empty", ref, keys.Secret.Ref())
			}
			o.Credentials = credentials.NewStaticCredentialsProvider(keys.ID.Reveal(), keys.Secret.Reveal(), keys.Session.Reveal())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if found.Region == "" {
		if p.Endpoint == "" {
			return nil, fault.New(fault.Invalid, "aws_region", "nothing says in which region the bucket %s is", p.Bucket).Hinted("add ?region=… to its address")
		}
		found.Region = "us-east-1" // what servers other than AWS take for none
	}
	return s3.NewFromConfig(found, func(o *s3.Options) {
		o.UsePathStyle = p.PathStyle
		if p.Endpoint != "" {
			o.BaseEndpoint = aws.String(p.Endpoint)
		}
		// Bodies are part of the signature. Not every server knows the checksums that the library would add.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}), nil
}
