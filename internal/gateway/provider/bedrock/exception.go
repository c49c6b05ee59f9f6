package bedrock

import (
	"encoding/json"
	"net/http"
	"strings"

	"airfield/internal/gateway/neutral"
)

// exception is a refusal, or a failure in mid-stream. Its type comes in a header; the provider puts it beside the message.
type exception struct {
	Type    string `json:"__type"`
	Message string `json:"message"`
	Big     string `json:"Message"` // as the services in front of Bedrock write it
}

// statuses are those of the exceptions, for streams, where none comes with them.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html#API_runtime_ConverseStream_Errors
var statuses = map[string]int{
	"throttlingexception": 429, "servicequotaexceededexception": 429, "modelnotreadyexception": 429, "validationexception": 400, "accessdeniedexception": 403,
	"resourcenotfoundexception": 404, "modeltimeoutexception": 408, "modelerrorexception": 424, "modelstreamerrorexception": 424, "internalserverexception": 500, "serviceunavailableexception": 503,
	"expiredtokenexception": 403, "unrecognizedclientexception": 403, "invalidsignatureexception": 403, "missingauthenticationtokenexception": 403, "incompletesignatureexception": 403,
}

// ReadError reads a refusal.
func (dialect) ReadError(status int, body []byte) *neutral.Error {
	var x exception
	if json.Unmarshal(body, &x) != nil {
		x = exception{}
	}
	return x.read(status)
}

// read is the exception in neutral words; status is 0 where none came with it.
func (x *exception) read(status int) *neutral.Error {
	if status == 0 {
		if status = statuses[strings.ToLower(x.Type)]; status == 0 {
			status = http.StatusInternalServerError
		}
	}
	e := &neutral.Error{Status: status, Type: "server_error", Code: x.Type, Message: x.Message}
	if e.Message == "" {
		e.Message = x.Big
	}
	if e.Message == "" {
		e.Message = strings.TrimSpace("Bedrock answered " + http.StatusText(status) + " " + x.Type)
	}
	switch {
	case x.ourKey() || status == http.StatusUnauthorized:
		e.Type = "authentication_error"
	case status == http.StatusForbidden:
		e.Type = "permission_error"
	case status == http.StatusTooManyRequests:
		e.Type = "rate_limit_error"
	case status < 500 && status != http.StatusRequestTimeout && status != http.StatusFailedDependency:
		e.Type = "invalid_request_error"
	}
	return e
}

// ourKey reports whether it was not accepted who asks: that is nothing the caller can do anything about.
func (x *exception) ourKey() bool {
	switch strings.ToLower(x.Type) {
	case "expiredtokenexception", "unrecognizedclientexception", "invalidsignatureexception", "missingauthenticationtokenexception", "incompletesignatureexception", "signaturedoesnotmatch":
		return true
	}
	return false
}

// typed is a refusal's body with the type of the exception in it, whatever the body was. The header may say more than the
// name: "ValidationException:http://internal.amazon.com/coral/…".
func typed(header string, body []byte) (exception, []byte) {
	var x exception
	if json.Unmarshal(body, &x) != nil {
		x = exception{}
	}
	if header != "" {
		x.Type = header
	}
	if _, name, ok := strings.Cut(x.Type, "#"); ok { // com.amazon.coral.service#UnrecognizedClientException
		x.Type = name
	}
	x.Type, _, _ = strings.Cut(x.Type, ":")
	x.Type = clip(x.Type)
	out, err := json.Marshal(map[string]string{"__type": x.Type, "message": x.text()})
	if err != nil { // strings always are JSON
		return x, []byte("{}")
	}
	return x, out
}

func (x *exception) text() string {
	if x.Message != "" {
		return x.Message
	}
	return x.Big
}
