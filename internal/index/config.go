package index

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"airfield/internal/secret"
)

// Config is the part of airfield.yaml that says where the index is.
type Config struct {
	URL            string        `yaml:"url" json:"url" doc:"Empty: in the data folder, each process its own. database: in the PostgreSQL of database.url, with pgvector, shared by all processes. postgres://USER@HOST/DATABASE: in another one."`
	Password       secret.Value  `yaml:"password" json:"password" doc:"The password for a PostgreSQL of its own, env:NAME or file:PATH; for database that of database.password is taken."`
	Schema         string        `yaml:"schema" json:"schema" doc:"The schema in PostgreSQL that the index has for itself; installations that share a database need one each."`
	MaxConnections int           `yaml:"max_connections" json:"max_connections" doc:"Connections of a process for searches at the most; changes have up to four of their own."`
	Timeout        time.Duration `yaml:"timeout" json:"timeout" doc:"How long a statement of a search may take, and a connection be waited for."`
}

// InDatabase is the address that stands for the PostgreSQL of database.url.
const InDatabase = "database"

// DefaultConfig is the index in the data folder.
func DefaultConfig() Config {
	return Config{Schema: "airfield_index", MaxConnections: 8, Timeout: 10 * time.Second}
}

// Embedded reports whether the index is in the data folder.
func (c Config) Embedded() bool { return c.URL == "" }

var validSchema = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// Check reports what is wrong or unwise.
func (c Config) Check() (warnings []string, err error) {
	own := strings.HasPrefix(c.URL, "postgres://") || strings.HasPrefix(c.URL, "postgresql://")
	switch {
	case c.URL != "" && c.URL != InDatabase && !own:
		return nil, fmt.Errorf("url: %q is neither empty, nor %q, nor postgres://…", secret.RedactURL(c.URL), InDatabase)
	case !validSchema.MatchString(c.Schema) || c.Schema == "public" || strings.HasPrefix(c.Schema, "pg_"):
		return nil, fmt.Errorf("schema: %q cannot be a schema of the index: small letters, digits and _, and neither public nor pg_…", c.Schema)
	case c.MaxConnections < 1:
		return nil, fmt.Errorf("max_connections: at least 1, not %d", c.MaxConnections)
	case c.Timeout < 100*time.Millisecond || c.Timeout > 10*time.Minute:
		return nil, fmt.Errorf("timeout: between 100ms and 10m, not %s", c.Timeout)
	}
	if secret.InURL(c.URL) {
		warnings = append(warnings, "url: holds a password: it belongs in password, as env:NAME or file:PATH, which never print")
	}
	if c.Password.Ref() != "" && !own {
		warnings = append(warnings, "password: is not used: only an index with an address of its own has one")
	}
	return warnings, nil
}
