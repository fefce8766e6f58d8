// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// screen tells the demo's story in words. With JSON it is silent.
type screen struct {
	out       io.Writer
	good, bad string // marks of one width
	nameWidth int
	gotWidth  int
	began     time.Time
}

func newScreen(opts DemoOptions) *screen {
	s := &screen{out: opts.Out, good: "ok  ", bad: "FAIL", began: time.Now()}
	if opts.JSON {
		s.out = io.Discard
	}
	if utf8Terminal() {
		s.good, s.bad = "✓", "✗"
	}
	for _, step := range demoSteps() {
		s.nameWidth = max(s.nameWidth, len(step.name))
		s.gotWidth = max(s.gotWidth, len(step.expect))
	}
	return s
}

// utf8Terminal follows the locale in the order of precedence that POSIX gives the
// variables.
func utf8Terminal() bool {
	locale := strings.ToUpper(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG")))
	return strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8")
}

// say prints one line.
func (s *screen) say(format string, args ...any) {
	fmt.Fprintf(s.out, format+"\n", args...)
}

func (s *screen) introduce() {
	a := IPv4.Addrs()
	s.say(`Outbound port 25 blocking, in a small network of its own:

  dynamic subscriber  %s --+
                                   +-- gateway (op25b) -- router -- internet: mail servers, web
  static subscriber   %s --+

A subscriber with a dynamic address may not send mail straight to other people's
mail servers (port 25), as infected computers do. Mail goes out with a password by
port 587, or by the ISP's own mail server. Everything else passes.`, a.Dynamic, a.Static)
}

// show prints one step's line, and under it what was expected if it is not what
// happened.
func (s *screen) show(step DemoStep) {
	mark := s.good
	if !step.OK {
		mark = s.bad
	}
	took := time.Duration(step.Milliseconds * float64(time.Millisecond))
	s.say("  %s %-*s  %-*s  %8s", mark, s.nameWidth, step.Name, s.gotWidth, step.Got, inMilliseconds(took))
	if !step.OK {
		s.say("  %*s expected: %s", len([]rune(mark)), "", step.Expect)
	}
}

func (s *screen) summarize(stage *stage, report *DemoReport, err error) {
	total := len(report.Steps)
	s.say("")
	if families := stage.network.Families(); len(families) == 1 {
		s.say("The kernel of this machine has IPv6 switched off: only %s was shown.", families[0])
	}
	switch {
	case err == nil:
		s.say("All %d checks went as expected, in %.1f s.", total, time.Since(s.began).Seconds())
	case report.failed() > 0:
		s.say("%d of %d checks did NOT go as expected. The gateway's last words:%s",
			report.failed(), total, stage.gateway.lastWords())
	default:
		s.say("Stopped after %d checks.", total)
	}
}

// inviteToLookAround says what can be tried in a network that is kept.
func (s *screen) inviteToLookAround(stage *stage) {
	n, a := stage.network, IPv4.Addrs()
	s.say(`
The network stays up. Look around in it from another terminal, as root:

  a shell at a subscriber's or at the gateway
    ip netns exec %[1]s bash
    ip netns exec %[2]s bash
    ip netns exec %[3]s bash

  port 25 from the dynamic subscriber (refused), and from the static one
    ip netns exec %[1]s curl -v --max-time 5 -X NOOP smtp://%[4]s:25
    ip netns exec %[2]s curl -v --max-time 5 -X NOOP smtp://%[4]s:25

  mail with a password by port 587
    ip netns exec %[1]s swaks --server %[4]s --port 587 \
      --auth PLAIN --auth-user %[6]s --auth-password %[7]s \
      --from bob@subscriber.example --to %[6]s

  mail by the ISP's own server
    ip netns exec %[1]s swaks --server %[5]s \
      --from bob@subscriber.example --to %[6]s

  packets, where subscribers enter the gateway
    ip netns exec %[3]s tcpdump -ni op25b-sub

  the gateway's configuration
    %[8]s

Ctrl-C ends the demo, closes shells that are open in the network, and removes it.`,
		n.Dynamic.Name(), n.Static.Name(), n.Gateway.Name(), a.MX, a.MSA, MailUser, MailPassword,
		stage.gateway.ConfigPath())
}
