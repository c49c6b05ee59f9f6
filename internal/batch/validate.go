package batch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"airfield/internal/db"
	"airfield/internal/fault"
)

// maxProblems is how many are told of an input; a file that is wrong throughout need not be quoted.
const maxProblems = 100

const maxCustomID = 512

// newLine is a line of the input that can be used.
type newLine struct {
	number   int64
	customID string
	body     string
}

// validate reads the input of a batch and makes its lines, or makes it fail; both in one transaction.
func (s *Batches) validate(ctx context.Context, b Batch) error {
	lines, problems, err := s.readInput(ctx, b)
	if err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(tx *db.Tx) error {
		now, err := s.locked(ctx, tx, b.ID)
		if err != nil || now.Status != Validating {
			return err // another worker did it, or it was cancelled meanwhile
		}
		at := db.Micros(s.clock())
		if len(problems) > 0 {
			_, err := tx.Exec(ctx, "UPDATE batches SET status = ?, errors = ?, ended_at = ? WHERE id = ?", string(Failed), encoded(problems), at, b.ID)
			return err
		}
		err = tx.Insert(ctx, "batch_lines", []string{"batch_id", "number", "custom_id", "state", "request", "due_at", "attempts", "cut", "failed", "answer", "leased_by", "leased_until"}, "", len(lines),
			func(i int, args []any) []any {
				l := &lines[i]
				return append(args, b.ID, l.number, l.customID, lineWaiting, l.body, int64(0), int64(0), int64(0), int64(0), "", "", int64(0))
			})
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE batches SET status = ?, total = ?, in_progress_at = ? WHERE id = ?", string(InProgress), len(lines), at, b.ID); err != nil {
			return err
		}
		return s.wakeLanes(ctx, tx, b.ID, len(lines))
	})
}

// readInput takes the file apart. Its problems are the user's; an error is ours, and it is tried again.
func (s *Batches) readInput(ctx context.Context, b Batch) ([]newLine, []Problem, error) {
	file, err := s.Files.Open(ctx, b.InputFile)
	if fault.Is(err, fault.NotFound) {
		return nil, []Problem{{Code: "invalid_file", Message: "The input file is not there any more.", Param: "input_file_id"}}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open the input of batch %s: %w", b.ID, err)
	}
	defer file.Close()
	var lines []newLine
	var problems []Problem
	seen := map[string]int64{}
	in := bufio.NewReaderSize(io.LimitReader(file, s.config.MaxBytes+1), 64<<10)
	for number := int64(1); len(problems) < maxProblems; number++ {
		text, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, fmt.Errorf("read the input of batch %s: %w", b.ID, err)
		}
		if number == 1 {
			text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			line, p := readLine(text, b.Endpoint)
			line.number = number
			if first, twice := seen[line.customID]; twice && p == nil {
				p = &Problem{Code: "duplicate_custom_id", Message: fmt.Sprintf("The custom_id of this request is that of line %d, too.", first), Param: "custom_id"}
			}
			if p != nil {
				p.Line = number
				problems = append(problems, *p)
			} else {
				seen[line.customID] = number
				lines = append(lines, line)
			}
			if len(lines) > s.config.MaxLines {
				return nil, append(problems, Problem{Code: "too_many_requests", Line: number, Message: fmt.Sprintf("The file has more than the %d requests that a batch may have.", s.config.MaxLines)}), nil
			}
		}
		if err != nil {
			break
		}
	}
	if len(lines) == 0 && len(problems) == 0 {
		problems = append(problems, Problem{Code: "empty_file", Message: "The input file has no requests."})
	}
	return lines, problems, nil
}

// readLine reads one request of the input.
func readLine(text []byte, endpoint string) (newLine, *Problem) {
	wrong := func(code, param, message string) (newLine, *Problem) {
		return newLine{}, &Problem{Code: code, Param: param, Message: message}
	}
	var read struct {
		CustomID *string         `json:"custom_id"`
		Method   string          `json:"method"`
		URL      string          `json:"url"`
		Body     json.RawMessage `json:"body"`
	}
	if !utf8.Valid(text) || json.Unmarshal(text, &read) != nil {
		return wrong("invalid_json_line", "", "This line is not parseable as a JSON object of custom_id, method, url and body.")
	}
	switch {
	case read.CustomID == nil || *read.CustomID == "" || len(*read.CustomID) > maxCustomID || strings.ContainsRune(*read.CustomID, 0):
		return wrong("missing_required_parameter", "custom_id", fmt.Sprintf("Every request needs a custom_id of at most %d bytes, none of them NUL.", maxCustomID))
	case read.Method != "POST":
		return wrong("invalid_method", "method", "The method of every request is POST.")
	case read.URL != endpoint:
		return wrong("invalid_url", "url", fmt.Sprintf("The url of this request is not the endpoint of the batch, %s.", endpoint))
	case len(read.Body) == 0 || read.Body[0] != '{':
		return wrong("missing_required_parameter", "body", "Every request needs a body, a JSON object.")
	}
	var body struct {
		Stream bool `json:"stream"`
	}
	if json.Unmarshal(read.Body, &body) == nil && body.Stream {
		return wrong("invalid_request", "body.stream", "Requests of a batch do not stream.")
	}
	return newLine{customID: *read.CustomID, body: string(read.Body)}, nil
}

// lanes is how many workers share a batch at the most.
const lanes = 2

// wakeLanes has workers begin with the lines of a batch.
func (s *Batches) wakeLanes(ctx context.Context, tx *db.Tx, batchID string, lines int) error {
	for lane := range min(lanes, (lines+s.config.Parallel-1)/s.config.Parallel) {
		if err := s.wake(ctx, tx, batchID, lane+1, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}
