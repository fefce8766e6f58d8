// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go4.org/netipx"

	"op25b/filter"
)

// ErrUnknownTarget is the name of no target: see [Targets].
var ErrUnknownTarget = errors.New("no such target")

// Request is what to write down.
type Request struct {
	// File is the configuration's name, and Time when it was read: for the reader.
	File string
	Time time.Time
	// Subscribers are the interfaces that subscribers' packets come in by.
	Subscribers []string
	// Ports are the blocked ports, and Established whether segments of open
	// connections are refused too: as in [filter.Spec].
	Ports       []uint16
	Established bool
	Policy      *filter.Policy
}

// Document is a rule set.
type Document struct {
	Target string `json:"target"`
	Text   string `json:"text"`
	// Cannot says what op25b does and the rule set does not, a sentence each.
	Cannot []string `json:"cannot"`
}

// target is a router's language.
type target interface {
	// comment makes a line of the rule set that does nothing.
	comment(line string) string
	// usage says how to load the rule set and how to remove it, a sentence each.
	usage() []string
	// cannot says what is missing beside commonGaps.
	cannot() []string
	// write writes the rules.
	write(w *writer, r *rules)
}

const mikroTik = "routeros" //nolint:misspell // a product's name

// Targets returns the names of all targets, in the order in which they are shown.
func Targets() []string { return []string{"nftables", "pf", mikroTik, "cisco-acl", "vpp"} }

func targetOf(name string) (target, error) {
	switch name {
	case "nftables":
		return nftables{}, nil
	case "pf":
		return pf{}, nil
	case mikroTik:
		return routerOS{}, nil
	case "cisco-acl":
		return cisco{}, nil
	case "vpp":
		return vpp{}, nil
	default:
		return nil, fmt.Errorf("%w: %q; there are %s", ErrUnknownTarget, name, strings.Join(Targets(), ", "))
	}
}

// New writes the request for the target of that name.
func New(name string, req Request) (*Document, error) {
	t, err := targetOf(name)
	if err != nil {
		return nil, err
	}
	d := &Document{Target: name, Cannot: append(t.cannot(), commonGaps()...)}
	var w writer
	say := func(indent, text string) {
		for _, line := range wrap(text, indent) {
			w.line("%s", t.comment(line))
		}
	}
	say("", fmt.Sprintf("op25b: the policy of %s for %s, written %s.", req.File, name, req.Time.UTC().Format(time.RFC3339)))
	for _, sentence := range t.usage() {
		say("", sentence)
	}
	say("", "What op25b does and these rules do not:")
	for _, sentence := range d.Cannot {
		say("- ", sentence)
	}
	t.write(&w, newRules(&req))
	d.Text = w.String()
	return d, nil
}

// commonGaps is what no target does.
func commonGaps() []string {
	return []string{
		"Source validation is not exported: with source_validation strict, sources in no pool are refused the blocked ports " +
			"(without an answer, and not towards relays), but may send everything else. Use the router's reverse-path check.",
		"Answers are not limited per subscriber or in total, beyond what the router does by itself.",
		"Tunnels are not looked into (policy.inspect_tunnels).",
		"Pools that are refused only in part at the moment (a phase for some destinations or a share) are not refused here, and " +
			"nothing begins or ends by itself: export again at each phase.",
		"A relay that is for some pools only is open to all.",
		"Segments from a blocked port towards subscribers are not refused (policy.inbound_source_port).",
		"Malformed, martian and source-routed packets are the router's own matter.",
		"Nobody counts verdicts by reason or explains them; op25b explain answers for the file, not for these rules.",
		"A change of the file changes nothing here: export and load again.",
	}
}

// rules is a request with everything in the form that rule sets want.
type rules struct {
	*Request

	refused, relays         addresses
	reset, prohibited, drop addresses // the parts of refused, by response
}

func newRules(req *Request) *rules {
	p := req.Policy
	return &rules{
		Request: req, refused: addressesOf(p.Refused()), relays: addressesOf(p.Reachable()),
		reset:      addressesOf(p.RefusedWith(filter.RespondReset)),
		prohibited: addressesOf(p.RefusedWith(filter.RespondProhibited)),
		drop:       addressesOf(p.RefusedWith(filter.RespondDrop)),
	}
}

// ports returns the blocked ports with the separator between them.
func (r *rules) ports(separator string) string {
	texts := make([]string, 0, len(r.Ports))
	for _, port := range r.Ports {
		texts = append(texts, fmt.Sprint(port))
	}
	return strings.Join(texts, separator)
}

// addresses are prefixes by family, the fewest that hold them.
type addresses struct{ four, six []netip.Prefix }

func addressesOf(ranges []netipx.IPRange) addresses {
	var a addresses
	for _, r := range ranges {
		if r.From().Is4() {
			a.four = r.AppendPrefixes(a.four)
		} else {
			a.six = r.AppendPrefixes(a.six)
		}
	}
	return a
}

// both returns the prefixes of both families.
func (a addresses) both() []netip.Prefix { return append(slices.Clip(a.four), a.six...) }

// writer collects lines.
type writer struct{ strings.Builder }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// list joins prefixes; a single address is written without its length.
func list(prefixes []netip.Prefix, separator string) string {
	texts := make([]string, 0, len(prefixes))
	for _, p := range prefixes {
		texts = append(texts, short(p))
	}
	return strings.Join(texts, separator)
}

func short(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// wrap breaks text into lines for comments; mark begins the first, and blanks the
// others. No line break of the text's own gets through: it would end a comment.
func wrap(text, mark string) []string {
	const width = 76
	var lines []string
	line := mark
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == mark:
		case len(line)+1+len(word) > width:
			lines, line = append(lines, line), strings.Repeat(" ", len(mark))
		default:
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
