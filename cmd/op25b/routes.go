// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"op25b/tunnel"
)

func newRoutes() *cobra.Command {
	var (
		path   string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "routes",
		Short: "The commands equivalent to what run sets up",
		Long: `Print the ip, sysctl and nft commands that would set up by hand what run sets up
through netlink, in order. Nothing is changed.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rules, err := loadRulebook(path)
			if err != nil {
				return err
			}
			policy, err := rules.at(time.Now())
			if err != nil {
				return err
			}
			plan := tunnelPlan(rules.cfg, policy)
			if plan.MTU, err = tunnel.MTU(&plan); err != nil {
				const ethernet = 1500
				plan.MTU = ethernet
				fmt.Fprintf(cmd.ErrOrStderr(), "op25b: tunnel.mtu is auto, and not all interfaces are here: %d assumed\n", ethernet)
			}
			commands := plan.Commands()
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), struct {
					SchemaVersion int      `json:"schema_version"`
					Commands      []string `json:"commands"`
				}{schemaVersion, commands})
			}
			for _, c := range commands {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), c); err != nil {
					return err
				}
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}
