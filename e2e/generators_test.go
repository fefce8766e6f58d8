// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"op25b/lab"
)

// generator is a program that makes packets which no honest client sends.
type generator struct {
	name string // as in reports
	// command is how it is run, before the shot's own words. In both, {to} is the
	// internet host, {port} the port there or {ports} both, {from} and {sport} the
	// subscriber's, {mac} and {gateway} the link addresses of both ends, {router}
	// the gateway's address, {static} the other subscriber; ~ is a blank that
	// splits no words.
	command string
	// once: one run takes all shots at once, their words and sources, at both ports.
	once bool
	// open is what it says when the port looks open to it, an expression with
	// {port} and {sport}; empty where it says nothing.
	open string
	// steady: its word is the same each time. The others lose answers when the
	// machine is busy, so that only what the witness saw is compared.
	steady bool
	// control is how many shots must open port 25 when no gateway is there, at the
	// least, so that it means something when none does. It varies with the kernel.
	control int
	shots   []shot
}

// shot is one run of a generator, of a few packets.
type shot struct {
	family lab.Family
	words  string
	// stopped says why op25b, on purpose, keeps it from other ports as well where it
	// sees all traffic. Where the kernel does that may differ, and is not judged.
	stopped string
	// source is the port that the generator sends from; 0: {sport}.
	source uint16
}

// Why op25b treats other ports than mail's unlike the kernel, on purpose. It cannot
// tell what port it is, and nothing honest looks like that.
const (
	tinyFragment = "a fragment begins where a TCP header may lie (RFC 1858, RFC 3128)"
	shortFirst   = "a first fragment is shorter than the chain of headers may be (RFC 8200, section 5: links carry 1280)"
	longChain    = "more than sixteen extension headers"
	jumbogram    = "a payload length of zero: no link here carries a jumbogram (RFC 2675)"
)

// road is one way for subscribers' packets through the gateway.
type road struct {
	name  string
	build func(t *testing.T, n *lab.Network)
}

// kernelRoad is the kernel's own forwarding: what the others are compared with.
const (
	kernelRoad = "kernel"
	captureAll = "capture all"
)

func roads() []road {
	return []road{
		{kernelRoad, func(*testing.T, *lab.Network) {}},
		{captureAll, func(t *testing.T, n *lab.Network) {
			t.Helper()
			startGateway(t, n, lab.ConfigOptions{Capture: "all"})
		}},
		{"capture smtp", func(t *testing.T, n *lab.Network) {
			t.Helper()
			startGateway(t, n, lab.ConfigOptions{Capture: "smtp"})
		}},
		{"killed", func(t *testing.T, n *lab.Network) {
			t.Helper()
			g := startGateway(t, n, lab.ConfigOptions{OnExit: "reject-smtp"})
			kill(t, n, g)
		}},
	}
}

// result is what came of a shot at one port.
type result struct {
	opened bool // a SYN|ACK left
	said   bool // the generator takes it for open
	output string
}

func (r result) opens() bool { return r.opened || r.said }

// TestGenerators fires every shot of every generator from the dynamic subscriber
// at the ports 25 and 80 of a Linux host in the internet, with the kernel alone
// forwarding, with op25b in both capture modes, and after op25b was killed.
//
// Port 25 opens in none but the first, by the word of the generator and by what
// leaves the listener. Port 80 gives the same in all four, but for what is stopped
// on purpose.
func TestGenerators(t *testing.T) {
	t.Parallel()
	needRoot(t)
	all := generators()
	for _, g := range all {
		needTools(t, strings.Fields(g.command)[0])
	}
	needTools(t, "scapy")
	var mu sync.Mutex // protects results
	results := map[string][][2]result{}
	t.Run("roads", func(t *testing.T) { // ends when all of them have
		for _, r := range roads() {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				n := newNetwork(t, lab.Options{})
				a := newArena(t, n, all)
				r.build(t, n)
				got := a.fire(t)
				if r.name != kernelRoad {
					a.nothingOpened(t)
				}
				mu.Lock()
				defer mu.Unlock()
				results[r.name] = got
			})
		}
	})
	compareRoads(t, all, results)
}

