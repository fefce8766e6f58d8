// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// results are of two peers; CPU was not measured.
const results = `{"schema_version": 2, "machine": "Some <Machine>", "processors": 2, "kernel": "6.18", "rounds": 5, "peers": [
	{"name": "kernel", "medians": {"tcp_up": 11.9, "tcp_down": 11.8, "udp_64": 532000, "rtt_idle_p50": 20}},
	{"name": "all_router", "medians": {"tcp_up": 6.1, "tcp_down": 6.2, "udp_64": 76000}}]}`

func TestDraw(t *testing.T) {
	for format, begin := range map[string]string{"svg": "<?xml", "png": "\x89PNG"} {
		dir := t.TempDir()
		in := filepath.Join(dir, "bench.json")
		if err := os.WriteFile(in, []byte(results), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run([]string{"-out", dir, "-format", format, in}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"tcp", "packets", "rtt"} {
			picture, err := os.ReadFile(filepath.Join(dir, name+"."+format))
			if err != nil || !bytes.HasPrefix(picture, []byte(begin)) {
				t.Errorf("%s.%s: %v", name, format, err)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "cpu."+format)); err == nil {
			t.Errorf("cpu.%s shows nothing", format)
		}
	}
}

func TestOtherVersion(t *testing.T) {
	in := filepath.Join(t.TempDir(), "bench.json")
	if err := os.WriteFile(in, []byte(`{"schema_version": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{in}); err == nil || !strings.Contains(err.Error(), "schema version 1") {
		t.Errorf("error %v", err)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 2.3: "2.30", 69.24: "69.2", 118: "118", 2018: "2,018", 76_049: "76,000", 1_234_567: "1,234,600"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}
