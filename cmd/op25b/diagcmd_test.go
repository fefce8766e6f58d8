// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"op25b/control"
)

// zipped sends a bundle of a file, or of two.
func zipped(opts control.DiagOptions, w io.Writer) error {
	bundle := zip.NewWriter(w)
	f, err := bundle.Create("status.json")
	if err != nil {
		return err
	}
	if _, err := io.WriteString(f, `{"state":"ok"}`); err != nil {
		return err
	}
	if opts.Subscribers {
		if _, err := bundle.Create("subscribers.txt"); err != nil {
			return err
		}
	}
	return bundle.Close()
}

func TestDiagCommand(t *testing.T) {
	t.Parallel()
	socket := listen(t, &telling{bundle: zipped})
	path := filepath.Join(t.TempDir(), "d.zip")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "wrote " + path + ", with 1 file, for you alone to read\n" +
			"  status.json                             14 octets\n" +
			"subscribers are masked: addresses, prefixes of a part of a pool, hardware addresses, what errors quote; --include-subscribers masks nothing\n"},
		{[]string{"--include-subscribers"}, "wrote " + path + ", with 2 files, for you alone to read\n" +
			"  status.json                             14 octets\n" +
			"  subscribers.txt                          0 octets\n" +
			"SUBSCRIBERS' ADDRESSES ARE IN IT: give it only to those who may know them\n"},
	} {
		code, out, talk := op25b(t, append([]string{"diag", "--socket", socket, "-o", path}, tt.args...)...)
		if diff := cmp.Diff(tt.want, talk); diff != "" || code != exitOK || out != "" {
			t.Errorf("exit %d, %s (-want +got):\n%s", code, out, diff)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		code, _, talk = op25b(t, "diag", "--socket", socket, "-o", path)
		if code != exitFailed || !strings.Contains(talk, "exists, and is left alone") {
			t.Errorf("once more: exit %d, %s", code, talk)
		}
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

func TestDiagNamesItsFile(t *testing.T) { //nolint:paralleltest // it changes the folder of the process
	t.Chdir(t.TempDir())
	if code, _, talk := op25b(t, "diag", "--socket", listen(t, &telling{bundle: zipped})); code != exitOK {
		t.Errorf("exit %d, %s", code, talk)
	}
	files, err := os.ReadDir(".")
	if err != nil || len(files) != 1 || !regexp.MustCompile(`^op25b-diag-[0-9]{8}T[0-9]{6}Z\.zip$`).MatchString(files[0].Name()) {
		t.Errorf("%v, %v", files, err)
	}
}

// After an error there is no file, whole or half.
func TestDiagErrors(t *testing.T) {
	t.Parallel()
	with := func(bundle func(control.DiagOptions, io.Writer) error) string {
		return listen(t, &telling{bundle: bundle})
	}
	path := filepath.Join(t.TempDir(), "d.zip")
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no gateway": {[]string{"--socket", "/nonexistent/s"}, exitNotRunning, "/nonexistent/s"},
		"at once": {[]string{"--socket", with(func(control.DiagOptions, io.Writer) error {
			return &control.Error{Code: 503, Message: "there are 2", Fix: "wait"}
		})}, exitFailed, "there are 2: wait"},
		"in the middle": {[]string{"--socket", with(func(opts control.DiagOptions, w io.Writer) error {
			return errors.Join(zipped(opts, w), errors.New("it broke"))
		})}, exitFailed, "cut off"},
		"no bundle": {[]string{"--socket", with(func(_ control.DiagOptions, w io.Writer) error {
			_, err := io.WriteString(w, "hello")
			return err
		})}, exitFailed, "is no bundle"},
	} {
		code, _, talk := op25b(t, append([]string{"diag", "-o", path}, tt.args...)...)
		if code != tt.code || !strings.Contains(talk, tt.says) {
			t.Errorf("%s: exit %d, want %d: %s", name, code, tt.code, talk)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if code, _, talk := op25b(t, "diag", "-o", "/nonexistent/d.zip", "--socket", "/nonexistent/s"); code != exitFailed || !strings.Contains(talk, "/nonexistent/d.zip") {
		t.Errorf("no such folder: exit %d, %s", code, talk)
	}
}
