package notify

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"airfield/internal/secret"
)

// Config are the channels by name.
type Config map[string]Channel

// Channel is one way to reach people, and what they are told by it.
type Channel struct {
	Webhook       string                  `yaml:"webhook" json:"webhook" doc:"The address that each event is posted to, as JSON."`
	SecretWebhook secret.Value            `yaml:"secret_webhook" json:"secret_webhook" doc:"The same as env:NAME or file:PATH, for an address that is itself a secret."`
	Headers       map[string]string       `yaml:"headers" json:"headers" doc:"Further headers of each request."`
	SecretHeaders map[string]secret.Value `yaml:"secret_headers" json:"secret_headers" doc:"Further headers whose values are secrets, as env:NAME or file:PATH."`
	SigningKey    secret.Value            `yaml:"signing_key" json:"signing_key" doc:"Signs each request in X-Airfield-Signature, as env:NAME or file:PATH, so that the receiver knows who sent it."`
	Events        []string                `yaml:"events" json:"events" doc:"The kinds of events it is told of; a trailing * stands for any rest: budget.*. By default all."`
	Timeout       time.Duration           `yaml:"timeout" json:"timeout" doc:"How long one try of a delivery may take; by default 10s."`
	Repeat        time.Duration           `yaml:"repeat" json:"repeat" doc:"How long the same is not said again while it goes on; by default 1h."`
}

// complete returns the channel with every default filled in.
func (c Channel) complete() Channel {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Repeat == 0 {
		c.Repeat = time.Hour
	}
	return c
}

// address is where the webhook is, wherever that was written down.
func (c Channel) address() string {
	if c.SecretWebhook.Empty() {
		return c.Webhook
	}
	return c.SecretWebhook.Reveal()
}

// wants reports whether the channel is told of a kind of event.
func (c Channel) wants(kind string) bool {
	return len(c.Events) == 0 || slices.ContainsFunc(c.Events, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return pattern == kind || open && strings.HasPrefix(kind, prefix)
	})
}

// Default is nobody.
func Default() Config { return Config{} }

// Check refuses what cannot work and warns about what is unwise.
func (c Config) Check() (warnings []string, err error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c)) {
		more, err := c[name].check(name)
		warnings, errs = append(warnings, more...), append(errs, err)
	}
	return warnings, errors.Join(errs...)
}

func (c Channel) check(name string) (warnings []string, err error) {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(name+format, args...)) }
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(name+format, args...)) }
	unset := func(key string, v secret.Value, then string) {
		if v.Ref() != "" && v.Empty() {
			warn(".%s: %s is empty, %s", key, v.Ref(), then)
		}
	}
	switch {
	case c.Webhook != "" && c.SecretWebhook.String() != "":
		refuse(" has a webhook and a secret_webhook; one of them is enough")
	case c.SecretWebhook.Ref() != "" && c.SecretWebhook.Empty():
		unset("secret_webhook", c.SecretWebhook, "nothing can be sent")
	case c.address() == "":
		refuse(".webhook is missing: the address that events are posted to")
	default:
		key := "webhook"
		if c.Webhook == "" {
			key = "secret_webhook"
		}
		plain, err := checkAddress(c.address())
		if err != nil {
			refuse(".%s %w", key, err)
		}
		if plain {
			warn(".%s is http: what is said, and every header, travels unencrypted", key)
		}
	}
	for _, header := range slices.Concat(slices.Sorted(maps.Keys(c.Headers)), slices.Sorted(maps.Keys(c.SecretHeaders))) {
		if header == "" || strings.ContainsFunc(header, notInName) || slices.Contains(ours, http.CanonicalHeaderKey(header)) {
			refuse(": the header %q cannot be set", header)
		}
		unset("secret_headers."+header, c.SecretHeaders[header], "requests go without it")
		if strings.ContainsFunc(c.Headers[header]+c.SecretHeaders[header].Reveal(), notInValue) {
			refuse(": the header %q has a line break or another control character", header)
		}
	}
	unset("signing_key", c.SigningKey, "requests go without a signature")
	for _, pattern := range c.Events {
		if pattern == "" || strings.Contains(strings.TrimSuffix(pattern, "*"), "*") {
			refuse(".events: %q is not a kind of event; a * may stand at the end only", pattern)
		}
	}
	if c.Timeout < 0 || c.Timeout > maxTimeout {
		refuse(".timeout: up to %s, not %s", maxTimeout, c.Timeout)
	}
	if c.Repeat < 0 {
		refuse(".repeat must not be negative")
	}
	return warnings, errors.Join(errs...)
}

// notInName reports what RFC 9110 does not let into the name of a header.
func notInName(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

func notInValue(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// maxTimeout bounds what one receiver that hangs can cost.
const maxTimeout = time.Minute

// checkAddress says what is wrong with the address of a webhook, without repeating it, and whether it is http to another
// machine.
func checkAddress(text string) (plain bool, err error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return false, errors.New("is not an http or https address, such as https://alerts.example.com/airfield")
	case u.User != nil:
		return false, errors.New("must have no user or password; they go in secret_headers")
	case u.Fragment != "":
		return false, errors.New("must have no fragment")
	}
	return u.Scheme == "http" && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()), nil
}
