// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"op25b/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !isSilent(err) {
		fmt.Fprintln(stderr, "op25b:", err)
	}
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "op25b",
		Short: "Outbound Port 25 Blocking on a gateway of your own",
		Long: `op25b refuses direct connections to port 25 from dynamically assigned addresses
and forwards everything else. See it work, in network namespaces, with: op25b demo

Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 degraded,
4 no gateway running, 5 no permission.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(newRun(), newSupervise(), newStatus(), newTop(), newTail(), newReport(), newDiag(), newReload(), newCheck(), newDiff(), newExplain(), newExempt(), newDemo(), newRoutes(), newExport(), newCleanup(), newVersion())
	return root
}

// configFlag adds -c, whose default OP25B_CONFIG overrides.
func configFlag(cmd *cobra.Command, path *string) {
	def := config.DefaultPath
	if v := os.Getenv("OP25B_CONFIG"); v != "" {
		def = v
	}
	cmd.Flags().StringVarP(path, "config", "c", def, "configuration file (or set OP25B_CONFIG)")
}

// jsonFlag adds --json.
func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "write one JSON document to standard output")
}
