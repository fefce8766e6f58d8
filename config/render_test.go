// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// render writes a Config as an operator would, every key spelled out.
func render(t *testing.T, c *Config) []byte {
	t.Helper()
	out, err := yaml.Marshal(plain(reflect.ValueOf(*c)))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// plain takes the types off: groups become maps, lists slices, words text.
func plain(v reflect.Value) any {
	switch {
	case isGroup(v.Type()):
		group := map[string]any{}
		for _, f := range fields(v.Type()) {
			value := v.Field(f.index)
			if leftOut(f) && value.IsZero() {
				continue
			}
			if f.name == "prefixes_file" {
				continue // its prefixes are among the others already
			}
			group[f.name] = plain(value)
		}
		return group
	case isList(v.Type()):
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	case isAuto(v.Type()) && v.IsZero():
		return auto
	case isNumber(v.Type()):
		if v.CanUint() {
			return v.Uint()
		}
		return v.Int()
	}
	return textOf(v)
}

// leftOut tells the keys of list items that have no value to write for zero.
func leftOut(f field) bool {
	switch f.typ {
	case reflect.TypeFor[Response](), reflect.TypeFor[Mode](), reflect.TypeFor[Delegation](),
		reflect.TypeFor[Time](), reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[[]Client]():
		return true
	}
	return slices.Contains([]string{"file", "socket", "secret_file"}, f.name)
}

// withoutLists is what comes back of a Config that was rendered: with all prefixes,
// and no word of the lists where some of them were.
func withoutLists(c *Config) *Config {
	out := *c
	out.Policy.Relays, out.Policy.Pools = slices.Clone(c.Policy.Relays), slices.Clone(c.Policy.Pools)
	out.Policy.Destinations = slices.Clone(c.Policy.Destinations)
	for i := range out.Policy.Destinations {
		out.Policy.Destinations[i].PrefixesFile = ""
	}
	for i := range out.Policy.Relays {
		out.Policy.Relays[i].PrefixesFile = ""
	}
	for i := range out.Policy.Pools {
		out.Policy.Pools[i].PrefixesFile = ""
	}
	return &out
}

func textOf(v reflect.Value) string { return fmt.Sprint(v.Interface()) }

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"good.yaml", "minimal.yaml", "other.yaml", "headings.yaml", "lists.yaml", "rollout.yaml"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			want, err := Load("testdata/" + file)
			if err != nil {
				t.Fatal(err)
			}
			text := render(t, want)
			got, problems := load("rendered", text)
			if len(problems) > 0 {
				t.Fatalf("refused what it accepted:\n%v\n%s", problems, text)
			}
			if diff := cmp.Diff(withoutLists(want), got, compare()); diff != "" {
				t.Errorf("round trip (-want +got):\n%s", diff)
			}
			if keys := want.RestartKeys(got); len(keys) > 0 {
				t.Errorf("round trip changes %v", keys)
			}
		})
	}
}
