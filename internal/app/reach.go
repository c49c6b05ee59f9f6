package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"airfield/internal/config"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/bedrock"
	"airfield/internal/index/pgvector"
	"airfield/internal/ingest"
	apisource "airfield/internal/ingest/source/api"
	gcssource "airfield/internal/ingest/source/gcs"
	"airfield/internal/ingest/source/postgres"
	s3source "airfield/internal/ingest/source/s3"
	"airfield/internal/ingest/source/web"
	"airfield/internal/redis"
	"airfield/internal/secret"
)

// Reached is what became of reaching one thing that the configuration names.
type Reached struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

const reachTime = 10 * time.Second

// Reach tries everything that the configuration names: the database, the bucket, folders, providers, certificates, the
// port. It changes nothing, except that a new installation's folders are made.
func Reach(ctx context.Context, c *config.Config) []Reached {
	var all []Reached
	note := func(name, detail string, err error) {
		r := Reached{Name: name, OK: err == nil, Detail: detail}
		if err != nil {
			f := fault.As(err)
			r.Detail = f.Text
			if f.Kind == fault.Internal || f.Err != nil {
				r.Detail = oneLine(err.Error())
			}
		}
		all = append(all, r)
	}
	log := slog.New(slog.DiscardHandler)

	unlock, lockErr := lockFolder(c.Data)
	if lockErr == nil {
		defer unlock()
		note("data folder", c.Data, nil)
	} else if fault.Is(lockErr, fault.Conflict) {
		note("data folder", c.Data+", in use by a running server", nil)
	} else {
		note("data folder", "", lockErr)
	}

	note("database", secret.RedactURL(c.Database.URL), waitAtMost(ctx, reachTime, func(ctx context.Context) error {
		database, err := db.Open(ctx, c.Database, log)
		if err != nil {
			return err
		}
		return database.Close()
	}))

	if !c.Index.Embedded() {
		note("index", secret.RedactURL(indexConfig(c).URL)+", schema "+c.Index.Schema, waitAtMost(ctx, reachTime, func(ctx context.Context) error {
			x, err := pgvector.Open(ctx, indexConfig(c), log)
			if err != nil {
				return err
			}
			return x.Close()
		}))
	}

	p := &parts{}
	b, err := openBucket(ctx, c, log, p)
	if err == nil {
		err = waitAtMost(ctx, reachTime, b.Probe)
		p.close()
	}
	note("bucket", c.Bucket.URL, err)

	if c.Redis.URL != "" {
		note("redis", secret.RedactURL(c.Redis.URL), reachRedis(ctx, c.Redis, log))
	}
	if lockErr == nil {
		l, err := net.Listen("tcp", c.Server.Listen)
		if err == nil {
			l.Close()
		}
		note("port", c.Server.Listen, err)
	}
	if c.Server.TLS.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(c.Server.TLS.Certificate, c.Server.TLS.Key)
		detail := c.Server.TLS.Certificate
		if err == nil && time.Now().After(pair.Leaf.NotAfter) {
			err = fault.New(fault.Invalid, "tls_expired", "the certificate expired on %s", pair.Leaf.NotAfter.Format(time.DateOnly))
		}
		note("certificate", detail, err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Collections)) {
		for sourceName, source := range c.Collections[name].Sources {
			where := source.Place()
			err := waitAtMost(ctx, reachTime, func(ctx context.Context) error {
				found, err := reachSource(ctx, source)
				where = cmp.Or(found, where)
				return err
			})
			note("source "+name+"/"+sourceName, where, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Gateway.Providers)) {
		if provider := c.Gateway.Providers[name]; provider.Kind != gateway.Builtin {
			detail, err := reachProvider(ctx, provider)
			note("provider "+name, detail, err)
		}
	}
	return all
}

// reachSource asks a place for something small. found says what is there, where there is more to say than the place.
func reachSource(ctx context.Context, c ingest.SourceConfig) (found string, err error) {
	switch c.Kind() {
	case ingest.KindS3:
		return "", s3source.Reach(ctx, c)
	case ingest.KindGCS:
		return "", gcssource.Reach(ctx, c)
	case ingest.KindSQL:
		return postgres.Reach(ctx, c)
	case ingest.KindWeb:
		return "", web.Reach(ctx, c)
	case ingest.KindAPI:
		return "", apisource.Reach(ctx, c)
	}
	_, err = os.ReadDir(c.Folder)
	return "", err
}

// reachRedis does in a Redis what limits and the cache do there.
func reachRedis(ctx context.Context, c redis.Config, log *slog.Logger) error {
	client, err := redis.Open(ctx, c, log)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, reason, away := client.Away(); away {
		return fault.New(fault.Unavailable, "redis_away", "%s is of no use: %s", secret.RedactURL(c.URL), reason)
	}
	return nil
}

// oneLine joins the lines of an error, each once: a driver that tried twice says everything twice.
func oneLine(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(slices.Compact(lines), " ")
}

// reachProvider lists a provider's models, which most offer and which costs nothing.
func reachProvider(ctx context.Context, c gateway.ProviderConfig) (string, error) {
	if c.APIKey.Empty() && c.APIKey.Ref() != "" {
		return "", fault.New(fault.Invalid, "provider_key", "the key %s is not set or empty", c.APIKey.Ref())
	}
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	if c.Kind == gateway.Bedrock {
		return reachBedrock(ctx, c)
	}
	address, header := strings.TrimRight(c.BaseURL, "/")+"/models", http.Header(nil)
	if listing := listings[c.Kind]; listing != nil {
		address, header = listing(c)
	} else {
		header, _ = c.Header()
	}
	if address == "" {
		return "it lists no models: the first call asks it", nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	req.Header = header
	shown, _, _ := strings.Cut(address, "?")
	shown = strings.TrimSuffix(shown, "/models")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }} // a key follows no redirect
	res, err := client.Do(req)
	if err != nil {
		return "", fault.New(fault.Unavailable, "provider_away", "%s does not answer: %w", shown, err)
	}
	res.Body.Close()
	switch {
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		return "", fault.New(fault.Denied, "provider_key", "%s refuses the key %s (status %d)", shown, c.APIKey.Ref(), res.StatusCode)
	case res.StatusCode == http.StatusBadRequest: // as Google says that a key is not valid
		return "", fault.New(fault.Invalid, "provider_refusing", "%s refuses to list its models (status %d): is the key %s right, and the address?", shown, res.StatusCode, c.APIKey.Ref())
	case res.StatusCode >= 500:
		return "", fault.New(fault.Unavailable, "provider_failing", "%s answers with status %d", shown, res.StatusCode)
	}
	return fmt.Sprintf("%s answers with status %d", shown, res.StatusCode), nil
}

// reachBedrock finds who will sign, and connects: to ask for anything costs money or needs a permission of its own.
func reachBedrock(ctx context.Context, c gateway.ProviderConfig) (string, error) {
	address, who, err := bedrock.Identify(ctx, c)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", fault.New(fault.Unavailable, "provider_away", "%s does not answer: %w", address, err)
	}
	return address + " answers; requests are sent with " + who, conn.Close()
}
