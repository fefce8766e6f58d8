// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"op25b/config"
	"op25b/control"
	"op25b/exempt"
	"op25b/journal"
)

// explainReport is the JSON document of explain.
type explainReport struct {
	SchemaVersion int `json:"schema_version"`
	*control.Explanation
}

func newExplain() *cobra.Command {
	var (
		path, socket, at string
		asJSON           bool
	)
	cmd := &cobra.Command{
		Use:   "explain SRC DST[:PORT]",
		Short: "What happens to a connection, or happened, by which rule, and what to tell the customer",
		Long: `Say what happens when the subscriber SRC opens a connection to DST, port 25 unless
given: by which rule, since when and until when, who has the address, and what to tell
the customer. The answer comes from the code that judges packets. With --at it is about
another time: who had the address then and which policy was in force is known where the
configuration names lease sources and a journal.

The gateway that runs is asked, or with -c the configuration file, which is read
without -c too if no gateway runs.`,
		Example: "  op25b explain 100.64.0.2 203.0.113.25\n  op25b explain 2001:db8:a:1::2 [2001:db8::25]:587\n" +
			"  op25b explain --at '2026-05-03 10:12 Asia/Tokyo' 100.64.0.2 203.0.113.25",
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := explainOptions(args[0], args[1], at)
			if err != nil {
				return &usageError{err}
			}
			asked := socket
			if cmd.Flags().Changed("config") || os.Getenv("OP25B_CONFIG") != "" {
				asked = ""
			}
			e, err := explain(cmd.Context(), asked, path, opts)
			if errors.Is(err, control.ErrNotRunning) && !cmd.Flags().Changed("socket") {
				e, err = explain(cmd.Context(), "", path, opts)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), explainReport{schemaVersion, e})
			}
			_, err = cmd.OutOrStdout().Write(explanationPage(e))
			return err
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&socket, "socket", config.Default().Control.Socket, "control socket of the gateway")
	cmd.Flags().StringVar(&at, "at", "", "the moment that is asked about, as in '2026-05-03 10:12 Asia/Tokyo' or 2026-05-03T10:12:00+09:00 (default now)")
	return cmd
}

func explainOptions(src, dst, at string) (opts control.ExplainOptions, err error) {
	if opts.Source, opts.Destination, err = endpoints(src, dst); err != nil || at == "" {
		return opts, err
	}
	if opts.At, err = exempt.ParseTime(at); err != nil {
		return opts, fmt.Errorf("--at %q: %w", at, err)
	}
	return opts, nil
}

// explain asks the gateway on a socket or, without one, the configuration file and the
// journal that it names.
func explain(ctx context.Context, socket, path string, opts control.ExplainOptions) (*control.Explanation, error) {
	if socket != "" {
		e, err := control.Dial(socket).Explain(ctx, opts)
		return &e, err
	}
	rules, err := loadRulebook(path)
	if err != nil {
		return nil, err
	}
	known := &knowledge{rules: rules, origin: control.PolicyOrigin{Source: "file", File: path}, now: time.Now()}
	if file := rules.cfg.Journal.Path; file != "" {
		reader, err := journal.OpenReader(file)
		if err != nil { // what the file says is worth having all the same
			e, failed := known.explain(ctx, opts)
			if e != nil {
				e.Text += fmt.Sprintf(" Who had the address is not known: %v.", err)
			}
			return e, failed
		}
		defer reader.Close()
		known.past = reader
	}
	return known.explain(ctx, opts)
}

// endpoints reads SRC and DST[:PORT].
func endpoints(srcText, dstText string) (src netip.Addr, dst netip.AddrPort, err error) {
	src, err = netip.ParseAddr(srcText)
	if err != nil {
		return src, dst, fmt.Errorf("SRC %q is no IP address", srcText)
	}
	dst, err = netip.ParseAddrPort(dstText)
	if err != nil {
		const smtp = 25
		addr, err := netip.ParseAddr(strings.Trim(dstText, "[]"))
		if err != nil {
			return src, dst, fmt.Errorf("DST %q is no IP address, with or without :PORT ([...]:PORT for IPv6)", dstText)
		}
		dst = netip.AddrPortFrom(addr, smtp)
	}
	src = src.Unmap().WithZone("")
	dst = netip.AddrPortFrom(dst.Addr().Unmap().WithZone(""), dst.Port())
	if src.Is4() != dst.Addr().Is4() {
		return src, dst, fmt.Errorf("SRC %s and DST %s are of different families", src, dst.Addr())
	}
	return src, dst, nil
}
