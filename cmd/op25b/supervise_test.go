// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"op25b/supervise"
)

func TestSupervised(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"-c", "x.yaml"}, []string{self, "run", "-c", "x.yaml"}},
		{[]string{"-c", "x.yaml", "--"}, []string{self, "run", "-c", "x.yaml"}},
		{[]string{"--watchdog", "1s", "--", "op25b", "run", "-c", "y.yaml"}, []string{"op25b", "run", "-c", "y.yaml"}},
	} {
		cmd := newSupervise()
		if err := cmd.ParseFlags(tt.args); err != nil {
			t.Fatal(err)
		}
		path, _ := cmd.Flags().GetString("config")
		if got, err := supervised(cmd, cmd.Flags().Args(), path); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, %v", tt.args, got, err)
		}
	}
}

func TestSuperviseUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, says string }{
		{"supervise op25b run", "comes after --"},
		{"supervise -c x.yaml -- op25b run", "-c before --"},
		{"supervise --watchdog=-1s -- true", "less than nothing"},
		{"supervise --restart-delay=0 -- true", "more than nothing"},
		{"supervise --watchdog soon", "invalid argument"},
	} {
		code, out, talk := op25b(t, strings.Fields(tt.args)...)
		if code != exitUsage || out != "" || !strings.Contains(talk, tt.says) {
			t.Errorf("%s: exit %d\n%s%s", tt.args, code, out, talk)
		}
	}
}

func TestSuperviseExitCode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{&supervise.ExitError{Code: 5}, exitPermission},
		{&supervise.ExitError{Code: 77}, 77},
		{&exec.Error{Name: "op25c", Err: exec.ErrNotFound}, exitUsage},
		{&exec.Error{Name: "op25b", Err: fs.ErrPermission}, exitPermission},
		{errors.New("the program did not end well"), exitFailed},
	} {
		if got := exitCode(superviseError(tt.err)); got != tt.want {
			t.Errorf("%v: exit %d, not %d", tt.err, got, tt.want)
		}
	}
}
