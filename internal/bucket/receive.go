package bucket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// Receive copies an upload to w, which backends give errors that are for users, and says what it was: its size and its
// SHA-256. It ends with the context, with the first error of r or w, and with more than limit bytes, 0 being no limit.
func Receive(ctx context.Context, w io.Writer, r io.Reader, key string, limit int64) (size int64, sum string, err error) {
	hash := sha256.New()
	in := &input{ctx: ctx, r: r, limit: limit}
	size, err = io.Copy(io.MultiWriter(w, hash), in)
	switch {
	case in.err != nil: // tells an error of the reader from one of the writer
		return 0, "", fmt.Errorf("receive object %q: %w", key, in.err)
	case err != nil:
		return 0, "", err
	case limit > 0 && size > limit:
		return 0, "", TooLarge(key, limit)
	}
	return size, hex.EncodeToString(hash.Sum(nil)), nil
}

// input reads up to one byte more than the limit, until the context ends, and remembers what r said.
type input struct {
	ctx   context.Context
	r     io.Reader
	limit int64 // 0 is none
	read  int64
	err   error
}

func (in *input) Read(p []byte) (int, error) {
	if in.err = context.Cause(in.ctx); in.err != nil {
		return 0, in.err
	}
	if in.limit > 0 {
		if in.read > in.limit {
			return 0, io.EOF
		}
		p = p[:min(int64(len(p)), in.limit+1-in.read)]
	}
	n, err := in.r.Read(p)
	in.read += int64(n)
	if err != nil && err != io.EOF {
		in.err = err
	}
	return n, err
}
