// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"op25b/census"
	"op25b/control"
	"op25b/human"
)

// view is what to show: a page, or the part of it that the page's script asks for.
type view struct {
	page  string // the template's file
	part  string // that stands for itself; empty: there is none
	title string
	body  any
}

// frame is what is around the body of a page.
type frame struct {
	Title, Path string
	State       control.State
	Version     string
	Writable    bool
	// Login: there is somebody to log out.
	Login bool
	Menu  bool
	Body  any
}

// show makes an answer of a view.
func (s *Server) show(r *http.Request, v view) (*reply, error) {
	page, known := s.pages[v.page]
	if !known {
		return nil, fmt.Errorf("there is no template for the page %s", v.page)
	}
	var out bytes.Buffer
	var err error
	if v.part != "" && partial(r) {
		err = page.ExecuteTemplate(&out, v.part, v.body)
	} else {
		err = page.ExecuteTemplate(&out, "layout", s.frame(r, &v))
	}
	if err != nil {
		return nil, fmt.Errorf("make the page %s: %w", v.page, err)
	}
	return &reply{contentType: "text/html; charset=utf-8", body: out.Bytes()}, nil
}

// frame tells those who may not see the gateway nothing of it.
func (s *Server) frame(r *http.Request, v *view) *frame {
	f := &frame{Title: v.title, Path: r.URL.Path, Body: v.body, Writable: s.writable}
	if s.tokens == nil {
		p := peerFrom(r.Context())
		f.Menu = p != nil && p.trusted
	} else {
		f.Login = s.loggedIn(r)
		f.Menu = f.Login
	}
	f.Menu = f.Menu && s.ours(r) == nil
	if f.Menu {
		status := s.gateway.Status()
		f.State, f.Version = status.State, status.Version
	}
	return f
}

// parse reads the templates: one set for each page, of the layout, the parts that all
// share, and the page's own.
func (s *Server) parse() (map[string]*template.Template, error) {
	shared, err := template.New("shared").Funcs(s.words()).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("read the console's templates: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, name := range []string{"overview", "subscriber", "calendar", "reports", "health", "reload", "login", "failure"} {
		page, err := shared.Clone()
		if err == nil {
			page, err = page.ParseFS(templateFiles, "templates/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("read the console's templates: %w", err)
		}
		pages[name] = page
	}
	return pages, nil
}

// words are what templates say things with.
func (s *Server) words() template.FuncMap {
	return template.FuncMap{
		"link":     s.link,
		"num":      func(n any) string { return human.Grouped(fmt.Sprint(n)) },
		"octets":   octets,
		"clock":    s.clock,
		"rfc":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"input":    func(t time.Time) string { return t.In(s.zone).Format(inputLayout) },
		"zone":     func() string { return s.now().In(s.zone).Format("MST") },
		"ago":      func(t time.Time) string { return human.Span(s.now().Sub(t)) },
		"until":    func(t time.Time) string { return human.Span(t.Sub(s.now())) },
		"seconds":  func(n float64) string { return human.Span(time.Duration(n * float64(time.Second))) },
		"percent":  func(share float64) string { return strconv.Itoa(int(100*share+0.5)) + " %" }, //nolint:mnd // percent, rounded
		"decimal":  func(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) },
		"address":  address,
		"who":      who,
		"outcomes": outcomes,
		"total":    total,
		"count":    func(m map[string]uint64, name string) uint64 { return m[name] },
		"dict":     dict,
		"list":     func(words []string) string { return strings.Join(words, ", ") },
		"ports":    ports,
		"short":    func(text string, most int) string { return text[:min(len(text), most)] },
		"plain":    func(name string) string { return strings.ReplaceAll(name, "_", " ") },
	}
}

// inputLayout is what a browser's field for a moment holds.
const inputLayout = "2006-01-02T15:04"

func (s *Server) clock(t time.Time) string { return t.In(s.zone).Format("2006-01-02 15:04:05 MST") }

// moment reads a field for a moment, in the gateway's zone. Empty: the zero time.
func (s *Server) moment(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{inputLayout, "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, s.zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &control.Error{Code: http.StatusBadRequest, Message: fmt.Sprintf("The field %q does not hold a time", name),
		Fix: "Write it as in 2027-02-02T10:00, in the gateway's time zone, or leave it empty."}
}

// octets writes a size.
func octets(n int64) string {
	const step = 1024
	if n < step {
		return human.Grouped(strconv.FormatInt(n, 10)) + " octets"
	}
	size := float64(n) / step
	for _, unit := range []string{"KiB", "MiB", "GiB"} {
		if size < step {
			return strconv.FormatFloat(size, 'f', 1, 64) + " " + unit
		}
		size /= step
	}
	return strconv.FormatFloat(size, 'f', 1, 64) + " TiB"
}

// address returns what to look a subscriber up by: the address, or the first of a prefix.
func address(subscriber string) string {
	if p, err := netip.ParsePrefix(subscriber); err == nil {
		return p.Addr().String()
	}
	return subscriber
}

// who names a subscriber: a single address without its length, which says nothing.
func who(subscriber string) string {
	if p, err := netip.ParsePrefix(subscriber); err == nil && p.IsSingleIP() {
		return p.Addr().String()
	}
	return subscriber
}

// outcome is a number of attempts that ended alike.
type outcome struct {
	Name, Label string
	Attempts    uint64
}

// outcomes are all there are, in the order that they are counted in.
func outcomes(by map[string]uint64) []outcome {
	all := make([]outcome, census.NumOutcomes)
	for o := range census.NumOutcomes {
		all[o] = outcome{Name: o.String(), Label: label(o), Attempts: by[o.String()]}
	}
	return all
}

// label is an outcome for people.
func label(o census.Outcome) string {
	switch o {
	case census.Refused:
		return "refused"
	case census.Monitored:
		return "monitored"
	case census.NotInForce:
		return "not in force yet"
	case census.Exempt:
		return "exempt"
	default:
		return "to a relay"
	}
}

func total(by map[string]uint64) (n uint64) {
	for _, attempts := range by {
		n += attempts
	}
	return n
}

func ports(all []uint16) string {
	words := make([]string, len(all))
	for i, port := range all {
		words[i] = strconv.Itoa(int(port))
	}
	return strings.Join(words, ", ")
}

// dict makes of names and values what a part can be given.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict has %d arguments: give each name a value", len(pairs))
	}
	d := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, is := pairs[i].(string)
		if !is {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		d[name] = pairs[i+1]
	}
	return d, nil
}