// compareRoads judges each shot by its results on all roads.
func compareRoads(t *testing.T, all []generator, results map[string][][2]result) {
	t.Helper()
	type tally struct {
		shots, open25, open80 int
		output                string
	}
	counts := map[string]*tally{}
	for i, s := range flatten(all) {
		kernel := results[kernelRoad]
		if kernel == nil {
			return // -run named another
		}
		c := counts[s.by.name]
		if c == nil {
			c = &tally{output: kernel[i][0].output}
			counts[s.by.name] = c
		}
		c.shots++
		if kernel[i][0].opened {
			c.open25++
		}
		if kernel[i][1].opened {
			c.open80++
		}
		for _, r := range roads() {
			got := results[r.name]
			if got == nil || r.name == kernelRoad {
				continue
			}
			if got[i][0].opens() {
				t.Errorf("%s: %s OPENS PORT 25\n%s", r.name, s.title(), got[i][0].output)
			}
			want, web := kernel[i][1].opened, got[i][1]
			switch {
			case s.stopped != "" && r.name != captureAll:
				continue
			case s.stopped != "":
				want = false
			case s.by.steady && web.said != kernel[i][1].said:
				t.Errorf("%s: %s finds port 80 open: %t, without a gateway %t\n%s", r.name, s.title(), web.said, kernel[i][1].said, web.output)
			}
			if web.opened != want {
				t.Errorf("%s: %s opens port 80: %t, want %t (stopped: %q)\n%s", r.name, s.title(), web.opened, want, s.stopped, web.output)
			}
		}
	}
	for _, g := range all {
		c := counts[g.name]
		if c == nil {
			continue // said already: a generator can have one part for each family
		}
		delete(counts, g.name)
		if c.open25 < g.control {
			t.Errorf("%s opens port 25 with %d shots without a gateway, want %d at the least\n%s", g.name, c.open25, g.control, c.output)
		}
		t.Logf("%-10s %3d shots at each port; without a gateway %3d open port 25, %3d port 80", g.name, c.shots, c.open25, c.open80)
	}
}

// loaded is a shot with its generator.
type loaded struct {
	shot
	by generator
}

func (l loaded) title() string { return fmt.Sprintf("%s %s, %s", l.by.name, l.words, l.family) }

func flatten(all []generator) []loaded {
	var out []loaded
	for _, g := range all {
		for _, s := range g.shots {
			out = append(out, loaded{s, g})
		}
	}
	return out
}

// arena is a network with a witness.
type arena struct {
	network *lab.Network
	witness *witness
	shots   []loaded
	macs    [2]string // the subscriber's and the gateway's
}

func newArena(t *testing.T, n *lab.Network, all []generator) *arena {
	t.Helper()
	a := &arena{network: n, witness: newWitness(t, n), shots: flatten(all)}
	for i, end := range []struct {
		node *lab.Node
		link string
	}{{n.Dynamic, lab.LinkHost}, {n.Gateway, lab.LinkDynamic}} {
		link, err := end.node.Netlink().LinkByName(end.link)
		must(t, err)
		a.macs[i] = link.Attrs().HardwareAddr.String()
	}
	return a
}

// firstSource is the source port of the first shot; each has its own two.
const firstSource = 30000

// ports that the shots are fired at.
func ports() [2]uint16 { return [2]uint16{lab.PortSMTP, lab.PortWeb} }

// fire runs all shots, and those that have not opened port 80 once more: a packet that
// a busy machine has lost would be taken for one that was stopped.
func (a *arena) fire(t *testing.T) [][2]result {
	t.Helper()
	results := make([][2]result, len(a.shots))
	runs := a.plan()
	a.run(t, runs, results)
	a.run(t, a.missed(runs, results), results)
	return results
}

// missed are those of the runs that have a shot at port 80 without an answer. Shots
// that are fired together are left out: their fragments would meet those of the first
// time.
func (a *arena) missed(runs []run, results [][2]result) []run {
	const web = 1
	return slices.DeleteFunc(slices.Clone(runs), func(r run) bool {
		return a.shots[r.shots[0]].by.once || !slices.Contains(r.ports, web) || !slices.ContainsFunc(r.shots, func(i int) bool { return !results[i][web].opened })
	})
}

