// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
)

// envPrefix starts the name of every variable that belongs to the gateway.
const envPrefix = "OP25B_"

// field is one key of a group, in the order of the struct.
type field struct {
	name  string
	typ   reflect.Type
	index int
}

// fields lists the keys of a group.
func fields(group reflect.Type) []field {
	out := make([]field, group.NumField())
	for i := range out {
		f := group.Field(i)
		out[i] = field{name: f.Tag.Get("mapstructure"), typ: f.Type, index: i}
	}
	return out
}

// key is one value or list of the configuration: what can be set on its own.
type key struct {
	path  string // tunnel.mtu
	typ   reflect.Type
	index []int // for reflect.Value.FieldByIndex on a Config
}

// keys lists all keys in the order of the struct. The struct is the only place
// where a key is declared; reading, environment, defaults, reload and the test
// of the documentation all go by this list.
func keys() []key { return keysOf(reflect.TypeFor[Config](), "", nil) }

func keysOf(group reflect.Type, path string, index []int) []key {
	var out []key
	for _, f := range fields(group) {
		at := append(slices.Clone(index), f.index)
		if isGroup(f.typ) {
			out = append(out, keysOf(f.typ, join(path, f.name), at)...)
			continue
		}
		out = append(out, key{path: join(path, f.name), typ: f.typ, index: at})
	}
	return out
}

// in returns the key's value in c.
func (k key) in(c *Config) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByIndex(k.index)
}

func (k key) isList() bool { return isList(k.typ) }

// variable is the environment's name for the key.
func (k key) variable() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

// isGroup tells a group of keys from a value; netip's types are structs too,
// but are written as text.
func isGroup(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func isList(t reflect.Type) bool { return t.Kind() == reflect.Slice }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// parent returns the path one step up, and whether there is one.
func parent(path string) (string, bool) {
	i := strings.LastIndexAny(path, ".[")
	if i < 0 {
		return "", false
	}
	return path[:i], true
}
