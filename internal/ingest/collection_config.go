package ingest

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"airfield/internal/aws"
	"airfield/internal/caller"
	"airfield/internal/fetch"
	"airfield/internal/gcs"
	"airfield/internal/ingest/chunk"
	"airfield/internal/ingest/extract"
	"airfield/internal/ingest/schema"
)

// CollectionConfig is one entry of `collections` in airfield.yaml; a collection made through the API has one too.
type CollectionConfig struct {
	Description    string                  `yaml:"description" json:"description,omitempty" doc:"What the collection holds."`
	EmbeddingModel string                  `yaml:"embedding_model" json:"embedding_model" doc:"The model that embeds its chunks."`
	AnswerModel    string                  `yaml:"answer_model" json:"answer_model" doc:"The model that answers from it."`
	Chunking       chunk.Config            `yaml:"chunking" json:"chunking" doc:"How its documents are cut."`
	Records        *extract.Records        `yaml:"records" json:"records,omitempty" doc:"What objects and rows of JSON, CSV and XLSX become, each a chunk of its own. Left out: they are read as they are."`
	Defaults       Defaults                `yaml:"defaults" json:"defaults" doc:"Metadata of documents that bring none of their own."`
	MetadataSchema map[string]any          `yaml:"metadata_schema" json:"metadata_schema,omitempty" doc:"A JSON Schema (2020-12) that every document's metadata must meet."`
	Sources        map[string]SourceConfig `yaml:"sources" json:"sources,omitempty" doc:"Where its documents come from."`
	MaxFileBytes   int64                   `yaml:"max_file_bytes" json:"max_file_bytes" doc:"The largest file it takes."`
	KeepVersions   int                     `yaml:"keep_versions" json:"keep_versions" doc:"How many superseded versions of a document keep their bytes whatever their age."`

	Refresh             RefreshConfig `yaml:"refresh" json:"refresh" doc:"How its generations replace one another: when its embedding model or chunking changes, or on a schedule."`
	ExpireVersionsAfter time.Duration `yaml:"expire_versions_after" json:"expire_versions_after" doc:"Age, counted from its replacement, at which the bytes of an older version go; 0 is at once."`
}

// Defaults is metadata that applies where a document, its sidecar or its upload says nothing.
type Defaults struct {
	Tier         caller.Tier    `yaml:"tier" json:"tier,omitempty" doc:"The access tier: public, internal, confidential or restricted."`
	BusinessUnit string         `yaml:"business_unit" json:"business_unit,omitempty" doc:"The business unit."`
	Type         string         `yaml:"type" json:"type,omitempty" doc:"The document type."`
	Tags         []string       `yaml:"tags" json:"tags,omitempty" doc:"Tags."`
	Metadata     map[string]any `yaml:"metadata" json:"metadata,omitempty" doc:"Free fields."`
}

// SourceConfig is a place that is watched.
type SourceConfig struct {
	Folder         string        `yaml:"folder" json:"folder" doc:"A folder; relative ones are relative to airfield.yaml."`
	S3             string        `yaml:"s3" json:"s3,omitempty" doc:"Instead of a folder, a bucket or a part of one: s3://NAME/PREFIX?region=REGION, as in bucket.url. It is read with what AWS's own tools find."`
	GCS            string        `yaml:"gcs" json:"gcs,omitempty" doc:"Instead of a folder, a bucket of Google Cloud Storage or a part of one: gs://NAME/PREFIX. It is read with what Google's own tools find; for a public one with ?anonymous=true."`
	SQL            *SQLConfig    `yaml:"sql" json:"sql,omitempty" doc:"Instead of a folder, a table or a query of a PostgreSQL database."`
	Web            *WebConfig    `yaml:"web" json:"web,omitempty" doc:"Instead of a folder, a web site or a part of one."`
	API            *APIConfig    `yaml:"api" json:"api,omitempty" doc:"Instead of a folder, a JSON API with a list of records."`
	Include        []string      `yaml:"include" json:"include,omitempty" doc:"Globs of paths to take, ** for any depth; all where empty."`
	Exclude        []string      `yaml:"exclude" json:"exclude,omitempty" doc:"Globs of paths to leave out."`
	Interval       time.Duration `yaml:"interval" json:"interval,omitempty" doc:"How often the whole source is compared, besides being watched or told of events; where empty 5m, 1h for APIs and for sql with a cursor or replication, 24h for web sites."`
	FollowSymlinks bool          `yaml:"follow_symlinks" json:"follow_symlinks,omitempty" doc:"Whether links that stay inside the folder are followed."`
	Defaults       Defaults      `yaml:"defaults" json:"defaults" doc:"Metadata of its documents, before the collection's defaults."`
}