// run makes runs, some at a time: they mostly wait for answers.
func (a *arena) run(t *testing.T, planned []run, results [][2]result) {
	t.Helper()
	// The neighbours get to know each other before raw packets fly.
	for _, f := range a.network.Families() {
		wantConnected(t, a.network.Dynamic, at(f.Addrs().Internet, lab.PortWeb))
	}
	const atATime = 24
	runs := make(chan run)
	var firing sync.WaitGroup
	for range atATime {
		firing.Go(func() {
			for r := range runs {
				a.shoot(t, r, results)
			}
		})
	}
	for _, r := range planned {
		runs <- r
	}
	close(runs)
	firing.Wait()
	// What comes behind the last packet is there after it.
	for _, f := range a.network.Families() {
		for range 8 {
			wantConnected(t, a.network.Dynamic, at(f.Addrs().Internet, lab.PortWeb))
		}
	}
	for i, s := range a.shots {
		for p, port := range ports() {
			from := at(s.family.Addrs().Dynamic, a.sourceOf(i))
			results[i][p].opened = a.witness.opened(from, port)
		}
	}
}

func (a *arena) sourceOf(shot int) uint16 {
	if source := a.shots[shot].source; source != 0 {
		return source
	}
	return uint16(firstSource + 8*shot) // some take an answer to a neighbouring port for theirs
}

// run is one run of a generator.
type run struct {
	shots []int
	ports []int // indices into what ports returns
}

// plan says how the shots are run: one by one and port by port, or together.
func (a *arena) plan() []run {
	var runs []run
	together := map[string]int{} // by generator and family, which run
	for i, s := range a.shots {
		key := s.by.name + s.family.String()
		at, found := together[key]
		switch {
		case found && s.by.once:
			runs[at].shots = append(runs[at].shots, i)
		case s.by.once:
			together[key] = len(runs)
			runs = append(runs, run{[]int{i}, []int{0, 1}})
		case strings.Contains(s.by.command, "{ports}"):
			runs = append(runs, run{[]int{i}, []int{0, 1}})
		default:
			runs = append(runs, run{[]int{i}, []int{0}}, run{[]int{i}, []int{1}})
		}
	}
	return runs
}

// shoot makes one run and notes what the generator said.
func (a *arena) shoot(t *testing.T, r run, results [][2]result) {
	t.Helper()
	first := a.shots[r.shots[0]]
	line := first.by.command
	for _, i := range r.shots {
		line += " " + strings.ReplaceAll(a.shots[i].words, "{sport}", fmt.Sprint(a.sourceOf(i)))
	}
	addrs := first.family.Addrs()
	words := strings.Fields(strings.NewReplacer(
		"{to}", addrs.Internet.String(), "{port}", fmt.Sprint(ports()[r.ports[0]]), "{ports}", "25,80",
		"{id}", fmt.Sprint(int(a.sourceOf(r.shots[0]))+r.ports[0]), "{from}", addrs.Dynamic.String(), "{sport}", fmt.Sprint(a.sourceOf(r.shots[0])),
		"{mac}", a.macs[0], "{gateway}", a.macs[1],
		"{router}", addrs.GatewayDynamic.String(), "{static}", addrs.Static.String(),
	).Replace(line))
	for j := range words {
		words[j] = strings.ReplaceAll(words[j], "~", " ")
	}
	// Without an answer most exit with an error: it is what they print that counts.
	out, err := a.network.Dynamic.CombinedOutput(exec.Command("timeout", append([]string{"--kill-after=1", "300"}, words...)...))
	const timedOut = 124 // timeout(1)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == timedOut {
		t.Errorf("%s does not end\n%s", first.title(), out)
	}
	for _, i := range r.shots {
		for _, p := range r.ports {
			results[i][p].output = strings.Join(words, " ") + "\n" + string(out)
			if first.by.open != "" {
				open := strings.NewReplacer("{port}", fmt.Sprint(ports()[p]), "{sport}", fmt.Sprint(a.sourceOf(i))).Replace(first.by.open)
				results[i][p].said = regexp.MustCompile(open).Match(out)
			}
		}
	}
}

// nothingOpened judges the listener on port 25: no SYN|ACK to whomever, no
// connection, nothing half open.
func (a *arena) nothingOpened(t *testing.T) {
	t.Helper()
	answered, accepted := a.witness.total(lab.PortSMTP)
	if answered != 0 || accepted != 0 {
		t.Errorf("port 25 sent %d SYN|ACK and accepted %d connections, want none", answered, accepted)
	}
	if half := toolsSay(a.network.Internet, "ss -tanH state syn-recv sport = :25"); strings.Count(half, "\n") > 1 {
		t.Errorf("half-open connections to port 25:\n%s", half)
	}
	if got, _ := a.witness.total(lab.PortWeb); got == 0 {
		t.Error("port 80 sent no SYN|ACK: the witness is blind")
	}
}
