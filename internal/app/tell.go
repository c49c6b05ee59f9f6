package app

import (
	"airfield/internal/gateway"
	"airfield/internal/notify"
)

// tell brings what the gateway has noticed to people.
func (p *parts) tell(a gateway.Alert) {
	severity := notify.Warning
	if a.Resolved {
		severity = notify.Info
	}
	p.notify.Send(notify.Event{Kind: a.Kind, Key: a.Key, Severity: severity, Title: a.Title, Text: a.Text, Resolved: a.Resolved, Fields: a.Fields})
}

// redisChanged tells that the processes count and cache for themselves, or share again.
func (p *parts) redisChanged(away bool, reason string) {
	e := notify.Event{Kind: "redis.away", Key: "redis", Severity: notify.Warning, Title: "Redis is away", Resolved: !away,
		Text: "Every process keeps the limits for itself, at their full rate, and caches nothing. " + reason}
	if !away {
		e.Severity, e.Title, e.Text = notify.Info, "Redis is back", "Limits and cached answers are shared again."
	}
	p.notify.Send(e)
}
