// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"op25b/control"
	"op25b/exempt"
)

// errEnough ends a tail that has had as many attempts as were asked for.
var errEnough = errors.New("enough attempts")

func newTail() *cobra.Command {
	var (
		gateway socketFlags
		t       tail
		within  string
	)
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Attempts to reach blocked ports, as they come",
		Long: `Show each attempt of a subscriber to reach a blocked port, while it happens: when, what
became of it, the pool, and who tries whom. Retries of one attempt are one. Ctrl-C ends
it. Whoever reads too slowly misses some, which is said, and is cut off in the end.

Outcomes: refused; monitored, which went through and would have been refused;
not_in_force, which no phase takes in yet; exempt; relayed, to a relay, as it should.

Exit codes: 0 ended by Ctrl-C, --for or --count, 1 failed, or the gateway has ended,
2 usage, 4 no gateway running, 5 no permission.`,
		Example: "  op25b tail --within 100.64.3.7\n  op25b tail --json --for 1h >attempts.ndjson",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if t.opts.Within, err = tailPrefix(within); err != nil {
				return &usageError{err}
			}
			if t.lasts < 0 || t.most < 0 {
				return &usageError{errors.New("--for and --count are above zero, or left out")}
			}
			client, err := gateway.dial(cmd)
			if err != nil {
				return err
			}
			return t.follow(cmd.Context(), client, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	gateway.add(cmd)
	cmd.Flags().BoolVar(&t.asJSON, "json", false, "write a JSON document for each attempt, on a line of its own")
	cmd.Flags().StringVar(&within, "within", "", "only subscribers in this prefix, or the one at this address")
	cmd.Flags().DurationVar(&t.lasts, "for", 0, "end after this time, as in 90s, 5m or 1h (default: with Ctrl-C)")
	cmd.Flags().IntVar(&t.most, "count", 0, "end after so many attempts (default: with Ctrl-C)")
	return cmd
}

func tailPrefix(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	prefix, err := exempt.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("--within %w", err)
	}
	return prefix, nil
}

// tail is what to show of the attempts that come, and for how long.
type tail struct {
	opts   control.TailOptions
	asJSON bool
	lasts  time.Duration // zero: for ever
	most   int           // zero: all
}

// follow shows attempts until there is enough, which is no error.
func (t *tail) follow(ctx context.Context, client *control.Client, out, talk io.Writer) error {
	if t.lasts > 0 {
		bounded, cancel := context.WithTimeout(ctx, t.lasts)
		defer cancel()
		ctx = bounded
	}
	n := 0
	err := client.Tail(ctx, t.opts, func(e control.TailEvent) error {
		if err := t.show(out, talk, &e); err != nil {
			return err
		}
		if n++; n == t.most {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// show writes one attempt. What was missed is in the document, or said beside the lines.
func (t *tail) show(out, talk io.Writer, e *control.TailEvent) error {
	if t.asJSON {
		return writeJSONLine(out, struct {
			SchemaVersion int `json:"schema_version"`
			*control.TailEvent
		}{schemaVersion, e})
	}
	if e.Missed > 0 {
		fmt.Fprintf(talk, "op25b: %d attempts came faster than they could be shown, and were left out\n", e.Missed)
	}
	if _, err := fmt.Fprintf(out, "%s  %-12s  %-12s  %s → %s\n", clockTime(e.Time), e.Outcome, e.Pool, e.Subscriber,
		netip.AddrPortFrom(e.Destination, e.Port)); err != nil {
		return fmt.Errorf("write an attempt: %w", err)
	}
	return nil
}

// writeJSONLine writes a document on one line, for those of which there are many.
func writeJSONLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
