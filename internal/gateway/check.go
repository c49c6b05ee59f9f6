package gateway

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"airfield/internal/limit"
	"airfield/internal/secret"
)

// Check refuses what cannot work and warns about what is unwise. Which kinds exist is for the gateway to say, which
// is given them.
func (c Config) Check() (warnings []string, err error) {
	c = c.complete()
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	c.Routing.check(refuse, warn)
	c.checkProviders(refuse, warn)
	c.checkModels(refuse, warn)
	for _, name := range slices.Sorted(maps.Keys(c.Workflows)) {
		c.Workflows[name].check("workflows."+name, c.Routing.Deadline, refuse, warn)
	}
	return warnings, errors.Join(errs...)
}

func (c Config) checkProviders(refuse, warn func(string, ...any)) {
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		p := c.Providers[name]
		where := "providers." + name
		if p.Kind == "" {
			refuse("%s.kind is missing: openai for every OpenAI-compatible endpoint, azure, gemini, bedrock, or builtin", where)
		}
		if t := p.Timeouts; t.Connect < 0 || t.FirstByte < 0 || t.BetweenChunks < 0 || t.Total < 0 {
			refuse("%s.timeouts must not be negative", where)
		}
		if p.OutputCap != maxTokens && p.OutputCap != maxCompletionTokens {
			refuse("%s.output_cap: %q is neither %s nor %s", where, p.OutputCap, maxTokens, maxCompletionTokens)
		}
		if p.Kind == Builtin {
			continue
		}
		p.checkAWS(where, refuse, warn)
		p.checkAzure(where, refuse)
		u, err := url.Parse(p.BaseURL)
		switch {
		case p.BaseURL == "" && (p.Kind == Bedrock || p.Kind == Gemini):
		case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
			refuse("%s.base_url %q is not an http or https address, such as https://api.openai.com/v1", where, p.BaseURL)
		case u.User != nil || u.RawQuery != "" || u.Fragment != "":
			refuse("%s.base_url must have no user, query or fragment; keys go in api_key", where)
		case u.Scheme == "http" && !p.APIKey.Empty() && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1":
			warn("%s.base_url is http: the key and every text travel unencrypted", where)
		}
		if p.APIKey.Ref() != "" && p.APIKey.Empty() {
			warn("%s.api_key: %s is empty, requests go without a key", where, p.APIKey.Ref())
		}
		for _, header := range slices.Sorted(maps.Keys(p.SecretHeaders)) {
			if v := p.SecretHeaders[header]; v.Empty() {
				warn("%s.secret_headers.%s: %s is empty, requests go without it", where, header, v.Ref())
			}
		}
	}
}

// checkAWS refuses a configuration of bedrock of which nobody could say who signs.
func (p ProviderConfig) checkAWS(where string, refuse, warn func(string, ...any)) {
	given := map[string]secret.Value{"access_key_id": p.AccessKeyID, "secret_access_key": p.SecretAccessKey, "session_token": p.SessionToken}
	named := func(key string) bool { v := given[key]; return v.Ref() != "" || !v.Empty() }
	any := named("access_key_id") || named("secret_access_key") || named("session_token")
	switch {
	case p.Kind != Bedrock:
		if any || p.Region != "" {
			refuse("%s: region and AWS keys are for the kind bedrock", where)
		}
		return
	case any && (p.APIKey.Ref() != "" || !p.APIKey.Empty()):
		refuse("%s has an api_key and AWS keys: leave one out", where)
	case named("access_key_id") != named("secret_access_key") || named("session_token") && !named("access_key_id"):
		refuse("%s: access_key_id and secret_access_key go together, with a session_token where they are temporary", where)
	}
	if p.Region != "" && !regionName.MatchString(p.Region) {
		refuse("%s.region %q is not the name of an AWS region, such as eu-central-1", where, p.Region)
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if v := given[key]; v.Ref() != "" && v.Empty() {
			warn("%s.%s: %s is empty", where, key, v.Ref())
		}
	}
}

