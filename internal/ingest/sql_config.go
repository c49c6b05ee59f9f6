package ingest

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"time"

	"airfield/internal/secret"
)

// SQLConfig is a source that is a table or a query of a PostgreSQL database: every row is a document.
type SQLConfig struct {
	URL         secret.Value       `yaml:"url" json:"url" doc:"env:NAME or file:PATH of the database's address, postgres://USER:PASSWORD@HOST/DATABASE. It never prints."`
	Table       string             `yaml:"table" json:"table,omitempty" doc:"The table, or SCHEMA.TABLE, whose rows are documents."`
	Query       string             `yaml:"query" json:"query,omitempty" doc:"Instead of a table, one SELECT; it is read as a subquery, in a session that can only read."`
	Key         []string           `yaml:"key" json:"key,omitempty" doc:"The columns that together name a row: unique and never NULL. The document is named after them."`
	Cursor      string             `yaml:"cursor" json:"cursor,omitempty" doc:"A column that grows with every change of a row, such as updated_at: what is new by it is read every poll, between two comparisons of the whole."`
	Overlap     string             `yaml:"overlap" json:"overlap,omitempty" doc:"How far before the newest cursor rows are read again, for transactions that end late: a time (1m where empty) or, where the cursor is a number, a number (1000 where empty)."`
	Poll        time.Duration      `yaml:"poll" json:"poll,omitempty" doc:"How often rows with a new cursor are asked for; 1s where empty."`
	Timeout     time.Duration      `yaml:"timeout" json:"timeout,omitempty" doc:"The longest that one statement may take on the database's side; 1m where empty."`
	Metadata    map[string]string  `yaml:"metadata" json:"metadata,omitempty" doc:"Metadata of documents by column: tier, type, business_unit, title, date, tags or a free field, and the column that says it."`
	Replication *ReplicationConfig `yaml:"replication" json:"replication,omitempty" doc:"Follow the table's changes as they are committed, by logical replication."`
}

// ReplicationConfig names what changes are read from.
type ReplicationConfig struct {
	Slot        string `yaml:"slot" json:"slot" doc:"The replication slot. It is made where it is not there, and must be this source's alone."`
	Publication string `yaml:"publication" json:"publication" doc:"The publication that the table is in; CREATE PUBLICATION makes it."`
}

var slotShape = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

const maxKeyColumns = 16

func (c SQLConfig) check() error {
	switch {
	case c.URL.Ref() == "":
		return fmt.Errorf("url is missing: env:NAME or file:PATH of the database's address")
	case (c.Table == "") == (c.Query == ""):
		return fmt.Errorf("one of table and query is needed")
	case len(c.Key) == 0 || len(c.Key) > maxKeyColumns:
		return fmt.Errorf("key: the 1 to %d columns that name a row", maxKeyColumns)
	case slices.Contains(c.Key, ""):
		return fmt.Errorf("key: a column without a name")
	case c.Poll < 0 || c.Poll > 0 && c.Poll < 100*time.Millisecond:
		return fmt.Errorf("poll: at least 100ms, not %s", c.Poll)
	case c.Timeout < 0 || c.Timeout > 0 && c.Timeout < time.Second:
		return fmt.Errorf("timeout: at least 1s, not %s", c.Timeout)
	case c.Cursor == "" && (c.Overlap != "" || c.Poll != 0):
		return fmt.Errorf("overlap and poll belong to a cursor, and there is none")
	}
	if c.Overlap != "" {
		d, err := time.ParseDuration(c.Overlap)
		n, isNumber := new(big.Int).SetString(c.Overlap, 10)
		if (err != nil || d < 0) && (!isNumber || n.Sign() < 0) {
			return fmt.Errorf("overlap: a time such as 1m or a number such as 1000, not %q", c.Overlap)
		}
	}
	for field, column := range c.Metadata {
		if field == "" || column == "" {
			return fmt.Errorf("metadata: FIELD: COLUMN, and neither is empty")
		}
	}
	if r := c.Replication; r != nil {
		switch {
		case c.Table == "":
			return fmt.Errorf("replication: the changes of a table can be followed, those of a query cannot: give table")
		case c.Cursor != "":
			return fmt.Errorf("replication tells of every change: leave cursor out")
		case !slotShape.MatchString(r.Slot):
			return fmt.Errorf("replication.slot: 1 to 63 lower case letters, digits and underscores")
		case r.Publication == "" || len(r.Publication) > 63:
			return fmt.Errorf("replication.publication is missing or too long")
		}
	}
	return nil
}
