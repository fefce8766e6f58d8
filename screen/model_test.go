// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"

	"op25b/control"
	"op25b/human"
)

var update = flag.Bool("update", false, "write the golden files anew")

// began is when the example's gateway started.
func began() time.Time { return time.Date(2027, 1, 12, 9, 0, 0, 0, time.UTC) }

// example is what a busy gateway says so many seconds after began.
func example(seconds int) answer {
	n := uint64(seconds)
	at := began().Add(time.Duration(seconds) * time.Second)
	s := &control.Status{
		Version: "v1.3.0", PID: 4711, Started: began(), State: control.StateOK,
		Policy: control.PolicyStatus{
			Generation: 3,
			Active: []control.ActiveStatus{
				{Name: "mobile", Mode: "refuse", SharePercent: 100},
				{Name: "residential", Mode: "monitor", SharePercent: 10},
			},
			Next: &control.NextStatus{Time: began().AddDate(0, 0, 21), What: []string{"phase residential begins"}},
		},
		Packets: map[string]map[string]uint64{
			"outbound": {"frames": 10_000 * n, "octets": 6_000_000 * n * n / 40, "forwarded": 9_990 * n, "answered_reset": 12 * n},
			"inbound":  {"frames": 25_000 * n, "octets": 31_250_000 * n, "forwarded": 25_000 * n, "dropped_malformed": n / 20},
		},
		Refused: 12 * n, Monitored: 3 * n / 2,
		Attempts: control.AttemptsStatus{Outcomes: map[string]uint64{"refused": 4 * n, "monitored": n}},
	}
	for _, direction := range []string{"outbound", "inbound"} {
		for queue := range 2 {
			s.Workers = append(s.Workers, control.WorkerStatus{
				Direction: direction, Queue: queue, Frames: 5000 * n, Octets: 4_000_000 * n * uint64(1+queue), Progress: at,
			})
		}
	}
	top := &control.Top{
		Time: at, Since: began(),
		Attempts: map[string]uint64{"refused": 4 * n, "monitored": n, "not_in_force": 2 * n, "exempt": 7, "relayed": 90 * n},
	}
	for i := range 20 {
		top.Subscribers = append(top.Subscribers, control.ActiveSubscriber{
			Subscriber: fmt.Sprintf("203.0.113.%d/32", 10+i), Pool: "residential",
			Attempts:     map[string]uint64{"refused": uint64(4000 / (i + 1)), "monitored": uint64(i)},
			Destinations: uint64(3 + 77*((i+3)%5)), Estimated: i == 0, Last: at.Add(-time.Duration(i) * time.Second),
		})
		top.Destinations = append(top.Destinations, control.ActiveDestination{
			Destination: fmt.Sprintf("198.51.100.%d", 25+i), Port: 25, Attempts: uint64(900 / (i + 1)), Subscribers: uint64(1 + i%4),
		})
	}
	top.Subscribers[3].Subscriber, top.Subscribers[3].Pool = "2001:db8:77:100::/56", "mobile"
	return answer{reading: reading{at: at, status: s, top: top}}
}

// fed is a model that has had so many answers.
func fed(t *testing.T, width, height, answers int) *model {
	t.Helper()
	m := newModel(nil, time.Second, &painter{}, time.UTC)
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	for i := range answers {
		m.Update(example(60 + i))
	}
	return m
}

// press sends keys, by their names.
func press(m *model, keys ...string) tea.Cmd {
	named := map[string]rune{"tab": tea.KeyTab, "left": tea.KeyLeft, "right": tea.KeyRight, "up": tea.KeyUp, "down": tea.KeyDown, "esc": tea.KeyEscape, "space": tea.KeySpace}
	var cmd tea.Cmd
	for _, key := range keys {
		msg := tea.KeyPressMsg{Code: named[key]}
		if msg.Code == 0 {
			msg = tea.KeyPressMsg{Code: rune(key[0]), Text: key}
		}
		_, cmd = m.Update(msg)
	}
	return cmd
}

func shown(m *model) string { return m.View().Content }

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got += "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -update writes it anew:\n%s", name, diff)
	}
}

func TestGoldenViews(t *testing.T) {
	t.Parallel()
	for _, size := range []struct{ width, height int }{{80, 24}, {120, 40}, {40, 15}} {
		for p := range numPanes {
			m := fed(t, size.width, size.height, 50)
			for range p {
				press(m, "tab")
			}
			golden(t, fmt.Sprintf("%dx%d-%s.txt", size.width, size.height, p.title()), shown(m))
		}
	}
}

