package llm

import "time"

// What is kept of a call's request and answer, as its row says. The last three are found when the row is looked at.
const (
	BodiesKept      = "kept"
	BodiesTruncated = "truncated" // kept, of one of them only the beginning
	BodiesRequest   = "request"   // of the request alone: the call was cut in two, or there was no room for the answer
	BodiesNone      = "none"      // the workflow, or the environment, keeps none
	BodiesDropped   = "dropped"   // there was no room
	BodiesPending   = "pending"   // on their way to where every process can read them
	BodiesExpired   = "expired"   // their time is over
	BodiesLost      = "lost"      // the process died before they were on disk
)

// Exchange is what was asked and answered in a call, as it went to and fro. The bytes are not changed once they are here.
type Exchange struct {
	CallID      string
	Environment string
	Workflow    string
	Surface     Surface
	Mode        string        // keep or none; empty where the workflow leaves it to the environment
	Keep        time.Duration // how long; 0 leaves it to the environment
	Until       time.Time     // until when they are kept: filled in by who keeps them; zero is for ever

	Request     []byte
	RequestSize int64 // as it was sent; more than Request holds where only its beginning is kept
	Answer      []byte
	AnswerSize  int64
	AnswerType  string // its media type
}
