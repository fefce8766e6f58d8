// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"op25b/config"
	"op25b/tunnel"
)

func newCleanup() *cobra.Command {
	var (
		path   string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove what a crashed run left",
		Long: `Remove the rules, routes and netfilter table that a gateway which is gone has left
in this network namespace, the guard that keeps the blocked ports shut included.
It refuses to while a gateway is running.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := cleanupConfig(path, cmd.Flags().Changed("config"))
			if err != nil {
				return err
			}
			removed, err := cleanup(cfg)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), struct {
					SchemaVersion int      `json:"schema_version"`
					Removed       []string `json:"removed"`
				}{schemaVersion, append([]string{}, removed...)})
			}
			for _, r := range removed {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), "removed:", r); err != nil {
					return err
				}
			}
			if len(removed) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "nothing to remove")
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// cleanupConfig falls back to the defaults where nobody wrote a file: a crash
// must be cleaned up even when the configuration is gone.
func cleanupConfig(path string, asked bool) (*config.Config, error) {
	cfg, err := loadConfig(path)
	if !asked && errors.Is(err, fs.ErrNotExist) {
		def := config.Default()
		return &def, nil
	}
	return cfg, err
}

func cleanup(cfg *config.Config) ([]string, error) {
	for _, port := range []string{cfg.Tunnel.Subscriber, cfg.Tunnel.Upstream} {
		if pid, running := tunnel.Running(port); running && pid == 0 {
			return nil, fmt.Errorf("the TUN %s exists, and no process that can be seen has it open: remove it first, with: ip link del %[1]s", port)
		} else if running {
			return nil, fmt.Errorf("a gateway is running (process %d has %s): stop it first, with: kill %d", pid, port, pid)
		}
	}
	other, err := tunnel.OtherGateway()
	if err != nil {
		return nil, err
	}
	if other != "" {
		return nil, fmt.Errorf("a gateway is running (process %d has %s): stop it first, with: kill %[1]d",
			tunnel.Holder(other), other)
	}
	return tunnel.Cleanup(cfg.Forwarding.Table)
}