func TestGoldenStates(t *testing.T) {
	t.Parallel()
	lost := errors.New("nobody listens on /run/op25b/op25b.sock: start it with: op25b run -c FILE")
	for name, bring := range map[string]func(m *model){
		"first":  func(*model) {},
		"nobody": func(m *model) { m.Update(answer{reading: reading{at: began()}, err: lost}) },
		"once":   func(m *model) { m.Update(example(60)) },
		"help":   func(m *model) { m.Update(example(60)); press(m, "?") },
		"paused": func(m *model) { m.Update(example(60)); press(m, "p") },
		"ascii": func(m *model) {
			m.paint.ascii = true
			m.Update(example(60))
			m.Update(example(61))
			m.Update(example(62))
		},
		"lost": func(m *model) {
			m.Update(example(60))
			m.Update(answer{reading: reading{at: began().Add(75 * time.Second)}, err: lost})
		},
		"private": func(m *model) { a := example(60); a.top = &control.Top{}; m.Update(a) },
		"degraded": func(m *model) {
			a := example(60)
			a.status.State = control.StateDegraded
			for i := range 5 {
				a.status.Problems = append(a.status.Problems, control.Problem{What: fmt.Sprintf("interface eth%d is down", i), Fix: "ip link set up"})
			}
			a.status.Workers[1].Stalled = true
			m.Update(a)
			press(m, "tab", "tab")
		},
	} {
		m := fed(t, 80, 24, 0)
		bring(m)
		golden(t, "state-"+name+".txt", shown(m))
	}
}

// Whatever the size and the pane, the view is as high as the terminal and no wider.
func TestFits(t *testing.T) {
	t.Parallel()
	for _, width := range []int{1, 2, 5, 9, 20, 39, 40, 59, 60, 61, 80, 200} {
		for _, height := range []int{1, 2, 3, 5, 6, 9, 15, 24, 60} {
			for _, ascii := range []bool{false, true} {
				m := fed(t, width, height, 3)
				m.paint.ascii = ascii
				for range numPanes {
					lines := strings.Split(shown(m), "\n")
					if len(lines) != height {
						t.Fatalf("%dx%d: %d lines", width, height, len(lines))
					}
					for _, l := range lines {
						if lipgloss.Width(l) > width {
							t.Fatalf("%dx%d: %q is too wide", width, height, l)
						}
					}
					press(m, "tab")
				}
			}
		}
	}
}

