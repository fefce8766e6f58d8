// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
)

// mostHistory is how many values a graph has: the widest terminals have no more.
const mostHistory = 400

// answer is what came of asking. It and due are the messages that model sends itself.
type answer struct {
	reading

	err error
}

// due says that it is time to ask again. One whose turn is over is of no effect, so
// that two of them never run side by side.
type due struct{ turn int }

// model is what is shown, and what the user has chosen. It belongs to bubbletea's
// event loop; only ask and rest run elsewhere, and touch nothing of it.
type model struct {
	ask      func() answer
	rest     func(time.Duration) // waits, and less than that at the end
	interval time.Duration
	paint    *painter
	zone     *time.Location

	width, height int // of the terminal
	pane          pane
	order         [numPanes]int // how each pane is sorted
	offset        int           // the first line of the table that is shown
	paused        bool
	helping       bool

	turn   int
	asking bool

	now     reading // the latest; without a status until there is one
	rates   rates
	history map[string][]float64 // bits a second, by direction
	failure error                // of the latest asking, at failed
	failed  time.Time
}

func newModel(ask func() answer, interval time.Duration, paint *painter, zone *time.Location) *model {
	if interval <= 0 {
		interval = time.Second
	}
	return &model{
		ask: ask, rest: time.Sleep, interval: interval, paint: paint, zone: zone, asking: true,
		width: 80, height: 24, history: map[string][]float64{}, //nolint:mnd // until the terminal has said how large it is
	}
}

// Init asks for the first time.
func (m *model) Init() tea.Cmd { return m.askNow }

func (m *model) askNow() tea.Msg { return m.ask() }

// Update takes in what has happened.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = max(1, msg.Width), max(1, msg.Height)
	case answer:
		return m, m.take(msg)
	case due:
		if msg.turn == m.turn {
			return m, m.again()
		}
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	}
	return m, nil
}

// View draws it. bubbletea sends only what differs from before.
func (m *model) View() tea.View {
	v := tea.NewView(m.paint.paint(m.screenful(), m.width))
	v.AltScreen = true
	v.WindowTitle = "op25b top"
	return v
}

// take keeps an answer, and waits for the next turn.
func (m *model) take(a answer) tea.Cmd {
	m.asking = false
	m.failure = a.err
	if a.err != nil {
		m.failed = a.at
	} else {
		m.rates = between(m.now.status, a.status, a.at.Sub(m.now.at))
		m.now = a.reading
		for direction, f := range m.rates.direction {
			h := append(m.history[direction], f.bits)
			m.history[direction] = slices.Clone(h[max(0, len(h)-mostHistory):])
		}
		m.scroll(0) // the table may have become shorter
	}
	return m.wait()
}

// wait makes the next turn come, unless the view is paused.
func (m *model) wait() tea.Cmd {
	if m.paused {
		return nil
	}
	m.turn++
	turn, interval := m.turn, m.interval
	return func() tea.Msg {
		m.rest(interval)
		return due{turn}
	}
}

// again asks, unless an answer is still to come, which leads on by itself.
func (m *model) again() tea.Cmd {
	if m.asking || m.paused {
		return nil
	}
	m.asking = true
	return m.askNow
}

func (m *model) key(key string) tea.Cmd {
	switch key {
	case "q", "ctrl+c":
		return tea.Quit
	case "?":
		m.helping = !m.helping
	case "esc":
		m.helping = false
	case "p", "space":
		m.paused = !m.paused
		m.turn++ // what is under way stops
		return m.again()
	case "s":
		m.order[m.pane]++
		m.offset = 0
	case "tab", "right":
		m.turnTo(1)
	case "shift+tab", "left":
		m.turnTo(numPanes - 1)
	case "up", "k":
		m.scroll(-1)
	case "down", "j":
		m.scroll(1)
	case "+", "=":
		return m.pace(-1)
	case "-":
		return m.pace(1)
	}
	return nil
}

func (m *model) turnTo(by pane) {
	m.pane = (m.pane + by) % numPanes
	m.offset = 0
}

// scroll moves the table, and never beyond its last line.
func (m *model) scroll(by int) {
	if m.now.status == nil {
		return
	}
	lines := len(m.pane.table(&m.now, &m.rates, m.zone, m.order[m.pane]).lines)
	m.offset = max(0, min(m.offset+by, lines-1))
}

// pace takes the next interval, shorter or longer, and asks at once.
func (m *model) pace(by int) tea.Cmd {
	steps := []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}
	at, exact := slices.BinarySearch(steps, m.interval)
	if !exact && by > 0 {
		at-- // the next longer one is the one that was found
	}
	m.interval = steps[max(0, min(at+by, len(steps)-1))]
	m.turn++
	return m.again()
}
