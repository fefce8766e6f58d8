// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"op25b/lab"
)

func newDemo() *cobra.Command {
	var keep, asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work, in network namespaces, with real SMTP",
		Long: `Build subscribers, a gateway and an upstream in network namespaces, run the real
gateway between them, and show who is refused on port 25 and who is not. It takes
under a minute, changes nothing of this machine's own network, and cleans up, also
after Ctrl-C. It needs root.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return lab.Demo(cmd.Context(), lab.DemoOptions{Keep: keep, Out: cmd.OutOrStdout(), JSON: asJSON})
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the network up and say how to look around in it")
	jsonFlag(cmd, &asJSON)
	return cmd
}
