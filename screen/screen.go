// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"op25b/control"
)

// askTime is how long a gateway has to answer.
const askTime = 5 * time.Second

// Options are what [Run] needs to know.
type Options struct {
	// Ask asks the gateway, and returns soon after ctx has ended. A Top without a Time
	// means that who tries is not for us. It is called by one goroutine at a time.
	Ask func(ctx context.Context) (control.Status, control.Top, error)
	// Interval is how often it is asked, at first. Zero: 1 s.
	Interval time.Duration
	// In and Out are the terminal.
	In  io.Reader
	Out io.Writer
	// Environ says what the terminal can do, as os.Environ does. Nil: that is taken.
	Environ []string
}

// Run shows the gateway until the user quits or ctx ends; both return nil. A gateway
// that does not answer is no error: the view says so, and asks again.
func Run(ctx context.Context, opts Options) error {
	if opts.Environ == nil {
		opts.Environ = os.Environ()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends what is asked or waited for when the user quits
	m := newModel(func() answer { return askOnce(ctx, opts.Ask) }, opts.Interval, newPainter(!speaksUTF8(opts.Environ)), time.Local)
	m.rest = func(d time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
	// Not tea.WithContext: a program that is killed does not wait for what reads the
	// terminal, and would take the next key from whoever has it then.
	p := tea.NewProgram(m, tea.WithInput(opts.In), tea.WithOutput(opts.Out),
		tea.WithEnvironment(opts.Environ), tea.WithoutSignalHandler())
	defer context.AfterFunc(ctx, p.Quit)()
	if _, err := p.Run(); err != nil {
		return fmt.Errorf("show the gateway on a terminal: %w: op25b top --once writes it as text", err)
	}
	return nil
}

func askOnce(ctx context.Context, ask func(context.Context) (control.Status, control.Top, error)) answer {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	s, top, err := ask(ctx)
	return answer{reading{at: time.Now(), status: &s, top: &top}, err}
}

// speaksUTF8 says what a locale's character set is, in the order of POSIX.
func speaksUTF8(environ []string) bool {
	for _, name := range []string{"LC_ALL=", "LC_CTYPE=", "LANG="} {
		i := slices.IndexFunc(environ, func(v string) bool { return strings.HasPrefix(v, name) && len(v) > len(name) })
		if i >= 0 {
			set := strings.ToLower(environ[i])
			return strings.Contains(set, "utf-8") || strings.Contains(set, "utf8")
		}
	}
	return false
}
