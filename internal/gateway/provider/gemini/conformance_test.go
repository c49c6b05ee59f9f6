package gemini

import (
	"testing"

	"airfield/internal/gateway/provider/providertest"
)

func TestConformance(t *testing.T) {
	const model = "gemini-3-flash-preview"
	providertest.Run(t, New, providertest.Options{
		Model: model, Base: "/v1beta", NoCacheWrites: true,
		Path: func(stream bool) string {
			if stream {
				return "/v1beta/models/" + model + ":streamGenerateContent?alt=sse"
			}
			return "/v1beta/models/" + model + ":generateContent"
		},
		Headers: map[string]string{"X-Goog-Api-Key": providertest.Key, "Authorization": "", "Content-Type": "application/json"},
	})
}
