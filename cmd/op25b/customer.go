// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// builtinTexts are what is said to customers unless the operator has other words.
//
//go:embed texts
var builtinTexts embed.FS

// languages that customers are told in, by the names of the templates.
func languages() []string { return []string{"en", "ja"} }

// customerCase is what a template for customers may use.
type customerCase struct {
	// Source is the subscriber's address, Destination and Port what was asked for.
	Source, Destination netip.Addr
	Port                uint16
	// Pool holds the address. Phase is what refuses, or will; empty: neither a phase
	// nor a brownout does.
	Pool, Phase string
	// Refused: it is refused now, since Since, which is empty if that is not known.
	// Else it will be, from From on. Both are written as the language does.
	Refused     bool
	Since, From string
}

// customerTexts are templates by language.
type customerTexts map[string]*template.Template

// loadTexts reads the operator's templates; what is not in the directory is built in.
func loadTexts(directory string) (customerTexts, error) {
	texts := customerTexts{}
	var errs []error
	for _, language := range languages() {
		name := language + ".txt"
		text, err := builtinTexts.ReadFile("texts/" + name)
		path := name
		if directory != "" {
			path = filepath.Join(directory, name)
			own, missing := os.ReadFile(path)
			if missing == nil || !errors.Is(missing, fs.ErrNotExist) {
				text, err = own, missing
			}
		}
		if err == nil {
			texts[language], err = parseText(path, string(text))
		}
		errs = append(errs, err)
	}
	return texts, errors.Join(errs...)
}

// parseText reads a template, and tries it: one that names what there is not would
// fail only once a customer asks.
func parseText(path, text string) (*template.Template, error) {
	t, err := template.New(path).Option("missingkey=error").Parse(text)
	for _, refused := range []bool{true, false} {
		if err == nil {
			err = t.Execute(new(strings.Builder), customerCase{Refused: refused})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: docs/explain.md says what a text may use", path, err)
	}
	return t, nil
}

// say returns the texts for a case, by language.
func (texts customerTexts) say(c customerCase, since, from time.Time) map[string]string {
	said := map[string]string{}
	for language, t := range texts {
		c.Since, c.From = dateIn(language, since), dateIn(language, from)
		var b strings.Builder
		if err := t.Execute(&b, c); err == nil { // it has been tried
			said[language] = strings.Join(strings.Fields(b.String()), " ")
		}
	}
	return said
}

// dateIn writes a time of day as customers read it.
func dateIn(language string, t time.Time) string {
	switch t = t.Local(); {
	case t.IsZero():
		return ""
	case language == "ja":
		return t.Format("2006年1月2日15時04分")
	default:
		return t.Format("2 January 2006, 15:04")
	}
}
