// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"op25b/census"
)

// TestDocs asks what docs/journal.md says can be asked.
func TestDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/journal.md")
	if err != nil {
		t.Fatal(err)
	}
	j := open(t, options(t))
	r := tried("192.0.2.1/32", "dsl", 0, mx, 7)
	r.Hour = time.Now().Truncate(time.Hour)
	j.AddRecords([]census.Record{r})
	released := hold("192.0.2.1/32", "02:00:5e:00:53:01", "dhcp", 1)
	j.Hold(released)
	j.Release(released.Prefix, "dhcp", at(2))
	flush(t, j)
	reader := j.reader.Load()
	queries := regexp.MustCompile(`journal\.db "(SELECT [^"]*)"`).FindAllStringSubmatch(string(text), -1)
	if len(queries) != 4 {
		t.Error(len(queries))
	}
	for _, q := range queries {
		rows, err := reader.db.QueryContext(t.Context(), q[1])
		if err != nil {
			t.Error(q[1], err)
			continue
		}
		n := 0
		for rows.Next() {
			n++
		}
		if n != 1 || rows.Err() != nil {
			t.Error(q[1], n, rows.Err())
		}
		rows.Close()
	}
	// The tables that it names have the columns that it names.
	for _, migration := range migrations {
		for _, table := range regexp.MustCompile(`CREATE TABLE (\w+) \(([^;]*)\) STRICT`).FindAllStringSubmatch(migration, -1) {
			if !strings.Contains(string(text), fmt.Sprintf("`%s`", table[1])) {
				t.Error("it does not name", table[1])
			}
			if table[1] != "records" && table[1] != "held" && table[1] != "shelves" && table[1] != "pools" {
				continue
			}
			for _, column := range regexp.MustCompile(`(?m)^\s*([a-z_]+) +(INTEGER|TEXT|BLOB)`).FindAllStringSubmatch(table[2], -1) {
				if !strings.Contains(string(text), fmt.Sprintf("`%s`", column[1])) {
					t.Errorf("it does not name %s of %s", column[1], table[1])
				}
			}
		}
	}
}
