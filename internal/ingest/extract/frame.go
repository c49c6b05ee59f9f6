package extract

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// maxFrame bounds what either side accepts, so that a broken peer cannot make the other allocate without end.
const maxFrame = 16 << 20

// request is what the parent sends for one file.
type request struct {
	Path         string `json:"path"`
	Name         string `json:"name"`
	DeclaredType string `json:"declared_type,omitempty"`
	Config       Config `json:"config"`
	CacheDir     string `json:"cache_dir,omitempty"`
	Tesseract    string `json:"tesseract,omitempty"` // the program's path, "" where there is none

	Records *Records `json:"records,omitempty"` // what records become; nil where they are read as they are
	Preview bool     `json:"preview,omitempty"` // what is wrong with records is told, and fails nothing
}

// reply is one frame from the child: exactly one field is set. Done or Fault ends the file.
type reply struct {
	Page  *Page   `json:"page,omitempty"`
	Done  *Result `json:"done,omitempty"`
	Fault *failed `json:"fault,omitempty"`
}

// failed carries a fault over the pipe; its cause stays in the child's stderr.
type failed struct {
	Kind  string `json:"kind"`
	Code  string `json:"code"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"`
	Field string `json:"field,omitempty"`
}

// writeFrame writes v as a four-byte big-endian length and that many bytes of JSON, in one write.
func writeFrame(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(body) > maxFrame {
		return fmt.Errorf("frame of %d bytes is above %d", len(body), maxFrame)
	}
	frame := make([]byte, 4, 4+len(body))
	binary.BigEndian.PutUint32(frame, uint32(len(body)))
	if _, err := w.Write(append(frame, body...)); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// readFrame reads one frame into v. io.EOF means the peer ended between frames; anything else is a broken peer.
func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if err == io.EOF {
			return io.EOF
		}
		return fmt.Errorf("read frame: %w", err)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxFrame {
		return fmt.Errorf("frame of %d bytes is above %d", size, maxFrame)
	}
	// The limited reader grows with what arrives, so a false length costs nothing.
	body, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil {
		return fmt.Errorf("read frame: %w", err)
	}
	if len(body) < int(size) {
		return fmt.Errorf("read frame: %w", io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("decode frame: %w", err)
	}
	return nil
}
