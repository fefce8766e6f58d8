// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"op25b/config"
	"op25b/tunnel"
)

// checkReport is the JSON document of check.
type checkReport struct {
	SchemaVersion int              `json:"schema_version"`
	File          string           `json:"file"`
	OK            bool             `json:"ok"`
	Problems      []config.Problem `json:"problems"`
	// Live is what --live found; absent without it.
	Live []tunnel.Finding `json:"live,omitempty"`
}

func newCheck() *cobra.Command {
	var (
		path         string
		live, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Every mistake in the configuration; with --live the machine too",
		Long: `Check a configuration file and report every mistake at once, each with its line,
its key and what to write instead. With --live also look at this machine, and say
what would make it faster; such advice leaves the exit code 0. Nothing is changed.

Exit codes: 0 ok, 1 the machine cannot run it, 2 mistakes in the file,
3 it would run, but not as it should.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return check(cmd.OutOrStdout(), path, live, asJSON)
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&live, "live", false, "look at this machine as well")
	return cmd
}

func check(out io.Writer, path string, live, asJSON bool) error {
	report := checkReport{SchemaVersion: schemaVersion, File: path, OK: true, Problems: []config.Problem{}}
	rules, err := loadRulebook(path)
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	report.Problems = append(report.Problems, problems...)
	if err == nil {
		if report.Live, err = build(rules, live); err != nil {
			return err
		}
	}
	code := report.code()
	report.OK = code == exitOK
	if asJSON {
		err = writeJSON(out, report)
	} else {
		err = report.write(out, rules)
	}
	if err == nil && code != exitOK {
		err = status(code)
	}
	return err
}

// build makes what run makes of the configuration, now and in the end, and looks at
// the machine if asked.
func build(rules *rulebook, live bool) ([]tunnel.Finding, error) {
	policy, err := rules.at(time.Now())
	if events := rules.schedule.Events(); err == nil && len(events) > 0 {
		_, err = rules.at(events[len(events)-1].Time)
	}
	if err != nil || !live {
		return nil, err
	}
	plan := tunnelPlan(rules.cfg, policy)
	return inspect(rules.cfg, &plan), nil
}

// inspect looks at the machine. How packets are received matters only where
// super-packets enter the gateway.
func inspect(cfg *config.Config, plan *tunnel.Plan) []tunnel.Finding {
	findings := tunnel.Inspect(plan)
	if cfg.Tunnel.IOUring != config.FeatureOff {
		findings = append(findings, tunnel.InspectBatch())
	}
	if cfg.Tunnel.Offload == config.FeatureOff || cfg.Forwarding.Capture == config.CaptureSMTP {
		return findings
	}
	return append(findings, tunnel.InspectReceive(plan)...)
}

func (r *checkReport) code() int {
	if len(r.Problems) > 0 {
		return exitUsage
	}
	code := exitOK
	for _, f := range r.Live {
		switch f.Level {
		case tunnel.LevelFail:
			return exitFailed
		case tunnel.LevelWarn:
			code = exitDegraded
		case tunnel.LevelOK, tunnel.LevelAdvice:
		}
	}
	return code
}

func (r *checkReport) write(out io.Writer, rules *rulebook) error {
	for _, p := range r.Problems {
		if _, err := fmt.Fprintln(out, p); err != nil {
			return err
		}
	}
	if len(r.Problems) > 0 {
		return nil
	}
	if _, err := fmt.Fprintf(out, "%s: ok: %s\n", r.File, summary(rules.cfg)); err != nil {
		return err
	}
	for _, f := range r.Live {
		if err := writeFinding(out, f); err != nil {
			return err
		}
	}
	return nil
}

func writeFinding(out io.Writer, f tunnel.Finding) error {
	_, err := fmt.Fprintf(out, "%-6s %s: %s\n", f.Level, f.Check, f.What)
	if err == nil && f.Effect != "" {
		_, err = fmt.Fprintf(out, "       effect: %s\n", f.Effect)
	}
	if err == nil && f.Fix != "" {
		_, err = fmt.Fprintf(out, "       fix: %s\n", f.Fix)
	}
	return err
}

// summary says in a line what the policy holds.
func summary(cfg *config.Config) string {
	var dynamic, static int
	for _, p := range cfg.Policy.Pools {
		if p.Assignment == config.AssignmentStatic {
			static += len(p.Prefixes)
		} else {
			dynamic += len(p.Prefixes)
		}
	}
	return fmt.Sprintf("ports %v refused to %s, not to %s, %s reachable", cfg.Policy.Ports,
		plural(dynamic, "dynamic prefix", "dynamic prefixes"), plural(static, "static prefix", "static prefixes"),
		plural(len(cfg.Policy.Relays), "relay", "relays"))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
