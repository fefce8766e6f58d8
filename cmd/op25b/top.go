// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"op25b/control"
	"op25b/screen"
)

// Bounds of --interval: each reading is two requests on the control socket.
const (
	shortestTopInterval = 100 * time.Millisecond
	longestTopInterval  = time.Hour
)

// topFlags are what top was told.
type topFlags struct {
	gateway  socketFlags
	once     bool
	asJSON   bool
	interval time.Duration
	most     int
	times    int
}

func newTop() *cobra.Command {
	var f topFlags
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Follow the running gateway: throughput, refusals, and who tries most",
		Long: `Show the running gateway on the terminal, as it is every second: its state, the policy
in force and what comes next, throughput, refusals, and the subscribers and destinations
with the most attempts since the hour began. The keys are at the bottom; q quits. A
gateway that restarts or ends is shown as such, and asked again.

Where the output is no terminal, or with --once, --count or --json, it is text: what is
per second is measured between two readings. Who tries is only for those who may change
the gateway; the rest is for whoever may read its status.

Exit codes: 0 ok, 1 failed, 2 usage, 4 no gateway running, 5 no permission.`,
		Example: "  op25b top\n  op25b top --once --interval 10s\n  op25b top --json | jq .top.subscribers[0]",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd); err != nil {
				return &usageError{err}
			}
			client, err := f.gateway.dial(cmd)
			if err != nil {
				return err
			}
			return f.run(cmd, topReader{client, f.most})
		},
	}
	f.gateway.add(cmd)
	jsonFlag(cmd, &f.asJSON)
	cmd.Flags().BoolVar(&f.once, "once", false, "write text once, on a terminal too")
	cmd.Flags().DurationVar(&f.interval, "interval", time.Second, "time between readings, 100ms to 1h")
	cmd.Flags().IntVar(&f.most, "most", 20, "how many subscribers and destinations to name, 1 to 1000")
	cmd.Flags().IntVar(&f.times, "count", 1, "write text so many times, on a terminal too; 0: until it is interrupted")
	return cmd
}

func (f *topFlags) check(cmd *cobra.Command) error {
	counted := cmd.Flags().Changed("count")
	switch {
	case f.interval < shortestTopInterval || f.interval > longestTopInterval:
		return fmt.Errorf("--interval %v is not 100ms to 1h", f.interval)
	case f.most < 1 || f.most > 1000:
		return fmt.Errorf("--most %d is not 1 to 1000", f.most)
	case f.times < 0:
		return fmt.Errorf("--count %d is negative: 0 means until it is interrupted", f.times)
	case f.asJSON && counted:
		return errors.New("--json writes one document: leave --count out")
	case f.once && counted:
		return errors.New("--once and --count both say how often: leave one out")
	}
	return nil
}

func (f *topFlags) run(cmd *cobra.Command, gateway topReader) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if f.asJSON {
		s, top, err := gateway.read(ctx)
		if err != nil {
			return err
		}
		return writeTopJSON(out, &s, &top)
	}
	in, terminal := terminalOf(cmd)
	if terminal && !f.once && !cmd.Flags().Changed("count") {
		return screen.Run(ctx, screen.Options{Ask: gateway.read, Interval: f.interval, In: in, Out: out})
	}
	err := f.text(ctx, out, gateway)
	if ctx.Err() != nil {
		err = nil // it was interrupted, which is how a person ends it
	}
	return err
}

// text writes readings until there were enough.
func (f *topFlags) text(ctx context.Context, out io.Writer, gateway topReader) error {
	before, _, err := gateway.read(ctx)
	if err != nil {
		return err
	}
	at := time.Now()
	for written := 0; f.times == 0 || written < f.times; written++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(f.interval):
		}
		now, top, err := gateway.read(ctx)
		if err != nil {
			return err
		}
		if written > 0 {
			fmt.Fprintln(out)
		}
		elapsed := time.Since(at)
		at = at.Add(elapsed)
		if err := screen.Plain(out, &before, &now, &top, elapsed); err != nil {
			return err
		}
		before = now
	}
	return nil
}

// writeTopJSON leaves top null where it is not for the one who asks.
func writeTopJSON(w io.Writer, s *control.Status, top *control.Top) error {
	if top.Time.IsZero() {
		top = nil
	}
	return writeJSON(w, struct {
		SchemaVersion int             `json:"schema_version"`
		Status        *control.Status `json:"status"`
		Top           *control.Top    `json:"top"`
	}{schemaVersion, s, top})
}

// topReader asks a gateway for what top shows.
type topReader struct {
	client *control.Client
	most   int
}

// read returns a Top without a Time where who tries is not for us: the status still is.
func (r topReader) read(ctx context.Context) (control.Status, control.Top, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	s, err := r.client.Status(ctx)
	if err != nil {
		return s, control.Top{}, err
	}
	top, err := r.client.Top(ctx, control.TopOptions{Most: r.most})
	if errors.Is(err, control.ErrPermission) {
		return s, control.Top{}, nil
	}
	return s, top, err
}

// terminalOf reports whether a person looks at the output and can type.
func terminalOf(cmd *cobra.Command) (in *os.File, terminal bool) {
	in, isFile := cmd.InOrStdin().(*os.File)
	out, isFileToo := cmd.OutOrStdout().(*os.File)
	if !isFile || !isFileToo || os.Getenv("TERM") == "dumb" {
		return nil, false
	}
	return in, term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd()))
}
