package secret

import (
	"net/url"
	"strings"
)

// RedactURL is an address without its password, wherever in it that stands, for messages.
func RedactURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(an address that cannot be read)"
	}
	switch q, err := url.ParseQuery(u.RawQuery); {
	case err != nil:
		u.RawQuery = "(cannot be read)"
	case q.Has("password"):
		q.Set("password", "xxxxx")
		u.RawQuery = q.Encode()
	}
	return u.Redacted()
}

// InURL reports whether an address holds a password.
func InURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return strings.Contains(text, "://")
	}
	_, set := u.User.Password()
	return set || strings.Contains(u.RawQuery, "password=")
}
