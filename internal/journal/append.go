package journal

import (
	"errors"
	"runtime"
	"sync"
	"syscall"

	"airfield/internal/fault"
)

const (
	keptBytes   = 1 << 20 // the largest buffer that is kept for a later batch
	keptBatches = 16
	yields      = 4   // batches of one record after which a leader no longer waits for company,
	retryYield  = 256 // but for each 256th
)

// batch is the records of several appenders, brought to the disk by one write of one of them, who leads.
type batch struct {
	cond    *sync.Cond
	buf     []byte
	records uint64
	waiters int
	done    bool
	err     error
}

func newBatch(mu *sync.Mutex) *batch { return &batch{cond: sync.NewCond(mu)} }

// Append adds a record. When it returns nil, the record survives the end of this process, however it comes; with
// Config.Sync also power loss. When it returns an error the record is not in the journal: a fault.Unavailable
// says that the journal ("journal_full") or the disk ("disk_full") has no room, and later appends may succeed.
func (j *Journal) Append(record []byte) error {
	if len(record) > MaxRecordBytes {
		return fault.New(fault.TooLarge, "journal_record", "a journal record has %d bytes, more than the %d allowed", len(record), MaxRecordBytes)
	}
	sum := j.framing.checksum(record)
	size := int64(frameBytes + len(record))
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fault.New(fault.Unavailable, "journal_closed", "the journal is closed")
	}
	if j.bytes+size > j.config.MaxBytes {
		return j.full()
	}
	j.bytes += size
	b := j.filling
	b.buf = j.framing.appendTo(b.buf, record, sum)
	b.records++
	b.waiters++
	for !b.done {
		if j.writing {
			b.cond.Wait()
		} else {
			j.lead()
		}
	}
	err := b.err
	if b.waiters--; b.waiters == 0 {
		j.recycle(b)
	}
	return err
}

// lead writes the batch that is filling. It needs mu, and gives it up meanwhile, so that the next batch fills.
func (j *Journal) lead() {
	j.writing = true
	if j.alone < yields || j.alone%retryYield == 0 {
		// Appenders that are ready to run get in before the write: measured, it halves the CPU time of an append.
		j.mu.Unlock()
		runtime.Gosched()
		j.mu.Lock()
	}
	b := j.filling
	if n := len(j.spare); n > 0 {
		j.filling, j.spare = j.spare[n-1], j.spare[:n-1]
	} else {
		j.filling = newBatch(&j.mu)
	}
	current := j.segments[len(j.segments)-1]
	rotate := j.rotate || current.size >= j.config.SegmentBytes
	j.mu.Unlock()

	var err error
	if rotate {
		current, err = j.nextSegment(current.number + 1)
		rotate = err == nil
	}
	if err == nil {
		err = j.write(b.buf, current.size)
	}

	j.mu.Lock()
	if rotate {
		j.segments = append(j.segments, current)
		j.bytes += headerBytes
		j.rotate = false
	}
	if err == nil {
		j.segments[len(j.segments)-1].size += int64(len(b.buf))
		j.appended += b.records
		j.announce()
	} else {
		b.err = writeError(err)
		j.bytes -= int64(len(b.buf))
		// After a failed flush nobody knows what the kernel still holds of this file.
		j.rotate = j.rotate || j.config.Sync && current.size > headerBytes
	}
	if j.alone++; b.records > 1 {
		j.alone = 0
	}
	b.done = true
	b.cond.Broadcast()
	j.writing = false
	j.filling.cond.Signal() // whoever waits in the next batch leads it
}

// nextSegment replaces the file that is appended to. Only who leads calls it.
func (j *Journal) nextSegment(number uint64) (segment, error) {
	file, s, err := createSegment(j.dir, j.id, number)
	if err != nil {
		return s, err
	}
	j.file.Close() // its records are written; with Sync they are durable too
	j.file = file
	return s, nil
}

// write puts a batch at the end of the last segment, whole or not at all. Only who leads calls it.
func (j *Journal) write(buf []byte, end int64) error {
	_, err := j.file.WriteAt(buf, end)
	if err == nil && j.config.Sync {
		err = j.file.Sync()
	}
	if err != nil {
		// If this fails as well, the next write overwrites what is there, and no reader goes past the end.
		err = errors.Join(err, j.file.Truncate(end))
	}
	return err
}

// recycle keeps a batch that all its appenders have left. It needs mu.
func (j *Journal) recycle(b *batch) {
	b.buf, b.records, b.done, b.err = b.buf[:0], 0, false, nil
	if cap(b.buf) <= keptBytes && len(j.spare) < keptBatches {
		j.spare = append(j.spare, b)
	}
}

func (j *Journal) full() error {
	return fault.New(fault.Unavailable, "journal_full", "the journal has used up its %d bytes", j.config.MaxBytes).
		Hinted("bring the database back so that the journal drains, or raise journal.max_bytes")
}

func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
