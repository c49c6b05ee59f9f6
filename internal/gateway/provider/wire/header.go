package wire

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// First is a header by its canonical name, without spaces around it.
func First(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return strings.TrimSpace(values[0])
	}
	return ""
}

// Whole reads a whole number that is not below 0, as headers say how much is left.
func Whole(s string) (int64, bool) {
	if s == "" { // as in most answers: a parser's error would cost more than the look
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0
}

// retryIn reads retry-after-ms, which OpenAI and Azure send beside Retry-After, or instead of it, and their clients honour.
func retryIn(h http.Header) time.Duration {
	text := First(h, "Retry-After-Ms")
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
