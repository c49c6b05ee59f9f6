package bedrock_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/bedrock"
	"airfield/internal/gateway/provider/providertest"
	"airfield/internal/secret"
)

const sonnet = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

const awsSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

func TestBedrockIsAskedWithAKeyOfItsOwn(t *testing.T) {
	o := options()
	o.Config = gateway.ProviderConfig{Region: "eu-central-1"} // the suite adds a key
	providertest.Run(t, bedrock.New, o)
}

func TestBedrockIsAskedWithASignature(t *testing.T) {
	o := options()
	o.Config = gateway.ProviderConfig{Region: "eu-central-1", AccessKeyID: secret.New("AKIDEXAMPLE"), SecretAccessKey: secret.New(awsSecret), SessionToken: secret.New("session-token-of-the-suite")}
	o.Secrets = []string{"session-token-of-the-suite"} // the secret key itself is never sent
	o.Headers = map[string]string{"X-Amz-Security-Token": "session-token-of-the-suite"}
	providertest.Run(t, bedrock.New, o)
}

func options() providertest.Options {
	return providertest.Options{
		Model: sonnet,
		Path: func(stream bool) string {
			path := "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
			if stream {
				path += "-stream"
			}
			return path
		},
		Lacks:            map[string]string{providertest.Embeddings: "asked of other models, below"},
		ThoughtsInOutput: true,
		StreamType:       "application/vnd.amazon.eventstream",
		Encode:           encode,
	}
}

// encode makes an AWS event stream of lines {"type":…,"payload":…}. What ends in Exception is an exception.
func encode(events []byte) ([]byte, error) {
	var out bytes.Buffer
	encoder := eventstream.NewEncoder()
	for lines := bufio.NewScanner(bytes.NewReader(events)); lines.Scan(); {
		var e struct {
			Type    string          `json:"type"`
			Payload json.RawMessage `json:"payload"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, err
		}
		kind := "event"
		if strings.HasSuffix(e.Type, "Exception") {
			kind = "exception"
		}
		m := eventstream.Message{Payload: e.Payload}
		for name, value := range map[string]string{":message-type": kind, ":" + kind + "-type": e.Type, ":content-type": "application/json"} {
			m.Headers.Set(name, eventstream.StringValue(value))
		}
		if err := encoder.Encode(&out, m); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}
