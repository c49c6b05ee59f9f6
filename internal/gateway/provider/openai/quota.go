package openai

import (
	"net/http"
	"strconv"
	"time"

	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/wire"
)

// quotaOf reads what is left of the provider's own limits from x-ratelimit-{limit,remaining,reset}-{requests,tokens}, as
// OpenAI and those who speak its API send them (https://platform.openai.com/docs/guides/rate-limits). What cannot be
// understood is not known: a number without its time to come back says nothing.
func quotaOf(h http.Header) (q gateway.Quota) {
	q.Requests = leftOf(h, "X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests")
	q.Tokens = leftOf(h, "X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens")
	return q
}

func leftOf(h http.Header, limit, remaining, reset string) (left gateway.Left) {
	n, ok := wire.Whole(wire.First(h, remaining))
	if !ok {
		return left
	}
	again, ok := resetIn(wire.First(h, reset))
	if !ok {
		return left
	}
	most, _ := wire.Whole(wire.First(h, limit))
	return gateway.Left{Known: true, Left: n, Limit: most, Reset: again}
}

// resetIn reads "1s", "6m0s", "20ms" and "7.66s", and plain seconds. Some send a moment as a number instead: a time of
// more than a day is none.
func resetIn(s string) (time.Duration, bool) {
	d, err := time.ParseDuration(s)
	if err != nil {
		seconds, err := strconv.ParseFloat(s, 64)
		if err != nil || !(seconds >= 0 && seconds <= 86_400) {
			return 0, false
		}
		d = time.Duration(seconds * float64(time.Second))
	}
	return d, d >= 0 && d <= 24*time.Hour
}
