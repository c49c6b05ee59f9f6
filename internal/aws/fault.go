package aws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"airfield/internal/fault"
)

// Gone reports whether an error says that there is no such object.
func Gone(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && (api.ErrorCode() == "NoSuchKey" || api.ErrorCode() == "NotFound" || api.ErrorCode() == "NoSuchVersion" || api.ErrorCode() == "NoSuchUpload")
}

// Explain says what a failed request means. What is wrong is with the server's own configuration or with the store,
// never with who asked the server: so none of it is a refusal.
func (p Place) Explain(doing string, err error) error {
	var known *fault.Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	}
	code, status := "", 0
	var api smithy.APIError
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	var res *awshttp.ResponseError
	if errors.As(err, &res) {
		status = res.HTTPStatusCode()
	}
	switch {
	case code == "NoSuchBucket":
		return fault.New(fault.Unavailable, "bucket_missing", "there is no bucket %s: %w", p.Bucket, err).Hinted("make it, or correct its address and region")
	case code == "PermanentRedirect" || status == http.StatusMovedPermanently:
		return fault.New(fault.Unavailable, "bucket_region", "the bucket %s is in another region: %w", p.Bucket, err).Hinted("correct region in its address")
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return fault.New(fault.Unavailable, "bucket_denied", "the bucket %s refuses us (%s): %w", p.Bucket, code, err).
			Hinted("give these credentials the rights that docs/guides/s3-and-gcs.md lists")
	case code == "XMinioStorageFull" || code == "QuotaExceeded" || status == http.StatusInsufficientStorage:
		return fault.New(fault.Unavailable, "disk_full", "the bucket %s is full: %w", p.Bucket, err)
	case status == 0 && unsigned(err):
		return fault.New(fault.Unavailable, "bucket_credentials", "no credentials were found for the bucket %s: %w", p.Bucket, err).
			Hinted("give access_key_id and secret_access_key, or what AWS's own tools read")
	case status == 0 && network(err), status == http.StatusTooManyRequests, status >= 500:
		return fault.New(fault.Unavailable, "bucket_away", "the bucket %s does not answer: %w", p.Bucket, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// unsigned reports whether a request was not sent because nobody was found to sign it. The library has no type for that.
func unsigned(err error) bool { return strings.Contains(err.Error(), "get credentials: ") }

func network(err error) bool {
	var n net.Error
	var send interface{ ConnectionError() bool }
	return errors.As(err, &n) || errors.As(err, &send) && send.ConnectionError()
}
