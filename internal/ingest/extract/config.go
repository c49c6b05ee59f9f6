package extract

import (
	"fmt"
	"regexp"
	"time"
)

// Config bounds what one file may cost. Every limit is per file.
type Config struct {
	Children          int           `yaml:"children" json:"children" doc:"How many files are extracted at once, each in a process of its own."`
	PageTimeout       time.Duration `yaml:"page_timeout" json:"page_timeout" doc:"The longest a file may go without a page being finished."`
	FileTimeout       time.Duration `yaml:"file_timeout" json:"file_timeout" doc:"The longest a whole file may take."`
	MaxMemoryBytes    int64         `yaml:"max_memory_bytes" json:"max_memory_bytes" doc:"Resident memory above which the extracting process is stopped."`
	MaxBytes          int64         `yaml:"max_bytes" json:"max_bytes" doc:"The largest file that is read."`
	MaxPages          int           `yaml:"max_pages" json:"max_pages" doc:"Pages after which the rest of a file is left out, with a warning."`
	MaxTextBytes      int64         `yaml:"max_text_bytes" json:"max_text_bytes" doc:"Extracted text after which the rest of a file is left out, with a warning."`
	MaxArchiveBytes   int64         `yaml:"max_archive_bytes" json:"max_archive_bytes" doc:"The most a zipped format (DOCX, PPTX, XLSX) may unpack to, all entries together."`
	MaxArchiveEntries int           `yaml:"max_archive_entries" json:"max_archive_entries" doc:"The most entries a zipped format may hold."`
	MaxArchiveRatio   int64         `yaml:"max_archive_ratio" json:"max_archive_ratio" doc:"The highest ratio of unpacked to packed size of an entry of a zipped format."`
	RecycleAfter      int           `yaml:"recycle_after" json:"recycle_after" doc:"Files after which an extracting process is replaced by a fresh one."`
	IdleTimeout       time.Duration `yaml:"idle_timeout" json:"idle_timeout" doc:"How long an extracting process is kept warm with nothing to do."`
	OCR               OCR           `yaml:"ocr" json:"ocr" doc:"Text recognition for scanned pages and pictures, by tesseract."`

	Command  []string `yaml:"-" json:"-" doc:"The command of the extracting process; by default this binary with extract-child."`
	CacheDir string   `yaml:"-" json:"-" doc:"Where the compiled PDF engine is kept between starts; set from the data folder."`
}

// Default returns the limits that fit a laptop.
func Default() Config {
	return Config{
		Children:          2,
		PageTimeout:       2 * time.Minute,
		FileTimeout:       10 * time.Minute,
		MaxMemoryBytes:    1 << 30,
		MaxBytes:          200 << 20,
		MaxPages:          5000,
		MaxTextBytes:      64 << 20,
		MaxArchiveBytes:   512 << 20,
		MaxArchiveEntries: 10_000,
		MaxArchiveRatio:   200,
		RecycleAfter:      200,
		IdleTimeout:       time.Minute,
		OCR:               OCR{Command: "tesseract", Languages: "eng", Timeout: time.Minute},
	}
}

var languages = regexp.MustCompile(`^[A-Za-z][A-Za-z_/]*(\+[A-Za-z][A-Za-z_/]*)*$`)

// Check refuses limits that make extraction impossible and warns about unwise ones.
func (c Config) Check() (warnings []string, err error) {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"children", int64(c.Children)}, {"page_timeout", int64(c.PageTimeout)}, {"file_timeout", int64(c.FileTimeout)},
		{"max_memory_bytes", c.MaxMemoryBytes}, {"max_bytes", c.MaxBytes}, {"max_pages", int64(c.MaxPages)},
		{"max_text_bytes", c.MaxTextBytes}, {"max_archive_bytes", c.MaxArchiveBytes},
		{"max_archive_entries", int64(c.MaxArchiveEntries)}, {"max_archive_ratio", c.MaxArchiveRatio},
		{"recycle_after", int64(c.RecycleAfter)}, {"idle_timeout", int64(c.IdleTimeout)},
		{"ocr.timeout", int64(c.OCR.Timeout)},
	} {
		if f.value <= 0 {
			return nil, fmt.Errorf("%s must be above zero", f.name)
		}
	}
	if c.PageTimeout > c.FileTimeout {
		return nil, fmt.Errorf("page_timeout (%s) must not exceed file_timeout (%s)", c.PageTimeout, c.FileTimeout)
	}
	if c.OCR.Timeout > c.PageTimeout {
		return nil, fmt.Errorf("ocr.timeout (%s) must not exceed page_timeout (%s)", c.OCR.Timeout, c.PageTimeout)
	}
	if !languages.MatchString(c.OCR.Languages) {
		return nil, fmt.Errorf("ocr.languages must be names such as eng or eng+deu, not %q", c.OCR.Languages)
	}
	if c.MaxMemoryBytes < 256<<20 {
		warnings = append(warnings, "max_memory_bytes under 256 MiB stops the extraction of ordinary PDFs")
	}
	if c.MaxBytes > c.MaxMemoryBytes/2 {
		warnings = append(warnings, "max_bytes above half of max_memory_bytes: the largest files may be stopped for memory")
	}
	return warnings, nil
}
