// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"op25b/filter"
)

// diffReport is the JSON document of diff.
type diffReport struct {
	SchemaVersion int  `json:"schema_version"`
	Same          bool `json:"same"`
	filter.Diff

	Changes []string `json:"changes"`
}

func newDiff() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "What a change of policy does, before it is loaded",
		Long: `Say what the policy of the configuration file NEW changes of that of OLD: prefixes,
how many addresses are refused or freed, relays and ports. A gateway that reloads
says the same. Settings other than the policy are not compared.

Exit codes: 0 said, 2 one of the files has mistakes.`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			old, oldErr := compileFile(args[0])
			next, nextErr := compileFile(args[1])
			if err := errors.Join(oldErr, nextErr); err != nil {
				return err
			}
			return writeDiff(cmd.OutOrStdout(), filter.DiffPolicies(old, next), asJSON)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func compileFile(path string) (*filter.Policy, error) {
	rules, err := loadRulebook(path)
	if err != nil {
		return nil, err
	}
	return rules.at(time.Now())
}

func writeDiff(out io.Writer, d filter.Diff, asJSON bool) error {
	changes := changesOf(d)
	if asJSON {
		return writeJSON(out, diffReport{SchemaVersion: schemaVersion, Same: len(changes) == 0, Diff: d, Changes: changes})
	}
	if len(changes) == 0 {
		changes = []string{"nothing changes"}
	}
	for _, change := range changes {
		if _, err := fmt.Fprintln(out, change); err != nil {
			return err
		}
	}
	return nil
}
