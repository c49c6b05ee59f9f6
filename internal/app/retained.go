package app

import (
	"time"

	"airfield/internal/config"
	"airfield/internal/ingest"
)

// retained is what may hold a deleted document's words beyond the reach of its purge, as the configuration has it: bodies
// are kept from the end of their day, so that a day more is certain.
func retained(c *config.Config) []ingest.Retained {
	keep, ever := c.Observe.Bodies.Keep, c.Observe.Bodies.Keep == 0
	for _, w := range c.Workflows {
		keep = max(keep, w.KeepBodies)
	}
	bodies := ingest.Retained{What: "bodies of calls that were answered from it", For: keep + 24*time.Hour, Note: "where bodies are kept; observe.bodies.keep and keep_bodies say how long"}
	if ever {
		bodies.For, bodies.Note = 0, "observe.bodies.keep is 0: where bodies are kept they are kept for ever"
	}
	list := []ingest.Retained{bodies}
	if c.Responses.Keep > 0 {
		list = append(list, ingest.Retained{What: "responses that were made from it", Note: "each for " + c.Responses.Keep.String() + " after it was made or continued last (responses.keep)"})
	}
	return append(list,
		ingest.Retained{What: "answers in the cache", Note: "never given again: the deletion changed the key that they are found by"},
		ingest.Retained{What: "backups that were made before", Note: "until you delete them; after restoring one, delete the document again"},
		ingest.Retained{What: "its source", Note: "a source that still has the document brings it again, as a new one"},
	)
}
