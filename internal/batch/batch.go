// Package batch makes the calls of a file when there is room for them, OpenAI's Batch API: each line is a call of the workflow
// that asked, through the gateway like every other, with low priority. Rows are the only truth of how far a batch is; jobs
// wake workers. The doors call it; the gateway, the files and the keys are given to it by the wiring.
package batch

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/jobs"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// Status is how far a batch is, in the words of OpenAI's API.
type Status string

const (
	Validating Status = "validating"
	Failed     Status = "failed" // its input cannot be used
	InProgress Status = "in_progress"
	Finalizing Status = "finalizing" // its files are being written
	Completed  Status = "completed"
	Expired    Status = "expired" // its window ended before all lines were done
	Cancelling Status = "cancelling"
	Cancelled  Status = "cancelled"
)

// Batch is a file of calls and how far they are.
type Batch struct {
	ID              string
	Workflow        string
	KeyID           string
	Tier            caller.Tier
	Endpoint        string
	InputFile       string
	OutputFile      string // empty while there is none
	ErrorFile       string
	Window          string
	Metadata        map[string]string
	Status          Status
	Errors          []Problem
	Total           int64
	Completed       int64
	Failed          int64 // lines that ended with an error
	Cost            money.Nanos
	Unpriced        int64            // lines whose cost is not known
	Tiers           map[string]int64 // lines by the service tier that was billed
	CreatedAt       time.Time
	InProgressAt    time.Time
	ExpiresAt       time.Time
	FinalizingAt    time.Time
	CancellingAt    time.Time
	EndedAt         time.Time
	OutputsExpireAt time.Time

	endsAs      Status
	output, bad string // the ids that its files have or will have
}

// Problem is what is wrong with a line of the input.
type Problem struct {
	Code    string `json:"code"`
	Line    int64  `json:"line,omitempty"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
}

// File is an uploaded file, as far as a batch looks at it.
type File struct {
	ID      string
	Purpose string
	Bytes   int64
}

// Output is a file that a batch writes. It belongs to the workflow.
type Output struct {
	ID       string // one that is there is replaced
	Name     string
	Purpose  string
	Workflow string
	Tier     caller.Tier
	Reader   io.Reader
}

// Files keeps what goes in and what comes out; ingestion has them.
type Files interface {
	// Find returns a file that the caller in ctx may read.
	Find(ctx context.Context, fileID string) (File, error)
	// Open reads a file that was found before.
	Open(ctx context.Context, fileID string) (io.ReadCloser, error)
	Keep(ctx context.Context, o Output) error
	Drop(ctx context.Context, fileID string) error
}

// Call is a line as the gateway gets it.
type Call struct {
	Surface llm.Surface
	Body    []byte
	Tags    map[string]string
	Service string // the service tier that is wished for, where the deployment has it
}

// Answer is what became of it. Err is a fault where there is no answer of a provider.
type Answer struct {
	CallID   string
	Status   int
	Body     []byte
	Cost     money.Nanos
	Priced   bool
	Service  string // the tier that was billed; empty is the usual one
	Degraded string
	Err      error
}

// Calls makes calls for the caller in a context; the gateway does.
type Calls interface {
	Make(ctx context.Context, c Call) Answer
}

// Keys says who a key is, now.
type Keys interface {
	Caller(ctx context.Context, keyID string) (*caller.Caller, error)
}

// Audit records who asked for what.
type Audit interface {
	Record(ctx context.Context, tx *db.Tx, e access.Entry) error
}

// Parts is what batches are built from.
type Parts struct {
	DB    *db.DB
	Jobs  *jobs.Queue
	Files Files
	Calls Calls
	Keys  Keys
	Audit Audit
	// Refusal writes a fault as the callers of the model API read it.
	Refusal func(error) (status int, body []byte)
	Log     *slog.Logger
}

// Batches is the feature. Who may see a batch is decided in its methods, by the context's caller.
type Batches struct {
	config Config
	Parts
	clock func() time.Time
}

// New makes it; nothing runs before Register and the queue's Run.
func New(c Config, p Parts) *Batches {
	p.Log = p.Log.With("part", "batch")
	return &Batches{config: c, Parts: p, clock: time.Now}
}

// endpoints are the surfaces that lines may ask.
var endpoints = map[string]llm.Surface{
	"/v1/chat/completions": llm.ChatCompletions, "/v1/responses": llm.Responses, "/v1/embeddings": llm.Embeddings, "/v1/moderations": llm.Moderations,
}

// PurposeInput and PurposeOutput are what its files are for.
const (
	PurposeInput  = "batch"
	PurposeOutput = "batch_output"
)

func encoded(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // maps and lists of texts and numbers always are JSON
		return "null"
	}
	return string(b)
}
