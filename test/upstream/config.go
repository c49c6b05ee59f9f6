package upstream

import (
	"fmt"
	"strings"
)

// Provider is the upstream's entry among providers, with further keys of it: Provider("mock", "timeouts: {first_byte: 1s}").
func (u *Upstream) Provider(name string, more ...string) string {
	keys := append([]string{"kind: openai", fmt.Sprintf("base_url: %q", u.URL+"/v1")}, more...)
	return fmt.Sprintf("  %s: {%s}\n", name, strings.Join(keys, ", "))
}

// Models is the part of airfield.yaml that names it as the provider mock, with the models chat and vectors, and chat+SUFFIX for
// each of Named that is asked for. A token in costs a millionth of a dollar, one that comes out two.
func (u *Upstream) Models(suffixes ...string) string {
	var b strings.Builder
	b.WriteString("\nproviders:\n" + u.Provider("mock", u.options.Provider...) + "models:\n")
	for _, suffix := range append([]string{""}, suffixes...) {
		b.WriteString(Chat(suffix, "mock"))
	}
	fmt.Fprintf(&b, "  vectors: {dimensions: %d, deployments: [{provider: mock, prices: {input: 1}}]}\n", u.options.Dimensions)
	return b.String()
}

// Chat is an entry among models: chat, or chat+SUFFIX, served by providers in turn.
func Chat(suffix string, providers ...string) string {
	name := "chat"
	if suffix != "" {
		name += "+" + suffix
	}
	var deployments []string
	for _, p := range providers {
		deployments = append(deployments, fmt.Sprintf("{provider: %s, prices: {input: 1, output: 2}}", p))
	}
	return fmt.Sprintf("  %q: {deployments: [%s]}\n", name, strings.Join(deployments, ", "))
}

// Question is a chat request to the model of a suffix, told apart from others by its number. More are further fields, such as
// `"max_tokens":50`.
func Question(suffix string, n int, stream bool, more ...string) []byte {
	model := "chat"
	if suffix != "" {
		model += "+" + suffix
	}
	fields := append([]string{fmt.Sprintf(`"model":%q,"stream":%t`, model, stream)}, more...)
	return fmt.Appendf(nil, `{%s,"messages":[{"role":"user","content":"Is lot %d in good order? please please please please please"}]}`, strings.Join(fields, ","), n)
}
