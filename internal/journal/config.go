package journal

import "fmt"

// MaxRecordBytes is the largest record a journal takes.
const MaxRecordBytes = 16 << 20

// Config is the part of airfield.yaml that the journal owns.
type Config struct {
	SegmentBytes int64 `yaml:"segment_bytes" json:"segment_bytes" doc:"Size at which a new file is begun; only whole files are given back."`
	Sync         bool  `yaml:"sync" json:"sync" doc:"Whether a record survives power loss and not only a crash of the process; costs a disk flush for each batch of records."`
	MaxBytes     int64 `yaml:"max_bytes" json:"max_bytes" doc:"Disk the journal may use while the database is away; when it is used up, calls are refused."`
}

// Default takes up to 4 GiB in files of 64 MiB.
func Default() Config { return Config{SegmentBytes: 64 << 20, MaxBytes: 4 << 30} }

// Check reports what is wrong or unwise.
func (c Config) Check() (warnings []string, err error) {
	switch {
	case c.SegmentBytes < 4<<10:
		return nil, fmt.Errorf("segment_bytes: at least 4096, not %d", c.SegmentBytes)
	case c.MaxBytes < 2*c.SegmentBytes:
		return nil, fmt.Errorf("max_bytes: at least twice segment_bytes (%d), not %d", c.SegmentBytes, c.MaxBytes)
	}
	if c.MaxBytes < 256<<20 {
		warnings = append(warnings, "max_bytes under 256 MiB holds only a few minutes of busy traffic while the database is away")
	}
	return warnings, nil
}
