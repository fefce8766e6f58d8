// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"op25b/control"
	"op25b/exempt"
	"op25b/report"
)

// reportTimeout is how long a gateway has for a report, and a little more.
const reportTimeout = 70 * time.Second

func newReport() *cobra.Command {
	var (
		gateway socketFlags
		span    reportSpan
		form    reportForm
	)
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Who tried to send directly, what it looks like, and what a phase takes in",
		Long: `Ask the running gateway for a report about a stretch of time, the last 7 days unless
told otherwise: how many subscribers tried what, by pool and phase, who looks like a
mail program that is not set up for submission and who like a computer that is not its
owner's alone, whose address others may use, which exemptions are used, and the trend.
Times are taken as whole hours. The gateway needs a journal for what is older than
itself.

Tables for --csv: ` + strings.Join(report.Tables(), ", ") + `.
Exit codes: 0 ok, 1 failed, 2 usage, 4 no gateway running, 5 no permission.`,
		Example: "  op25b report --last 30d\n  op25b report --from '2026-12-01 00:00 Asia/Tokyo' --to '2027-01-01 00:00 Asia/Tokyo' --html december.html\n" +
			"  op25b report --csv findings >findings.csv",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := span.options(time.Now())
			if err == nil {
				err = form.check()
			}
			if err != nil {
				return &usageError{err}
			}
			client, err := gateway.dial(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), reportTimeout)
			defer cancel()
			r, err := client.Report(ctx, opts)
			if err != nil {
				return err
			}
			return form.write(cmd.OutOrStdout(), &r)
		},
	}
	gateway.add(cmd)
	jsonFlag(cmd, &form.asJSON)
	span.add(cmd)
	cmd.Flags().StringVar(&form.table, "csv", "", "write one table as CSV: "+strings.Join(report.Tables(), ", "))
	cmd.Flags().StringVar(&form.page, "html", "", "write a page into this file, which is replaced, or to standard output (-)")
	return cmd
}

// reportSpan is the time that a report is about, as it is typed.
type reportSpan struct{ from, to, last string }

func (s *reportSpan) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.from, "from", "", "where the time begins, as in '2026-12-01 00:00 Asia/Tokyo' or 2026-12-01T00:00:00+09:00")
	cmd.Flags().StringVar(&s.to, "to", "", "where it ends (default now)")
	cmd.Flags().StringVar(&s.last, "last", "", "how long it is up to the end, as in 7d or 36h (default 7d)")
}

// options reads it. What is left out, the gateway knows.
func (s *reportSpan) options(now time.Time) (opts control.ReportOptions, err error) {
	if s.from != "" && s.last != "" {
		return opts, errors.New("--from and --last both say where the time begins: leave one out")
	}
	if opts.From, err = reportTime("--from", s.from); err != nil {
		return opts, err
	}
	if opts.To, err = reportTime("--to", s.to); err != nil || s.last == "" {
		return opts, err
	}
	epoch := time.Unix(0, 0).UTC() // where every day has 24 hours
	until, ok := fromNow(s.last, epoch)
	if !ok {
		return opts, fmt.Errorf("--last %q is no number of days or hours: write one such as 7d or 36h", s.last)
	}
	if opts.To.IsZero() {
		opts.To = now
	}
	opts.From = opts.To.Add(-until.Sub(epoch))
	return opts, nil
}

func reportTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := exempt.ParseTime(text)
	if err != nil {
		return t, fmt.Errorf("%s %q: %w", flag, text, err)
	}
	return t, nil
}

// reportForm is how a report is written: as text, if nothing else is said.
type reportForm struct {
	asJSON      bool
	table, page string
}

func (f *reportForm) check() error {
	n := 0
	for _, asked := range []bool{f.asJSON, f.table != "", f.page != ""} {
		if asked {
			n++
		}
	}
	switch {
	case n > 1:
		return errors.New("--json, --csv and --html are three forms: leave two out")
	case f.table != "" && !slices.Contains(report.Tables(), f.table):
		return fmt.Errorf("--csv %q is no table; there are %s", f.table, strings.Join(report.Tables(), ", "))
	}
	return nil
}

func (f *reportForm) write(out io.Writer, r *report.Report) error {
	switch {
	case f.asJSON:
		return writeJSON(out, struct {
			SchemaVersion int `json:"schema_version"`
			*report.Report
		}{schemaVersion, r})
	case f.table != "":
		return r.WriteCSV(out, f.table)
	case f.page == "-":
		return r.WriteHTML(out)
	case f.page != "":
		return replaceFile(f.page, r.WriteHTML)
	}
	width, isTerminal := terminalWidth(out)
	return r.WriteText(out, report.TextOptions{Width: width, Plain: !isTerminal})
}

// terminalWidth is how many columns the terminal has that out is. Zero: not known.
func terminalWidth(out io.Writer) (width int, isTerminal bool) {
	file, isFile := out.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	width, _, _ = term.GetSize(int(file.Fd())) // zero after an error
	return width, true
}

// replaceFile writes a file that nobody sees half, and the caller alone may read: it
// tells about subscribers. What is there and no regular file is written to as it is.
func replaceFile(path string, write func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeInto(path, write)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(file.Name()))
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(file.Name()))
	}
	return nil
}

func writeInto(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
