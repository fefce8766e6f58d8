// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"op25b/control"
)

// statusTimeout is how long a gateway has to say how it is.
const statusTimeout = 5 * time.Second

func newStatus() *cobra.Command {
	var (
		gateway socketFlags
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "How the running gateway is, what is wrong and what it has done",
		Long: `Ask the running gateway how it is: its state, what is wrong with what it does to
customers and what to type, the policy in force, interfaces, what became of packets,
and its workers. Times are those of this machine. Rows of zeroes are left out.

Exit codes: 0 ok, 1 failed, 3 degraded, starting or stopping, 4 no gateway running,
5 no permission.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := gateway.dial(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), statusTimeout)
			defer cancel()
			s, err := client.Status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), struct {
					SchemaVersion int `json:"schema_version"`
					control.Status
				}{schemaVersion, s})
			} else {
				_, err = cmd.OutOrStdout().Write(statusPage(&s, time.Now()))
			}
			if err == nil && s.State != control.StateOK {
				err = status(exitDegraded)
			}
			return err
		},
	}
	gateway.add(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}
