package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"airfield/internal/redis"
)

// Shared is the cache of all processes on one Redis.
type Shared struct {
	redis  *redis.Client
	most   int64
	counts counts

	compressor func() (*zstd.Encoder, error) // made when first needed
	expander   func() (*zstd.Decoder, error)
}

// NewShared returns a cache on a Redis. c has passed Check.
func NewShared(client *redis.Client, c Config) *Shared {
	return &Shared{
		redis: client, most: c.MaxEntryBytes,
		compressor: sync.OnceValues(func() (*zstd.Encoder, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true), zstd.WithEncoderConcurrency(2))
		}),
		expander: sync.OnceValues(func() (*zstd.Decoder, error) {
			return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(uint64(c.MaxEntryBytes)), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(2))
		}),
	}
}

// A value begins with a byte that says how it is written. One from this size on is compressed.
const (
	plain          = 'p'
	compressed     = 'z'
	worthIt        = 4 << 10
	keys           = "cache:"
	longestInRedis = 365 * 24 * time.Hour
)

var errForm = errors.New("not a form that we write")

// Get returns a value that is still fresh. Where Redis is away there is none.
func (s *Shared) Get(ctx context.Context, key string) (value []byte, found bool) {
	stored, found, _ := s.redis.Get(ctx, keys+key)
	if found {
		var err error
		value, err = s.decode(stored)
		found = err == nil
	}
	s.counts.found(found)
	return value, found
}

// Set keeps a value, unless Redis is away.
func (s *Shared) Set(ctx context.Context, key string, value []byte, ttl time.Duration) {
	if _, _, away := s.redis.Away(); !away && s.counts.keeps(value, s.most, ttl) {
		s.redis.Set(ctx, keys+key, s.encode(value), min(ttl, longestInRedis))
	}
}

// Stats counts what happened since the start.
func (s *Shared) Stats() Stats { return s.counts.read() }

func (s *Shared) encode(value []byte) []byte {
	if len(value) >= worthIt {
		if c, err := s.compressor(); err == nil {
			if small := c.EncodeAll(value, append(make([]byte, 0, len(value)/2), compressed)); len(small) < len(value) {
				return small
			}
		}
	}
	return append(append(make([]byte, 0, 1+len(value)), plain), value...)
}

func (s *Shared) decode(stored []byte) ([]byte, error) {
	switch {
	case len(stored) > 0 && stored[0] == plain:
		return stored[1:], nil
	case len(stored) > 1 && stored[0] == compressed:
		x, err := s.expander()
		if err != nil {
			return nil, err
		}
		return x.DecodeAll(stored[1:], nil)
	}
	return nil, errForm
}
