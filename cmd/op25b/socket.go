// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"op25b/config"
	"op25b/control"
)

// socketFlags say which gateway a command asks.
type socketFlags struct{ socket, config string }

// add makes --socket and -c flags of a command.
func (f *socketFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.socket, "socket", config.Default().Control.Socket, "control socket of the gateway")
	cmd.Flags().StringVarP(&f.config, "config", "c", os.Getenv("OP25B_CONFIG"),
		"take the socket from this configuration file (or set OP25B_CONFIG)")
}

// dial returns a client for the gateway that the flags name. Without any, the
// configuration file is not read: a gateway can be asked with a broken one.
func (f *socketFlags) dial(cmd *cobra.Command) (*control.Client, error) {
	asked := cmd.Flags().Changed("socket")
	switch {
	case asked && cmd.Flags().Changed("config"):
		return nil, &usageError{errors.New("--socket and --config both name a socket: leave one out")}
	case asked || f.config == "":
		return control.Dial(f.socket), nil
	}
	cfg, err := loadConfig(f.config)
	if err != nil {
		return nil, err
	}
	return control.Dial(cfg.Control.Socket), nil
}
