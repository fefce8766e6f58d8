// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"strings"
)

// RestartKeys returns the paths of the keys that differ between c and next and
// that a running gateway cannot change: those that shape links, routes, rules,
// sockets and the journal. Empty: a reload can apply next as a whole. The order is
// that of the struct.
func (c *Config) RestartKeys(next *Config) []string {
	var out []string
	for _, k := range keys() {
		if reloadable(k.path) || same(k.in(c), k.in(next)) {
			continue
		}
		out = append(out, k.path)
	}
	return out
}

func reloadable(path string) bool {
	return path == "forwarding.source_validation" ||
		strings.HasPrefix(path, "policy.") ||
		strings.HasPrefix(path, "texts.") ||
		strings.HasPrefix(path, "log.")
}

// same compares two values; a list that was not written equals an empty one.
func same(a, b reflect.Value) bool {
	if isList(a.Type()) && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
