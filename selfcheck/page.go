// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	html "html/template"
	"maps"
	"slices"
	"strings"
	text "text/template"
	"time"
)

// files are the pages' templates: a layout and a style for all, words by language.
//
//go:embed pages
var files embed.FS

// schemaVersion is in the JSON. It grows when a field changes its meaning or goes
// away, not when one is added.
const schemaVersion = 1

// pages write answers. They are made once and then only read.
type pages struct {
	opts   *Options
	style  html.CSS
	policy string // Content-Security-Policy
	html   map[string]*html.Template
	text   map[string]*text.Template
}

// view is what a template may use.
type view struct {
	Line

	State    string
	Language string
	Style    html.CSS
	// When is Since or From as the language writes it. Empty: not known.
	When              string
	Provider, Contact string
	Relays            []string
	// Words are the operator's for this line, in WordsLanguage. Empty: none.
	Words, WordsLanguage string
}

// newPages reads the templates. They are part of the program, and every test reads
// them: one that cannot be read would be a fault of the build.
func newPages(opts *Options) pages {
	style, _ := files.ReadFile("pages/style.css") // embedded: it is there
	sum := sha256.Sum256(style)
	p := pages{
		opts:  opts,
		style: html.CSS(style), //nolint:gosec // ours, not a client's
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		html: map[string]*html.Template{},
		text: map[string]*text.Template{},
	}
	for _, language := range []string{"en", "ja"} {
		name := "pages/" + language
		p.html[language] = html.Must(html.ParseFS(files, "pages/layout.html", name+".html"))
		p.text[language] = text.Must(text.ParseFS(files, name+".txt"))
	}
	return p
}

// write makes an answer about a line.
func (p *pages) write(line *Line, language string, f format) ([]byte, error) {
	v := p.view(line, language)
	var b bytes.Buffer
	var err error
	switch f {
	case formatJSON:
		err = writeJSON(&b, v)
	case formatText:
		err = p.text[language].Execute(&b, v)
	default:
		err = p.html[language].ExecuteTemplate(&b, "layout.html", v)
	}
	if err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return b.Bytes(), nil
}

func (p *pages) view(line *Line, language string) *view {
	v := &view{
		Line: *line, State: string(line.state()), Language: language, Style: p.style,
		Provider: p.opts.Provider, Contact: p.opts.Contact, Relays: p.opts.Relays,
	}
	switch line.state() {
	case stateBlocked:
		v.When = dateIn(language, line.Since)
	case statePlanned:
		v.When = dateIn(language, line.From)
	default:
	}
	v.Words, v.WordsLanguage = wordsIn(line.Texts, language)
	return v
}

// wordsIn returns the operator's text in a language, or in another if there is none:
// what the provider wants to say is worth more in the wrong language than not at all.
func wordsIn(texts map[string]string, language string) (words, in string) {
	for _, in := range append([]string{language}, slices.Sorted(maps.Keys(texts))...) {
		if words := strings.TrimSpace(texts[in]); words != "" {
			return words, in
		}
	}
	return "", ""
}

// dateIn writes a time as customers read it, in the time's own location.
func dateIn(language string, t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case language == "ja":
		return t.Format("2006年1月2日 15時04分(MST)")
	default:
		return t.Format("2 January 2006, 15:04 (MST)")
	}
}

// writeJSON writes what programs need of it.
func writeJSON(b *bytes.Buffer, v *view) error {
	enc := json.NewEncoder(b)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		SchemaVersion int       `json:"schema_version"`
		Address       string    `json:"address"`
		State         string    `json:"state"`
		Known         bool      `json:"known"`
		Blocked       bool      `json:"blocked"`
		Static        bool      `json:"static"`
		Exempt        bool      `json:"exempt"`
		Shared        bool      `json:"shared"`
		Since         time.Time `json:"since,omitzero"`
		From          time.Time `json:"from,omitzero"`
		Text          string    `json:"text,omitempty"`
		TextLanguage  string    `json:"text_language,omitempty"`
	}{
		schemaVersion, v.Address.String(), v.State, v.Known, v.Blocked, v.Static, v.Exempt, v.Shared,
		v.Since, v.From, v.Words, v.WordsLanguage,
	})
}
