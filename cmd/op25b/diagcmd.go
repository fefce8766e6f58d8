// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"op25b/control"
)

// diagTimeout is how long a gateway has for a bundle, and a little more.
const diagTimeout = 70 * time.Second

func newDiag() *cobra.Command {
	var (
		gateway socketFlags
		opts    control.DiagOptions
		path    string
	)
	cmd := &cobra.Command{
		Use:   "diag",
		Short: "A bundle of what support needs to find a fault",
		Long: `Ask the running gateway for a bundle of what it takes to find a fault: a zip archive in
a new file that you alone may read. Subscribers' IP and hardware addresses are masked,
unless --include-subscribers leaves them as they are. What is inside is said on standard
error; look at it before you send it to anybody.

Exit codes: 0 ok, 1 failed, or the file exists, 2 usage, 4 no gateway running,
5 no permission.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := gateway.dial(cmd)
			if err != nil {
				return err
			}
			if path == "" {
				path = "op25b-diag-" + time.Now().UTC().Format("20060102T150405Z") + ".zip"
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), diagTimeout)
			defer cancel()
			inside, err := saveBundle(ctx, client, opts, path)
			if err != nil {
				return err
			}
			return sayBundle(cmd.ErrOrStderr(), path, inside, opts.Subscribers)
		},
	}
	gateway.add(cmd)
	cmd.Flags().StringVarP(&path, "output", "o", "", "the file to write, which must not exist (default op25b-diag-TIME.zip here)")
	cmd.Flags().BoolVar(&opts.Subscribers, "include-subscribers", false, "leave subscribers' addresses as they are")
	return cmd
}

// bundled is one file of a bundle.
type bundled struct {
	name   string
	octets uint64
}

// saveBundle writes a bundle to a new file and returns what is inside. After an error
// there is no file.
func saveBundle(ctx context.Context, client *control.Client, opts control.DiagOptions, path string) (inside []bundled, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s exists, and is left alone: name another file with -o FILE", path)
	}
	if err != nil {
		return nil, fmt.Errorf("write the bundle: %w", err)
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := client.Diag(ctx, opts, file); err != nil {
		return nil, err
	}
	return insideBundle(file)
}

func insideBundle(file *os.File) (inside []bundled, err error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("read the bundle: %w", err)
	}
	archive, err := zip.NewReader(file, size)
	if err != nil {
		return nil, fmt.Errorf("what the gateway sent is no bundle: %w", err)
	}
	for _, f := range archive.File {
		inside = append(inside, bundled{f.Name, f.UncompressedSize64})
	}
	return inside, nil
}

func sayBundle(talk io.Writer, path string, inside []bundled, subscribers bool) error {
	rest := "subscribers are masked: addresses, prefixes of a part of a pool, hardware addresses, what errors quote; --include-subscribers masks nothing"
	if subscribers {
		rest = "SUBSCRIBERS' ADDRESSES ARE IN IT: give it only to those who may know them"
	}
	_, err := fmt.Fprintf(talk, "wrote %s, with %s, for you alone to read\n", path, plural(len(inside), "file", "files"))
	for _, f := range inside {
		if err == nil {
			_, err = fmt.Fprintf(talk, "  %-32s %9d octets\n", f.name, f.octets)
		}
	}
	if err == nil {
		_, err = fmt.Fprintln(talk, rest)
	}
	return err
}
