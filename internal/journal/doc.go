// Package journal is an append-only log of records on the local disk. The gateway's call log appends to it on
// the way of every call, and a drain reads it into the database: so a record outlives a crash of the process
// and an outage of the database. It knows nothing of what is in a record.
//
// A journal is a folder of segment files, NNNNNNNNNNNNNNNN.journal, and a file "lock" that keeps a second
// process out. A segment is a header (magic, version, number, the journal's id, checksum) and records, each a
// marker, its length, a CRC-32C and the bytes. Marker and checksum are derived from the journal's random id, so
// that a reader that lost its place to damaged bytes finds the next record and cannot be fooled by a payload
// that looks like one. Every Open begins a new segment: a position handed out before a crash or a power loss
// never names a different record afterwards.
//
//	func Open(dir string, c Config, log *slog.Logger) (*Journal, error)
//	func (j *Journal) Append(record []byte) error
//	func (j *Journal) Reader(from Position) *Reader
//	func (j *Journal) Trim(upTo Position) error
//	func (j *Journal) Stats() Stats
//	func OpenReader(dir string, log *slog.Logger) (*Archive, error)
//	func (r *Reader) Next(ctx) (record []byte, next Position, err error)
//	func (r *Reader) TryNext() (record []byte, next Position, ok bool, err error)
//	func (r *Reader) ReadBatch(ctx, max int) (records [][]byte, next Position, err error)
package journal
