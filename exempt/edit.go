// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"op25b/config/input"
)

// ErrNotExempt is the error of an edit of an exemption that is not in the file.
var ErrNotExempt = errors.New("not exempt")

// ErrByHand is the error of an edit of a file that is right, and yet written in a
// way that cannot be changed here. Somebody has to do it in an editor.
var ErrByHand = errors.New("is written in a way that only an editor can change")

// edit is one change: the text of the document after it, and what that has to say.
type edit func(*document) (text []byte, want []Exemption, err error)

// Add appends an exemption to a file, in the style of the last one there. A file
// that is not there is made, for its directory's group to read. Times are written
// in whole seconds.
func Add(path string, e Exemption) error {
	return change(path, true, adding(e))
}

// Remove takes an exemption out of a file, and returns it. Comments inside of it go
// with it, those above and below stay.
func Remove(path string, prefix netip.Prefix) (Exemption, error) {
	var removed Exemption
	err := change(path, false, removing(prefix, &removed))
	return removed, err
}

// Expire makes an exemption end at a time, in whole seconds, and returns it as it is
// then. The record stays. One that has ended by then is left as it is.
func Expire(path string, prefix netip.Prefix, at time.Time) (Exemption, error) {
	var expired Exemption
	err := change(path, false, expiring(prefix, at, &expired))
	return expired, err
}

func adding(e Exemption) edit {
	e.Added, e.Until = e.Added.Truncate(time.Second), e.Until.Truncate(time.Second)
	return func(d *document) ([]byte, []Exemption, error) {
		if err := e.Check(); err != nil {
			return nil, nil, err
		}
		if i := d.find(e.Prefix); i >= 0 {
			return nil, nil, fmt.Errorf("%s is exempt at %s:%d already", e.Prefix, d.file, d.entries[i].Line)
		}
		return d.with(&e), append(d.exemptions(), e), nil
	}
}

func removing(prefix netip.Prefix, removed *Exemption) edit {
	return func(d *document) ([]byte, []Exemption, error) {
		i := d.find(prefix)
		if i < 0 {
			return nil, nil, fmt.Errorf("%s: %w in %s", prefix, ErrNotExempt, d.file)
		}
		*removed = d.entries[i].Exemption
		return d.without(i), slices.Delete(d.exemptions(), i, i+1), nil
	}
}

func expiring(prefix netip.Prefix, at time.Time, expired *Exemption) edit {
	return func(d *document) ([]byte, []Exemption, error) {
		i := d.find(prefix)
		if i < 0 {
			return nil, nil, fmt.Errorf("%s: %w in %s", prefix, ErrNotExempt, d.file)
		}
		want := d.exemptions()
		*expired = want[i]
		if !expired.Until.After(at) {
			return d.text, want, nil
		}
		expired.Until = at.In(expired.Until.Location()).Truncate(time.Second)
		if err := expired.Check(); err != nil {
			return nil, nil, err
		}
		want[i] = *expired
		return d.ending(i, expired.Until), want, nil
	}
}

// ending returns the text with another time for the end of the i-th entry.
func (d *document) ending(i int, until time.Time) []byte {
	t, item, value := newText(d.text), d.entries[i].node, d.entries[i].until
	with := stamp(until)
	switch {
	case value.Style&yaml.DoubleQuotedStyle != 0:
		with = `"` + with + `"`
	case value.Style&yaml.SingleQuotedStyle != 0:
		with = `'` + with + `'`
	}
	return t.replaced(splice{t.start(value), t.end(value, item.Column-1), with})
}

// find returns the place of a prefix among the entries, or -1.
func (d *document) find(prefix netip.Prefix) int {
	return slices.IndexFunc(d.entries, func(e entry) bool { return e.Prefix == prefix })
}

// change replaces a file by what an edit makes of it. On any error the file is as it
// was.
func change(path string, create bool, edit edit) error {
	f, err := lockFile(path)
	if err != nil {
		return fmt.Errorf("edit %s: %w", path, err)
	}
	defer f.unlock()
	data, err := input.Read(f.path, maxFileSize)
	if err != nil && (!create || !errors.Is(err, fs.ErrNotExist)) {
		return Problems{unreadable(path, err)}
	}
	next, err := edit.of(path, data)
	if err != nil || bytes.Equal(next, data) {
		return err
	}
	if err := f.replace(next); err != nil {
		return fmt.Errorf("edit %s: %w", path, err)
	}
	return nil
}

// of returns what the edit makes of a file, which says exactly what it should.
func (e edit) of(path string, data []byte) ([]byte, error) {
	d := parse(path, data, map[netip.Prefix]Exemption{})
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	text, want, err := e(d)
	if err != nil {
		return nil, err
	}
	mark := data[:len(data)-len(d.text)]
	if len(mark)+len(text) > maxFileSize {
		return nil, fmt.Errorf("%s would be larger than %d MiB: use another file", path, maxFileSize>>20)
	}
	return slices.Concat(mark, text), verify(path, text, want)
}

// verify reads what an edit made, and refuses what says anything else than wanted.
func verify(path string, text []byte, want []Exemption) error {
	got := parse(path, text, map[netip.Prefix]Exemption{})
	if text == nil || len(got.problems) > 0 || !slices.EqualFunc(got.exemptions(), want, sameRecord) {
		return fmt.Errorf("%s %w: write each exemption on lines of its own, after a dash", path, ErrByHand)
	}
	return nil
}

// sameRecord compares all but where they stand.
func sameRecord(a, b Exemption) bool {
	return a.Prefix == b.Prefix && a.Reason == b.Reason && a.Ticket == b.Ticket && a.By == b.By &&
		a.Added.Equal(b.Added) && a.Until.Equal(b.Until)
}

// Check says what is wrong with an exemption that is in no file yet. [Add] does so
// itself.
func (e *Exemption) Check() error {
	if m := checkPrefix(e.Prefix); m != nil {
		return m
	}
	texts := []struct {
		name, text string
		needed     bool
	}{{"reason", e.Reason, true}, {"ticket", e.Ticket, false}, {"by", e.By, false}}
	for _, t := range texts {
		if _, err := parseText(t.text); err != nil && (t.text != "" || t.needed) {
			return fmt.Errorf("%s %w", t.name, err)
		}
	}
	if e.Until.IsZero() {
		return errors.New("until is missing: an exemption ends at some time")
	}
	for _, t := range []time.Time{e.Added, e.Until} {
		if _, err := ParseTime(stamp(t)); err != nil {
			return err // a year of five digits
		}
	}
	return nil
}
