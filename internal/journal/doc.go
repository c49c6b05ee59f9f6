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
package journal
