// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"strings"
	"testing"
)

func TestLanguage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		accept string
		want   string
	}{
		{"", "en"},
		{"en", "en"},
		{"ja", "ja"},
		{"ja-JP", "ja"},
		{"JA-jp", "ja"},
		{"en-US,en;q=0.9,ja;q=0.8", "en"},
		{"ja,en-US;q=0.9,en;q=0.8", "ja"},
		{"en;q=0.5, ja;q=0.9", "ja"},
		{"en;q=0.9, ja;q=0.5", "en"},
		{"de-DE, ja;q=0.5", "ja"},
		{"de, fr;q=0.8", "en"},
		{"ko-KR, zh;q=0.8", "en"},
		{"ja;q=0, en;q=0.1", "en"},
		{"ja;q=0", "en"},
		{"*", "en"},
		{"*, ja;q=0.1", "ja"}, // the only one that it names
		{"ja-JP-u-ca-japanese", "ja"},
		{"ja;q=nonsense", "en"},
		{";;;,,,=\x00", "en"},
		{strings.Repeat("a-", 2000), "en"},
		{strings.Repeat("ja,", 1000) + "en", "ja"},
	} {
		if got := languageOf([]string{c.accept}); got != c.want {
			t.Errorf("%.40q: %s, want %s", c.accept, got, c.want)
		}
	}
	if got := languageOf([]string{"de", "ja"}); got != "ja" {
		t.Errorf("two headers: %s", got)
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		accept string
		want   format
	}{
		{"", formatHTML},
		{"*/*", formatHTML},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", formatHTML},
		{"application/json", formatJSON},
		{"APPLICATION/JSON; charset=utf-8", formatJSON},
		{"application/*", formatJSON},
		{"text/plain", formatText},
		{"text/*", formatHTML},
		{"text/plain;q=0.5, application/json;q=0.6", formatJSON},
		{"*/*;q=0.1, text/plain", formatText},
		{"text/html;q=0, text/*", formatText},
		{"text/html;q=0, */*", formatText},
		{"application/json;q=NaN, text/plain;q=0.1", formatText},
		{"application/json;q=7, text/plain;q=0.1", formatText},
		{"image/png", formatHTML},
		{"garbage/\x00;;;", formatHTML},
		{strings.Repeat(",", 4000), formatHTML},
	} {
		if got := formatOf([]string{c.accept}); got != c.want {
			t.Errorf("%.60q: %s, want %s", c.accept, got.contentType(), c.want.contentType())
		}
	}
}

// Whatever is accepted, the answer is one of those there are.
func FuzzNegotiate(f *testing.F) {
	for _, seed := range []string{"ja,en;q=0.5", "*/*", "text/html;q=0.1, application/json", "q=;;/,-\x00", "zh-Hant-TW-x-private"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		if l := languageOf([]string{accept}); l != "en" && l != "ja" {
			t.Errorf("language %q", l)
		}
		if got := formatOf([]string{accept}); got > formatJSON {
			t.Errorf("format %d", got)
		}
	})
}
