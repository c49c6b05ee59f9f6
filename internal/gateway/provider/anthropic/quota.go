package anthropic

import (
	"net/http"
	"time"

	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/wire"
)

// quotaOf reads what is left of the provider's own limits from anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}
// (https://platform.claude.com/docs/en/api/rate-limits). The tokens are those of the limit that is nearest.
func quotaOf(h http.Header) (q gateway.Quota) {
	q.Requests = leftOf(h, "Anthropic-Ratelimit-Requests-")
	q.Tokens = leftOf(h, "Anthropic-Ratelimit-Tokens-")
	return q
}

func leftOf(h http.Header, name string) (left gateway.Left) {
	n, ok := wire.Whole(wire.First(h, name+"Remaining"))
	if !ok {
		return left
	}
	at, err := time.Parse(time.RFC3339, wire.First(h, name+"Reset"))
	if err != nil {
		return left
	}
	again := max(time.Until(at), 0)
	if again > 24*time.Hour {
		return left // a time of more than a day is none
	}
	most, _ := wire.Whole(wire.First(h, name+"Limit"))
	return gateway.Left{Known: true, Left: n, Limit: most, Reset: again}
}