// The kinds of sources.
const (
	KindFolder = "folder"
	KindS3     = "s3"
	KindGCS    = "gcs"
	KindSQL    = "sql"
	KindWeb    = "web"
	KindAPI    = "api"
)

// Kind is where the source reads; "" where it is not configured.
func (s SourceConfig) Kind() string {
	switch {
	case s.SQL != nil:
		return KindSQL
	case s.S3 != "":
		return KindS3
	case s.GCS != "":
		return KindGCS
	case s.Folder != "":
		return KindFolder
	case s.Web != nil:
		return KindWeb
	case s.API != nil:
		return KindAPI
	}
	return ""
}

// Place is where the source reads, in a word for messages.
func (s SourceConfig) Place() string {
	switch s.Kind() {
	case KindS3:
		return s.S3
	case KindGCS:
		return s.GCS
	case KindSQL:
		return cmp.Or(s.SQL.Table, "a query")
	case KindWeb:
		return s.Web.URL
	case KindAPI:
		u, err := url.Parse(s.API.URL)
		if err != nil {
			return ""
		}
		return fetch.Shown(u)
	}
	return s.Folder
}

// checkPlace refuses what names no place, or two.
func (s SourceConfig) checkPlace() error {
	places := 0
	for _, named := range []bool{s.Folder != "", s.S3 != "", s.GCS != "", s.SQL != nil, s.Web != nil, s.API != nil} {
		if named {
			places++
		}
	}
	switch {
	case places == 0:
		return fmt.Errorf("folder, s3, gcs, sql, web or api is missing")
	case places > 1:
		return fmt.Errorf("folder, s3, gcs, sql, web and api: a source is one of them")
	case s.SQL != nil && len(s.Include)+len(s.Exclude) > 0:
		return fmt.Errorf("include and exclude are for files: give a query with a WHERE")
	case s.SQL != nil:
		if err := s.SQL.check(); err != nil {
			return fmt.Errorf("sql: %w", err)
		}
	case s.Web != nil:
		if err := s.Web.check(); err != nil {
			return fmt.Errorf("web: %w", err)
		}
	case s.API != nil:
		if err := s.API.check(); err != nil {
			return fmt.Errorf("api: %w", err)
		}
	case s.S3 != "":
		if _, err := aws.Parse(s.S3); err != nil {
			return fmt.Errorf("s3: %w", err)
		}
	case s.GCS != "":
		if _, err := gcs.Parse(s.GCS); err != nil {
			return fmt.Errorf("gcs: %w", err)
		}
	}
	return nil
}

// DefaultCollection is a collection with the builtin models.
func DefaultCollection() CollectionConfig {
	return CollectionConfig{
		EmbeddingModel: "builtin-embed", AnswerModel: "builtin-answer", Chunking: chunk.Default(),
		Defaults: Defaults{Tier: caller.Internal}, MaxFileBytes: 200 << 20, KeepVersions: 3, ExpireVersionsAfter: 90 * 24 * time.Hour, Refresh: DefaultRefresh(),
	}
}

