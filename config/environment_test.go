// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// These tests set variables, so none of them can be parallel.

func TestEnvironmentPrecedence(t *testing.T) {
	// other.yaml says debug, console, 9000, 4, smtp and "".
	t.Setenv("OP25B_LOG_LEVEL", "warn")
	t.Setenv("OP25B_TUNNEL_MTU", "auto")
	t.Setenv("OP25B_TUNNEL_QUEUES", "2")
	t.Setenv("OP25B_FORWARDING_CAPTURE", "all")
	t.Setenv("OP25B_FORWARDING_TABLE", "77")
	t.Setenv("OP25B_CONTROL_METRICS", "[::1]:9925")
	t.Setenv("OP25B_INTERFACES_UPSTREAM", "wan0")
	c, err := Load("testdata/other.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := []any{
		c.Log.Level, c.Log.Format, c.Tunnel.MTU, c.Tunnel.Queues, c.Forwarding.Capture,
		c.Forwarding.Table, c.Control.Metrics, c.Interfaces.Upstream,
	}
	want := []any{LogLevelWarn, LogFormatConsole, MTU(0), Queues(2), CaptureAll, 77, "[::1]:9925", "wan0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment over file (-want +got):\n%s", diff)
	}
}

// Each scalar key can come from the environment, over a default as over a file.
func TestEnvironmentEveryKey(t *testing.T) {
	want, err := Load("testdata/other.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys() {
		if !k.isList() {
			t.Setenv(k.variable(), textOf(k.in(want)))
		}
	}
	got, err := Load("testdata/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys() {
		if !k.isList() && !k.in(got).Equal(k.in(want)) {
			t.Errorf("%s: %v, want %v", k.variable(), k.in(got), k.in(want))
		}
	}
}

func TestEnvironmentMissingKey(t *testing.T) {
	t.Setenv("OP25B_INTERFACES_UPSTREAM", "eth0")
	if _, err := Load("testdata/bad-no-upstream.yaml"); err != nil {
		t.Errorf("a variable is as good as a line: %v", err)
	}
}

// An empty value is a value: here it turns metrics off.
func TestEnvironmentEmpty(t *testing.T) {
	t.Setenv("OP25B_CONTROL_METRICS", "")
	c, err := Load("testdata/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Control.Metrics != "" {
		t.Errorf("metrics = %q", c.Control.Metrics)
	}
}

func TestEnvironmentBad(t *testing.T) {
	tests := []struct {
		name, variable, value, want string
	}{
		{"unknown word", "OP25B_LOG_LEVEL", "loud",
			`environment: OP25B_LOG_LEVEL: unknown value "loud": write debug, info, warn or error`},
		{"empty word", "OP25B_FORWARDING_HOP", "",
			`environment: OP25B_FORWARDING_HOP: unknown value "": write decrement or transparent`},
		{"not a number", "OP25B_FORWARDING_TABLE", "0x19",
			`environment: OP25B_FORWARDING_TABLE: 0x19 is not a whole decimal number: write a number such as 25`},
		{"not auto", "OP25B_TUNNEL_QUEUES", "all",
			`environment: OP25B_TUNNEL_QUEUES: all is neither auto nor a number that fits: write auto, or a number such as 4`},
		{"out of range", "OP25B_TUNNEL_MTU", "576",
			`environment: OP25B_TUNNEL_MTU: 576 bytes are out of range: write auto, or a number from 1280 to 65535`},
		{"not host:port", "OP25B_CONTROL_METRICS", "9925",
			`environment: OP25B_CONTROL_METRICS: "9925" is not host:port: write host:port, as in 127.0.0.1:9925 or "[::1]:9925", or "" for off`},
		{"missing after all", "OP25B_INTERFACES_UPSTREAM", "",
			`environment: OP25B_INTERFACES_UPSTREAM: names no interface: write where traffic leaves, as in eth0`},
		{"list", "OP25B_POLICY_PORTS", "25",
			`environment: OP25B_POLICY_PORTS: a list cannot come from the environment: write it in the file`},
		{"misspelled", "OP25B_LOG_LEVLE", "debug",
			`environment: OP25B_LOG_LEVLE: unknown variable: did you mean OP25B_LOG_LEVEL?`},
		{"no such key", "OP25B_TUNNEL_COLOUR", "red",
			`environment: OP25B_TUNNEL_COLOUR: unknown variable: unset it; the keys are in docs/config.md`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(tt.variable, tt.value)
			if diff := cmp.Diff(tt.want, loadProblems(t, "testdata/good.yaml").Error()); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnvironmentForeign(t *testing.T) {
	t.Setenv("OP25B_CONFIG", "/etc/op25b/op25b.yaml")
	t.Setenv("OP25B_E2E", "1")
	if _, err := Load("testdata/good.yaml"); err != nil {
		t.Errorf("variables that are not keys: %v", err)
	}
}

// Mistakes of the file come first, then those of the environment.
func TestEnvironmentLast(t *testing.T) {
	t.Setenv("OP25B_INTERFACES_UPSTREAM", "eth/0")
	t.Setenv("OP25B_LOG_FORMAT", "xml")
	problems := loadProblems(t, "testdata/bad-port-zero.yaml")
	var files []string
	for _, p := range problems {
		files = append(files, p.File)
	}
	if want := []string{"testdata/bad-port-zero.yaml", environment, environment}; !slices.Equal(want, files) {
		t.Errorf("order %v, want %v", files, want)
	}
}
