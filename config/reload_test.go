// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRestartKeys(t *testing.T) {
	t.Parallel()
	good, err := Load("testdata/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	other, err := Load("testdata/other.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"interfaces.subscriber", "interfaces.upstream",
		"tunnel.subscriber", "tunnel.upstream", "tunnel.mtu", "tunnel.queues", "tunnel.offload", "tunnel.addresses",
		"forwarding.capture", "forwarding.return_path", "forwarding.hop", "forwarding.on_exit", "forwarding.table", "forwarding.priority",
		"forwarding.answers.per_subscriber", "forwarding.answers.total",
		"leases", "journal.path", "journal.retention", "journal.destinations", "control.socket", "control.metrics",
	}
	if diff := cmp.Diff(want, good.RestartKeys(other)); diff != "" {
		t.Errorf("all keys differ (-want +got):\n%s", diff)
	}
	if got := good.RestartKeys(good); got != nil {
		t.Errorf("nothing differs: %v", got)
	}
}

// One key changes at a time: it is named alone, or can be reloaded.
func TestRestartKeysOne(t *testing.T) {
	t.Parallel()
	other, err := Load("testdata/other.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys() {
		before, after := Default(), Default()
		k.in(&after).Set(k.in(other))
		want := []string{k.path}
		if reloadable(k.path) || same(k.in(&before), k.in(&after)) {
			want = nil
		}
		if diff := cmp.Diff(want, before.RestartKeys(&after)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", k.path, diff)
		}
	}
}

func TestSameLists(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b []string
		want bool
	}{
		{nil, []string{}, true},
		{nil, []string{"a"}, false},
		{[]string{"a", "b"}, []string{"a", "b"}, true},
		{[]string{"a", "b"}, []string{"b", "a"}, false},
	}
	for _, tt := range tests {
		if got := same(reflect.ValueOf(tt.a), reflect.ValueOf(tt.b)); got != tt.want {
			t.Errorf("same(%v, %v) = %v", tt.a, tt.b, got)
		}
	}
}