// What a customer or a file has named itself cannot steer the terminal.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e\r\nx"
	m := fed(t, 120, 40, 0)
	a := example(60)
	a.top.Subscribers[0].Pool, a.top.Subscribers[0].Subscriber, a.top.Destinations[0].Destination = evil, evil, evil
	a.status.Problems = []control.Problem{{What: evil, Fix: evil}}
	a.status.Version, a.status.Policy.Active[0].Name, a.status.Policy.Next.What[0] = evil, evil, evil
	a.status.Packets["outbound"][evil] = 5
	m.Update(a)
	m.Update(answer{reading: reading{at: a.at}, err: errors.New(evil)})
	for range numPanes {
		if got := shown(m); strings.ContainsAny(got, "\x1b\x07\u009b\u202e\r") || len(strings.Split(got, "\n")) != 40 {
			t.Errorf("%s: %q", m.pane.title(), got)
		}
		press(m, "tab")
	}
	var b strings.Builder
	if err := Plain(&b, nil, a.status, a.top, 0); err != nil || strings.ContainsAny(b.String(), "\x1b\x07\u009b\u202e\r") {
		t.Errorf("%v: %q", err, b.String())
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	a, b := example(60).status, example(62).status
	r := between(a, b, 2*time.Second)
	if r.refused != 12 || r.monitored != 1.5 || r.direction["inbound"] != (flow{25_000, 250e6}) ||
		r.workers[worker{"inbound", 1}] != (flow{5000, 64e6}) || r.outcomes["refused"] != 4 {
		t.Errorf("%+v", r)
	}
	restarted := example(62).status
	restarted.PID++
	for name, got := range map[string]rates{
		"none before": between(nil, b, time.Second),
		"no time":     between(a, b, 0),
		"restarted":   between(a, restarted, time.Second),
	} {
		if diff := cmp.Diff(rates{}, got, cmp.AllowUnexported(rates{}, flow{}, worker{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if r := between(b, a, time.Second); r.refused != 0 || r.direction["inbound"].bits != 0 {
		t.Errorf("counters that went back: %+v", r)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{human.Count(0), "0"},
		{human.Count(999), "999"},
		{human.Count(1234567), "1,234,567"},
		{bitRate(0, true), "0 bit/s"},
		{bitRate(999, true), "999 bit/s"},
		{bitRate(999.96, true), "1.0 kbit/s"},
		{bitRate(98.7e6, true), "98.7 Mbit/s"},
		{bitRate(9.87e9, true), "9.9 Gbit/s"},
		{bitRate(2e15, true), "2000.0 Tbit/s"},
		{bitRate(5, false), "-"},
		{perSecond(0, true), "0/s"},
		{perSecond(0.01, true), "<0.1/s"},
		{perSecond(3.14, true), "3.1/s"},
		{perSecond(12345.6, true), "12,346/s"},
		{perSecond(1, false), "-"},
		{human.Span(90 * time.Second), "1 min"},
		{human.Span(49 * time.Hour), "2 d 1 h"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// One turn follows another, and never are there two at once: not when the user changes
// the interval, nor goes on after a pause, while an answer is still to come.
func TestTurns(t *testing.T) {
	t.Parallel()
	asked := 0
	m := newModel(func() answer { asked++; return example(60 + asked) }, time.Millisecond, &painter{}, time.UTC)
	_, tick := m.Update(m.Init()())
	old := due{m.turn}
	if asked != 1 || tick == nil {
		t.Fatalf("asked %d times, then %v", asked, tick)
	}
	if cmd := press(m, "-"); cmd == nil {
		t.Fatal("a new interval does not ask at once")
	}
	if cmd := press(m, "-"); cmd != nil {
		t.Error("asked twice at once")
	}
	if _, cmd := m.Update(old); cmd != nil {
		t.Error("an old turn goes on")
	}
	if press(m, "p") != nil || !m.paused {
		t.Error("a pause asks")
	}
	if _, cmd := m.Update(example(70)); cmd != nil {
		t.Error("an answer in a pause leads on")
	}
	if cmd := press(m, "space"); cmd == nil || m.paused {
		t.Error("going on does not ask")
	} else if _, tick = m.Update(cmd()); tick == nil {
		t.Error("then it stops")
	}
	if _, cmd := m.Update(tick()); cmd == nil {
		t.Error("a turn does not ask")
	}
}

func TestInterval(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from time.Duration
		key  string
		want time.Duration
	}{
		{time.Second, "+", 500 * time.Millisecond},
		{time.Second, "-", 2 * time.Second},
		{250 * time.Millisecond, "+", 250 * time.Millisecond},
		{time.Minute, "-", time.Minute},
		{3 * time.Second, "+", 2 * time.Second},
		{3 * time.Second, "-", 5 * time.Second},
		{time.Hour, "-", time.Minute},
		{time.Hour, "+", time.Minute},
		{time.Millisecond, "+", 250 * time.Millisecond},
	} {
		m := newModel(nil, c.from, &painter{}, time.UTC)
		press(m, c.key)
		if m.interval != c.want {
			t.Errorf("%v %s: %v, want %v", c.from, c.key, m.interval, c.want)
		}
	}
}

func TestSortAndScroll(t *testing.T) {
	t.Parallel()
	m := fed(t, 80, 24, 2)
	first := func() string {
		tbl := m.pane.table(&m.now, &m.rates, m.zone, m.order[m.pane])
		return tbl.lines[0].cells[0] + " by " + tbl.titles[tbl.sorted]
	}
	var got []string
	for range 6 {
		got = append(got, first())
		press(m, "s")
	}
	want := []string{
		"203.0.113.10/32 by attempts", "203.0.113.10/32 by refused", "203.0.113.11/32 by destinations",
		"203.0.113.10/32 by last", "203.0.113.10/32 by subscriber", "203.0.113.10/32 by attempts",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sorted (-want +got):\n%s", diff)
	}
	press(m, "up")
	for range 100 {
		press(m, "down")
	}
	if m.offset != 19 || !strings.Contains(shown(m), "203.0.113.29/32") && !strings.Contains(shown(m), "2001:db8") {
		t.Errorf("at %d:\n%s", m.offset, shown(m))
	}
	press(m, "left")
	if m.pane != panePackets || m.offset != 0 {
		t.Errorf("left: pane %s, line %d", m.pane.title(), m.offset)
	}
}

func TestSpark(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p      painter
		values []float64
		width  int
		want   string
	}{
		{painter{}, []float64{0, 1, 2, 4, 8}, 10, "▁▂▃▅█"},
		{painter{ascii: true}, []float64{0, 1, 2, 4, 8}, 10, "_.:=#"},
		{painter{}, []float64{8, 1, 1}, 2, "██"},
		{painter{}, []float64{0, 0}, 5, "▁▁"},
		{painter{}, []float64{1}, 0, ""},
		{painter{}, []float64{1}, -3, ""},
	} {
		if got := c.p.spark(c.values, c.width); got != c.want {
			t.Errorf("%v in %d: %q, want %q", c.values, c.width, got, c.want)
		}
	}
}

func TestPlainText(t *testing.T) {
	t.Parallel()
	before, now := example(60), example(62)
	var b strings.Builder
	if err := plain(&b, before.status, now.reading, 2*time.Second, time.UTC); err != nil {
		t.Fatal(err)
	}
	golden(t, "plain.txt", strings.TrimSuffix(b.String(), "\n"))
	b.Reset()
	if err := plain(&b, nil, now.reading, 0, time.UTC); err != nil || !strings.Contains(b.String(), "inbound              -") {
		t.Errorf("%v:\n%s", err, b.String())
	}
	full := errors.New("no space")
	if err := Plain(broken{full}, nil, now.status, now.top, 0); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestSpeaksUTF8(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		environ string
		want    bool
	}{
		{"LANG=en_US.UTF-8", true},
		{"LANG=ja_JP.utf8", true},
		{"LANG=C", false},
		{"", false},
		{"LANG=en_US.UTF-8 LC_ALL=C", false},
		{"LC_CTYPE=C.UTF-8 LANG=C", true},
		{"LC_ALL= LANG=C.UTF-8", true},
	} {
		if got := speaksUTF8(strings.Fields(c.environ)); got != c.want {
			t.Errorf("%q: %v", c.environ, got)
		}
	}
}
