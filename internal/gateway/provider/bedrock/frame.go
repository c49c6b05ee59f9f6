package bedrock

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

const (
	frameHead = 12        // bytes: the length, that of the headers, and their checksum
	maxFrame  = 768 << 10 // bytes of a frame: as an event it stays below what the gateway looks into
)

// frames turns an AWS event stream into server-sent events, each with one JSON object: first the head, and then for each
// frame, under the event's type, its payload; exceptions under "exception". Checksums are checked by the decoder.
// https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html has the frames.
type frames struct {
	body    io.ReadCloser
	src     *bufio.Reader
	decoder *eventstream.Decoder
	head    []byte // nil once it is written
	payload []byte
	out     bytes.Buffer
	err     error
}

func newFrames(body io.ReadCloser, head []byte) *frames {
	return &frames{body: body, head: head, src: bufio.NewReaderSize(body, 8<<10), decoder: eventstream.NewDecoder(), payload: make([]byte, 0, 4<<10)}
}

func (f *frames) Close() error { return f.body.Close() }

// Read gives out what there is. It waits for the rest of a frame only while there is nothing to give out.
func (f *frames) Read(p []byte) (int, error) {
	for f.out.Len() == 0 {
		if f.err != nil {
			return 0, f.err
		}
		f.err = f.next()
	}
	return f.out.Read(p)
}

// next reads a frame and those that have come with it.
func (f *frames) next() error {
	for {
		head, err := f.src.Peek(frameHead)
		switch {
		case errors.Is(err, io.EOF) && len(head) > 0:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
		size := binary.BigEndian.Uint32(head)
		if size > maxFrame {
			return fmt.Errorf("a frame of the answer has %d bytes, more than the %d that are read", size, maxFrame)
		}
		m, err := f.decoder.Decode(f.src, f.payload[:0])
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("read a frame of the answer: %w", err)
		}
		f.payload = m.Payload[:0]
		if err := f.write(m); err != nil {
			return err
		}
		if f.src.Buffered() < frameHead {
			return nil
		}
		if head, _ := f.src.Peek(frameHead); uint64(binary.BigEndian.Uint32(head)) > uint64(f.src.Buffered()) {
			return nil
		}
	}
}

// write appends the event that a frame is.
func (f *frames) write(m eventstream.Message) error {
	header := func(name string) string {
		if v := m.Headers.Get(name); v != nil {
			return v.String()
		}
		return ""
	}
	var name string
	payload := m.Payload
	switch kind := header(":message-type"); kind {
	case "event":
		if name = header(":event-type"); name == "exception" || name == "head" {
			name = "" // these are ours
		}
	case "exception", "error":
		name = "exception"
		said := header(":exception-type")
		if kind == "error" {
			said = header(":error-code")
			text, err := json.Marshal(map[string]string{"message": header(":error-message")})
			if err != nil {
				return err
			}
			payload = text
		}
		_, payload = typed(said, payload)
	default:
		return fmt.Errorf("a frame of the answer is of no known kind: %q", clip(kind))
	}
	key, err := json.Marshal(name)
	if err != nil {
		return err
	}
	if f.head != nil {
		fmt.Fprintf(&f.out, "data: {\"head\":%s}\n\n", f.head)
		f.head = nil
	}
	f.out.WriteString("data: {")
	f.out.Write(key)
	f.out.WriteByte(':')
	if err := json.Compact(&f.out, payload); err != nil { // it may have line ends between its tokens
		return fmt.Errorf("a frame of the answer is not JSON: %w", err)
	}
	f.out.WriteString("}\n\n")
	return nil
}
