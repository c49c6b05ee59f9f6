package openai

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"airfield/internal/gateway"
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
	n, ok := wholeNumber(first(h, remaining))
	if !ok {
		return left
	}
	again, ok := resetIn(first(h, reset))
	if !ok {
		return left
	}
	most, _ := wholeNumber(first(h, limit))
	return gateway.Left{Known: true, Left: n, Limit: most, Reset: again}
}

// first is a header by its canonical name.
func first(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return strings.TrimSpace(values[0])
	}
	return ""
}

func wholeNumber(s string) (int64, bool) {
	if s == "" { // as in most answers: a parser's error would cost more than the look
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0
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

// retryIn reads retry-after-ms, which OpenAI and Azure send beside Retry-After, or instead of it, and their clients honour.
func retryIn(h http.Header) time.Duration {
	text := first(h, "Retry-After-Ms")
	if text == "" {
		return 0
	}
	ms, err := strconv.ParseFloat(text, 64)
	if err != nil || !(ms > 0 && ms <= 3_600_000) {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// retryAfter is the header of that name, or what retry-after-ms says in its whole seconds.
func retryAfter(h http.Header, in time.Duration) string {
	if said := h.Get("Retry-After"); said != "" || in == 0 {
		return said
	}
	return strconv.FormatInt(int64((in+time.Second-1)/time.Second), 10)
}
