// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"op25b/config"
	"op25b/control"
)

// Exit codes are part of the contract: scripts and service managers act on them.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2 // the command line or the configuration
	exitDegraded   = 3 // it works, but not as it should
	exitNotRunning = 4 // no gateway running
	exitPermission = 5 // no permission
)

// usageError is a command line that makes no sense.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() + "\nTry 'op25b --help'." }
func (e *usageError) Unwrap() error { return e.err }

// status ends a command with a code after it has said all there is to say.
type status int

func (status) Error() string { return "" }

// configError is a configuration that could not be read at all.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

func isSilent(err error) bool { return errors.As(err, new(status)) }

func exitCode(err error) int {
	var s status
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &s):
		return int(s)
	case errors.As(err, new(*usageError)), errors.As(err, new(config.Problems)), errors.As(err, new(*configError)),
		errors.As(err, new(*control.Refusal)):
		return exitUsage
	case errors.Is(err, control.ErrNotRunning):
		return exitNotRunning
	case errors.Is(err, fs.ErrPermission):
		return exitPermission
	default:
		return exitFailed
	}
}

// usageArgs makes an argument check's error a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err}
		}
		return nil
	}
}

// loadConfig reads the configuration; whatever is wrong with it is a matter of
// configuration for the exit code, a missing file too.
func loadConfig(path string) (*config.Config, error) {
	cfg, err := config.Load(path)
	if err != nil && !errors.As(err, new(config.Problems)) {
		return nil, &configError{err}
	}
	return cfg, err
}