var nameShape = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// Check reports what is wrong or unwise.
func (c CollectionConfig) Check() (warnings []string, err error) {
	if c.EmbeddingModel == "" {
		return nil, fmt.Errorf("embedding_model is missing")
	}
	if c.MaxFileBytes < 1 {
		return nil, fmt.Errorf("max_file_bytes must be above zero")
	}
	if c.KeepVersions < 0 {
		return nil, fmt.Errorf("keep_versions must not be negative")
	}
	if c.ExpireVersionsAfter < 0 {
		return nil, fmt.Errorf("expire_versions_after must not be negative")
	}
	if warnings, err = c.Chunking.Check(); err != nil {
		return nil, fmt.Errorf("chunking: %w", err)
	}
	if err := c.Refresh.check(); err != nil {
		return nil, fmt.Errorf("refresh: %w", err)
	}
	if _, err := schema.Compile(c.MetadataSchema); err != nil {
		return nil, fmt.Errorf("metadata_schema: %w", err)
	}
	if c.Records != nil {
		more, err := c.Records.Check()
		if err == nil {
			err = c.mapped()
		}
		if err != nil {
			return nil, fmt.Errorf("records: %w", err)
		}
		warnings = append(warnings, more...)
	}
	if c.Defaults.Tier == caller.None {
		return nil, fmt.Errorf("defaults.tier is missing: public, internal, confidential or restricted")
	}
	if err := c.Defaults.check(); err != nil {
		return nil, fmt.Errorf("defaults: %w", err)
	}
	places := map[string]string{}
	for name, s := range c.Sources {
		if !nameShape.MatchString(name) || slices.Contains(reservedSources, name) {
			return nil, fmt.Errorf("sources.%s: use lower case letters, digits, dots and dashes, and none of %s", name, strings.Join(reservedSources, ", "))
		}
		if err := s.checkPlace(); err != nil {
			return nil, fmt.Errorf("sources.%s: %w", name, err)
		}
		if s.Interval != 0 && s.Interval < time.Second {
			return nil, fmt.Errorf("sources.%s: interval: at least 1s, not %s", name, s.Interval)
		}
		if err := s.Defaults.check(); err != nil {
			return nil, fmt.Errorf("sources.%s: defaults: %w", name, err)
		}
		for _, glob := range slices.Concat(s.Include, s.Exclude) {
			if _, err := Glob(glob); err != nil {
				return nil, fmt.Errorf("sources.%s: %w", name, err)
			}
		}
		place := s.Place()
		switch s.Kind() {
		case KindFolder:
			place = filepath.Clean(place)
		case KindSQL:
			place += "\n" + s.SQL.URL.Ref() + "\n" + s.SQL.Query
		case KindAPI:
			place = s.API.URL // its query chooses
		}
		if other, taken := places[place]; taken {
			warnings = append(warnings, fmt.Sprintf("sources %s and %s watch the same place: every file becomes two documents", min(name, other), max(name, other)))
		}
		places[place] = name
	}
	return warnings, nil
}

// mapped refuses a field that records give and the metadata's schema does not take.
func (c CollectionConfig) mapped() error {
	known, _ := c.MetadataSchema["properties"].(map[string]any)
	open, said := c.MetadataSchema["additionalProperties"].(bool)
	for _, key := range slices.Sorted(maps.Keys(c.Records.Metadata)) {
		if _, ok := known[key]; !ok && said && !open {
			return fmt.Errorf("metadata.%s: metadata_schema has no such field, and takes no others", key)
		}
		if _, err := field(key, ""); err != nil {
			return fmt.Errorf("metadata.%s: %w", key, err)
		}
	}
	return nil
}

func (d Defaults) check() error {
	if d.Tier < caller.None || d.Tier > caller.Restricted {
		return fmt.Errorf("tier: %s is not an access tier", d.Tier)
	}
	for key := range d.Metadata {
		if slices.Contains(standardFields, key) {
			return fmt.Errorf("metadata.%s is a standard field: put it beside metadata, not in it", key)
		}
	}
	_, err := ParseMetadata(d.Metadata)
	return err
}

func (d Defaults) metadata() Metadata {
	return Metadata{Tier: d.Tier, BusinessUnit: d.BusinessUnit, Type: d.Type, Tags: d.Tags, Fields: d.Metadata}
}

// The sources that no configuration may name.
const (
	SourceUpload = "upload"
	SourceFiles  = "files"
)

var reservedSources = []string{SourceUpload, SourceFiles}
