// SPDX-License-Identifier: Apache-2.0

// Command plot draws what BenchmarkGateway found out.
//
//	plot [-out DIR] [-format svg|png] FILE.json
//
// It writes one picture a subject into DIR: tcp, packets, rtt and cpu. A figure that
// was not measured is left out, and so is a picture of which nothing is left.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "plot:", err)
		}
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("plot", flag.ContinueOnError)
	out := flags.String("out", ".", "directory for the pictures")
	format := flags.String("format", "svg", "svg or png")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || (*format != "svg" && *format != "png") {
		return errors.New("usage: plot [-out DIR] [-format svg|png] FILE.json")
	}
	r, err := readReport(flags.Arg(0))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	for _, c := range charts() {
		if err := c.draw(r, filepath.Join(*out, c.name+"."+*format)); err != nil {
			return fmt.Errorf("draw %s: %w", c.name, err)
		}
	}
	return nil
}