// checkAzure refuses an address that would be asked in the way of the other of Azure's two.
func (p ProviderConfig) checkAzure(where string, refuse func(string, ...any)) {
	v1 := strings.HasSuffix(strings.TrimRight(p.BaseURL, "/"), "/v1")
	switch {
	case p.Kind != Azure:
		if p.APIVersion != "" {
			refuse("%s: api_version is for the kind azure", where)
		}
	case p.APIVersion != "" && !versionName.MatchString(p.APIVersion):
		refuse("%s.api_version %q is not a version of Azure's API, such as 2024-10-21", where, p.APIVersion)
	case p.APIVersion == "" && p.BaseURL != "" && !v1:
		refuse("%s: base_url ends with /openai/v1, or else api_version says which version of the API is asked", where)
	case p.APIVersion != "" && v1 && p.APIVersion != "preview" && p.APIVersion != "latest":
		refuse("%s: leave api_version out, or /v1 at the end of base_url", where)
	}
}

var versionName = regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?|preview|latest)$`)

var regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$`)

func (c Config) checkModels(refuse, warn func(string, ...any)) {
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		m := c.Models[name]
		where := "models." + name
		if name == "" {
			refuse("models: a model needs a name")
		}
		if strings.HasPrefix(name, TierPrefix) {
			refuse("%s: names that begin with %s are for cost tiers", where, TierPrefix)
		}
		if m.Tier != "" && !slices.Contains(Tiers, m.Tier) {
			refuse("%s.tier %q is not economy, standard or premium", where, m.Tier)
		}
		if m.Dimensions < 0 {
			refuse("%s.dimensions must not be negative", where)
		}
		if len(m.Deployments) == 0 {
			refuse("%s.deployments is empty: nobody serves it", where)
		}
		if m.Context < 0 || m.MaxOutput < 0 {
			refuse("%s: context_tokens and max_output_tokens must not be negative", where)
		}
		if !slices.Contains([]string{chooseOrder, chooseWeighted, chooseLoaded, chooseCheapest}, m.Choose) {
			refuse("%s.choose: %q is not order, weighted, least_loaded or cheapest", where, m.Choose)
		}
		for i, other := range m.Fallback {
			to, ok := c.Models[other]
			switch {
			case !ok:
				refuse("%s.fallback[%d]: %q is not among models", where, i, other)
			case other == name:
				refuse("%s.fallback[%d]: a model is no fallback of itself", where, i)
			case (to.Dimensions > 0) != (m.Dimensions > 0):
				refuse("%s.fallback[%d]: of %s and %q one makes vectors and the other does not", where, i, name, other)
			case to.Dimensions > 0:
				refuse("%s.fallback[%d]: vectors of different models do not go together: give %s another deployment instead", where, i, name)
			}
		}
		checkLacks(where, m.Lacks, refuse)
		checkRate(where, m.Limits, refuse)
		for i, d := range m.Deployments {
			checkLacks(fmt.Sprintf("%s.deployments[%d]", where, i), d.Lacks, refuse)
			checkRate(fmt.Sprintf("%s.deployments[%d]", where, i), d.Limits, refuse)
			if d.Weight < 0 || d.Weight > 1000 {
				refuse("%s.deployments[%d].weight: between 0 and 1000, not %d", where, i, d.Weight)
			}
			if _, ok := c.Providers[d.Provider]; !ok {
				refuse("%s.deployments[%d].provider %q is not among the providers: %v", where, i, d.Provider, slices.Sorted(maps.Keys(c.Providers)))
			}
			if d.Prices != nil {
				if err := d.Prices.check(); err != nil {
					refuse("%s.deployments[%d].prices.%w", where, i, err)
				}
			}
		}
	}
}

func checkLacks(where string, lacks []string, refuse func(string, ...any)) {
	for _, name := range lacks {
		if _, ok := abilities[name]; !ok {
			refuse("%s.lacks: %q is not one of %v", where, name, slices.Sorted(maps.Keys(abilities)))
		}
	}
}

func checkRate(where string, rate limit.Rate, refuse func(string, ...any)) {
	if err := rate.Check(); err != nil {
		refuse("%s.limits.%w", where, err)
	}
}
