// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"op25b/exempt"
)

// exemptList is the JSON document of exempt list.
type exemptList struct {
	SchemaVersion int           `json:"schema_version"`
	Time          time.Time     `json:"time"`
	Exemptions    []exemptEntry `json:"exemptions"`
}

// exemptEntry is one exemption of the list.
type exemptEntry struct {
	Prefix netip.Prefix `json:"prefix"`
	Pool   string       `json:"pool"`
	Reason string       `json:"reason"`
	Ticket string       `json:"ticket"`
	By     string       `json:"by"`
	Added  time.Time    `json:"added,omitzero"`
	Until  time.Time    `json:"until"`
	// Seconds are left; below zero, it ended that long ago.
	Seconds int64 `json:"seconds_left"`
	// Soon tells that it ends within two weeks.
	Soon bool   `json:"soon"`
	File string `json:"file"`
	Line int    `json:"line"`
}

func newExemptList() *cobra.Command {
	var (
		path, within    string
		expired, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "The exemptions that hold, the first to end first",
		Long: `List the exemptions that hold, the first to end first. What ends within two weeks is
marked with an exclamation mark.

Exit codes: 0 listed, 1 failed, 2 usage or mistakes in a file, 5 no permission.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if expired && within != "" {
				return &usageError{errors.New("--expired and --expiring list different ones: leave one out")}
			}
			cfg, err := loadConfig(path)
			if err != nil {
				return err
			}
			all, err := loadExemptions(cfg, "")
			if err != nil {
				return err
			}
			now := time.Now()
			if all, err = chosen(all, now, within, expired); err != nil {
				return err
			}
			list := listExemptions(indexPools(cfg), all, now)
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), list)
			}
			return list.write(cmd.OutOrStdout())
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&within, "expiring", "", "only those that end within this time, such as 14d or 12h")
	cmd.Flags().BoolVar(&expired, "expired", false, "those that have ended, the last to end first")
	return cmd
}

// chosen are the exemptions to list, in order.
func chosen(all []exempt.Exemption, now time.Time, within string, expired bool) ([]exempt.Exemption, error) {
	active := exempt.Active(all, now)
	byEnd := func(a, b exempt.Exemption) int { return a.Until.Compare(b.Until) }
	switch {
	case expired:
		ended := slices.DeleteFunc(slices.Clone(all), func(e exempt.Exemption) bool { return now.Before(e.Until) })
		slices.SortStableFunc(ended, func(a, b exempt.Exemption) int { return byEnd(b, a) })
		return ended, nil
	case within != "":
		last, ok := fromNow(within, now)
		if !ok {
			return nil, &usageError{fmt.Errorf("--expiring %q is no number of days or hours: write 14d, or 12h", within)}
		}
		return exempt.Expiring(all, now, last.Sub(now)), nil
	}
	slices.SortStableFunc(active, byEnd)
	return active, nil
}

func listExemptions(pools poolIndex, all []exempt.Exemption, now time.Time) *exemptList {
	list := &exemptList{SchemaVersion: schemaVersion, Time: now, Exemptions: []exemptEntry{}}
	for _, e := range all {
		left := e.Until.Sub(now)
		list.Exemptions = append(list.Exemptions, exemptEntry{
			Prefix: e.Prefix, Pool: pools.of(e.Prefix).name, Reason: e.Reason, Ticket: e.Ticket, By: e.By, Added: e.Added, Until: e.Until,
			Seconds: int64(left.Seconds()), Soon: left > 0 && left <= expiring, File: e.File, Line: e.Line,
		})
	}
	return list
}

func (l *exemptList) write(out io.Writer) error {
	if len(l.Exemptions) == 0 {
		_, err := fmt.Fprintln(out, "none")
		return err
	}
	const gap = 2
	w := tabwriter.NewWriter(out, 0, 0, gap, ' ', 0)
	fmt.Fprintln(w, "PREFIX\tPOOL\tUNTIL\tLEFT\tTICKET\tBY\tREASON")
	for _, e := range l.Exemptions {
		left := leftFor(e.Until.Sub(l.Time))
		if e.Soon {
			left += " !"
		}
		fmt.Fprintln(w, strings.Join([]string{
			e.Prefix.String(), cmp.Or(e.Pool, "(none)"), clockTime(e.Until), left, cmp.Or(e.Ticket, "-"), cmp.Or(e.By, "-"), e.Reason,
		}, "\t"))
	}
	return w.Flush()
}

// leftFor says how long something holds, in whole days or hours.
func leftFor(d time.Duration) string {
	if d <= 0 {
		return "ended"
	}
	const day = 24 * time.Hour
	if d < day {
		return plural(int(d/time.Hour), "hour", "hours")
	}
	return plural(int(d/day), "day", "days")
}
