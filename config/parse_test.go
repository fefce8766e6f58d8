// SPDX-License-Identifier: Apache-2.0

package config

import "testing"

func TestParseHarmless(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"byte order mark":       "\ufefflog: {level: info}\n",
		"replacement character": "# \ufffd\nlog: {level: info}\n",
		"Windows line ends":     "log:\r\n  level: info\r\n",
		"start and end marks":   "---\nlog: {level: info}\n...\n",
		"anchor nobody uses":    "log: &log {level: info}\n",
		"explicit tag":          "log: !!map {level: !!str info}\n",
		"quoted key":            "\"log\": {'level': \"info\"}\n",
	} {
		if src := parse("x.yaml", []byte(text)); len(src.problems) > 0 {
			t.Errorf("%s: %v", name, src.problems)
		}
	}
}
