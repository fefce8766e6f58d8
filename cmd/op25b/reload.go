// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"op25b/control"
)

// reloadTimeout is how long the gateway has to read and compile its configuration.
const reloadTimeout = 60 * time.Second

// reloadReport is the JSON document of reload.
type reloadReport struct {
	SchemaVersion int  `json:"schema_version"`
	OK            bool `json:"ok"`
	// ReloadResult is what came into force; absent if nothing did.
	*control.ReloadResult

	// Problems are why nothing did.
	Problems []string `json:"problems"`
	Fix      string   `json:"fix,omitempty"`
}

func newReload() *cobra.Command {
	var (
		gateway socketFlags
		opts    control.ReloadOptions
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the running gateway read its configuration again",
		Long: `Make the running gateway read its configuration file again and put the policy in
force: all of it or, on any mistake, nothing. No packet is lost and no connection
closed for it. What it says is printed: the generation and what changes with it, or
every problem on a line of its own.

Exit codes: 0 in force, 1 failed, 2 refused (the old policy stays in force),
4 no gateway running, 5 no permission.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := gateway.dial(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), reloadTimeout)
			defer cancel()
			result, err := client.Reload(ctx, opts)
			if asJSON {
				return writeReloadJSON(cmd.OutOrStdout(), &result, err)
			}
			if err != nil {
				return err
			}
			return writeReload(cmd.OutOrStdout(), cmd.ErrOrStderr(), &result)
		},
	}
	gateway.add(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&opts.AcceptClock, "accept-clock", false, "let the rollout go by the machine's clock, even if that was put back")
	cmd.Flags().BoolVar(&opts.Force, "force", false, "also what would be refused for how much it changes")
	return cmd
}

func writeReload(out, talk io.Writer, r *control.ReloadResult) error {
	for _, w := range r.Warnings {
		fmt.Fprintln(talk, "warning:", w)
	}
	if _, err := fmt.Fprintf(out, "generation %d is in force, after %.2g s\n", r.Generation, r.Took); err != nil {
		return err
	}
	for _, change := range r.Changes {
		if _, err := fmt.Fprintln(out, change); err != nil {
			return err
		}
	}
	return nil
}

// writeReloadJSON writes a result or a refusal; any other error is the
// command's.
func writeReloadJSON(out io.Writer, r *control.ReloadResult, err error) error {
	report := reloadReport{SchemaVersion: schemaVersion, OK: err == nil, Problems: []string{}}
	refusal, refused := errors.AsType[*control.Refusal](err)
	switch {
	case err == nil:
		report.ReloadResult = r
	case refused:
		report.Problems, report.Fix = append(report.Problems, refusal.Problems...), refusal.Fix
	default:
		return err
	}
	if err := writeJSON(out, report); err != nil {
		return err
	}
	if refused {
		return status(exitUsage)
	}
	return nil
}
