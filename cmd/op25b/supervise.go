// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"op25b/config"
	"op25b/supervise"
)

func newSupervise() *cobra.Command {
	var (
		path string
		opts supervise.Options
	)
	cmd := &cobra.Command{
		Use:   "supervise [flags] [-- COMMAND [ARGUMENT...]]",
		Short: "Run the gateway, and start it again when it ends or hangs",
		Long: `Run the gateway, on a machine without systemd, and start it again when it ends or
hangs. The gateway's interfaces stay open in between. SIGTERM and SIGINT end it,
SIGHUP is passed on and reloads it.

Without a COMMAND it is this program's own run, with the configuration of -c. The
log of both goes to standard error.

Exit codes: that of the command, where it was told to end; 2 and 5 also if it ended
with them before it was ever ready: usage or configuration, no permission.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if opts.Command, err = supervised(cmd, args, path); err != nil {
				return err
			}
			core, _ := newCore(cmd.ErrOrStderr(), config.Default().Log)
			opts.Log = zap.New(core).Named("supervise")
			opts.Final = []int{exitUsage, exitPermission}
			s, err := supervise.New(opts)
			if err != nil {
				return &usageError{err}
			}
			return superviseError(s.Run(cmd.Context()))
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().DurationVar(&opts.Watchdog, "watchdog", 5*time.Second, "end it after so long a silence; 0: never")
	cmd.Flags().DurationVar(&opts.RestartDelay, "restart-delay", 100*time.Millisecond,
		"before a new start of one that was not ready for a second; doubles up to 5s while it ends again and again")
	return cmd
}

// supervised returns the command to run.
func supervised(cmd *cobra.Command, args []string, path string) ([]string, error) {
	switch {
	case len(args) > 0 && cmd.ArgsLenAtDash() != 0:
		return nil, &usageError{fmt.Errorf("%q: the command to supervise comes after --", args[0])}
	case len(args) > 0 && cmd.Flags().Changed("config"):
		return nil, &usageError{errors.New("-c before -- is for a gateway of our own: put it behind the command, or leave the command out")}
	case len(args) > 0:
		return args, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return []string{self, "run", "-c", path}, nil
}

// superviseError turns the program's exit code into ours; the log has said the rest.
func superviseError(err error) error {
	if exit, ok := errors.AsType[*supervise.ExitError](err); ok {
		return status(exit.Code)
	}
	if errors.Is(err, exec.ErrNotFound) {
		return &usageError{err}
	}
	return err
}
