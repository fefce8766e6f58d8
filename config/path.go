// SPDX-License-Identifier: Apache-2.0

package config

import (
	"path/filepath"
	"strings"
	"unicode"

	"op25b/config/input"
)

// resolve returns the path that a name stands for: a relative one starts where the
// configuration is. Empty stays empty.
func (o origin) resolve(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(o.file), name)
}

// resolve makes paths out of the names of files that others open. Those of lists
// were needed here only, and stay as they were written.
func (c *Config) resolve(o origin) {
	names := []*string{&c.Texts.Directory, &c.Console.TokenFile}
	for i := range c.Policy.Exemptions {
		names = append(names, &c.Policy.Exemptions[i])
	}
	for i := range c.Leases {
		l := &c.Leases[i]
		names = append(names, &l.File, &l.Socket, &l.SecretFile)
	}
	for _, name := range names {
		*name = o.resolve(*name)
	}
}

// isPlainPath tells a name that can be opened and shown.
func isPlainPath(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// filePath checks the name of a file, and that no other entry has it already.
func (v *validator) filePath(places map[string]string, key, name string) {
	if !isPlainPath(name) {
		v.report(key, input.Quote(name)+" is not a plain path", "write one, absolute or relative to the configuration's directory")
		return
	}
	seen(v, places, filepath.Clean(v.origin.resolve(name)), key, show(name))
}
