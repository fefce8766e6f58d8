// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"op25b/config"
	"op25b/export"
)

func newExport() *cobra.Command {
	var (
		path, target string
		asJSON       bool
	)
	cmd := &cobra.Command{
		Use:   "export --to TARGET",
		Short: "The policy as rules for the router that you have",
		Long: `Write the policy of the configuration file as a rule set for another router:
` + strings.Join(export.Targets(), ", ") + `. Its comments say how to load and remove
it, and what it cannot do. Nothing is changed.`,
		Example: "  op25b export --to nftables > op25b.nft && nft -c -f op25b.nft",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(export.Targets(), target) {
				return &usageError{fmt.Errorf("--to %q is no target; there are %s", target, strings.Join(export.Targets(), ", "))}
			}
			rules, err := loadRulebook(path)
			if err != nil {
				return err
			}
			d, err := exportPolicy(target, path, rules, time.Now())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), struct {
					SchemaVersion int `json:"schema_version"`
					*export.Document
				}{schemaVersion, d})
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "op25b: %s cannot do all that op25b does: see the %d points at the top\n", target, len(d.Cannot))
			_, err = io.WriteString(cmd.OutOrStdout(), d.Text)
			return err
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&target, "to", "", "for what: "+strings.Join(export.Targets(), ", "))
	return cmd
}

func exportPolicy(target, path string, rules *rulebook, now time.Time) (*export.Document, error) {
	cfg := rules.cfg
	policy, err := rules.at(now)
	if err != nil {
		return nil, err
	}
	return export.New(target, export.Request{
		File: path, Time: now, Subscribers: cfg.Interfaces.Subscriber,
		Ports: cfg.Policy.Ports, Established: cfg.Policy.Established == config.EstablishedReset, Policy: policy,
	})
}
