// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"

	"op25b/lab"
)

// generators returns those that wait the longest first.
func generators() []generator {
	return []generator{
		scapy(lab.IPv4), scapy(lab.IPv6), firewall6(), tcp6(), nmap(lab.IPv4), nmap(lab.IPv6), hping3(), trafgen(lab.IPv4), trafgen(lab.IPv6),
	}
}

// add appends shots and returns the last.
func (g *generator) add(f lab.Family, words ...string) *shot {
	for _, w := range words {
		g.shots = append(g.shots, shot{family: f, words: w})
	}
	return &g.shots[len(g.shots)-1]
}

func (g *generator) stopped(f lab.Family, why string, words ...string) {
	for _, w := range words {
		g.add(f, w).stopped = why
	}
}

// nmap scans with half a handshake. It repeats nothing: there is no loss here.
func nmap(f lab.Family) generator {
	g := generator{
		name: "nmap", control: 15, steady: true,
		command: "nmap -n -Pn --max-retries 0 --initial-rtt-timeout 300ms --max-rtt-timeout 300ms -oG - -p {ports} {to}",
		open:    "[ ,]{port}/open/tcp",
	}
	if f == lab.IPv6 {
		g.command += " -6"
	}
	g.add(f, "-sT", "-sS -g {sport}")
	g.add(f, "-sS -g 25").source = 25
	for _, flags := range []string{"SYNECECWR", "SYNURGPSHECECWR", "SYNFIN", "SYNRST", "SYNACK", "FIN"} {
		g.add(f, "-sS -g {sport} --scanflags "+flags)
	}
	g.add(f, "-sS -g {sport} --badsum", "-sN -g {sport}", "-sS -g {sport} --data-length 1000")
	if f == lab.IPv6 {
		return g // it fragments IPv4 alone
	}
	for _, how := range []string{"-f", "-ff", "--mtu 24 --data-length 40", "--mtu 72 --data-length 200"} {
		g.stopped(f, tinyFragment, "-sS -g {sport} "+how)
	}
	g.add(f, "-sS -g {sport} --mtu 24", "-sS -g {sport} --mtu 80 --data-length 200")
	g.add(f, "-sS -g {sport} -f --badsum")
	for _, options := range []string{"R", "T", "U", `\x94\x04\x00\x00`} {
		g.add(f, "-sS -g {sport} --ip-options "+options)
	}
	// The kernel forwards no source route either.
	g.add(f, "-sS -g {sport} --ip-options L~{router}", "-sS -g {sport} --ip-options S~{router}")
	return g
}

// hping3 sends single segments with any field; IPv4 alone.
func hping3() generator {
	const f = lab.IPv4
	g := generator{
		name: "hping3", control: 20,
		command: "hping3 -n -c 2 -i u1000 -s {sport} -N {id} -k -p {port} {to}",
		open:    `sport={port} flags=SA`,
	}
	g.add(f, "-S", "-S -P", "-S -U", "-S -P -U", "-S -X", "-S -Y", "-S -X -Y", "-S -P -U -X -Y",
		"-S -w 0", "-S -d 1", "-S -d 1000", "-S -y", "-S --tcp-mss 1460", "-S --tcp-timestamp", "-S -G", "-S -t 5", "-S -o 02",
		"-S -m 1400 -d 2000")
	g.add(f, "-S -F", "-S -R", "-S -A", "-S -F -R", "-S -F -P -U", "-S -R -A", "-S -F -A", "-F", "-P", "-A", "-R", "-X -Y", "-U")
	g.add(f, "-S -O 0", "-S -O 1", "-S -O 4", "-S -O 6", "-S -O 15", "-S -b")
	g.add(f, "-S -x", "-S -g 8", "-S -g 16", "-S -g 24", "-S -g 80", "-S -x -g 8", "-S -x -d 100", "-S --lsrr {router}", "-S --ssrr {router}")
	g.stopped(f, tinyFragment, "-S -f -d 100", "-S -f -d 16", "-S -m 24 -d 100", "-S -m 64 -d 100")
	return g
}

// scapy makes what the others cannot; see testdata/generators.py.
func scapy(f lab.Family) generator {
	g := generator{
		name: "scapy", control: 20, once: true,
		command: "/usr/bin/python3 testdata/generators.py {from} {to} {router} {mac} {gateway}",
		open:    `(?m)^open {sport} {port}$`,
	}
	if f == lab.IPv4 {
		g.add(f,
			"plain={sport}", "data={sport}", "flags-SP={sport}", "flags-SU={sport}", "flags-SE={sport}", "flags-SC={sport}",
			"flags-SEC={sport}", "flags-SPUEC={sport}", "reserved={sport}", "urgent={sport}", "options-40={sport}",
			"trailing={sport}", "tos={sport}", "df={sport}", "evil={sport}", "record-route={sport}", "router-alert={sport}",
			"lsrr={sport}", "ssrr={sport}", "lsrr-via={sport}", "lsrr-done={sport}", "ah={sport}", "bad-sum={sport}",
			"bad-ip-sum={sport}", "data-offset-4={sport}", "data-offset-15={sport}", "short-header={sport}", "syn-fin={sport}",
			"syn-rst={sport}", "fragments={sport}", "fragments-reversed={sport}",
			"overlap-ports={sport}",
			"overlap-ports-before={sport}", "overlap-flags={sport}", "overlap-flags-reversed={sport}", "protocol-changes={sport}",
			"first-with-offset-1={sport}", "atomic={sport}", "too-big={sport}",
		)
		g.stopped(f, tinyFragment, "tiny={sport}", "tiny-16={sport}", "tiny-reversed={sport}", "tiny-all={sport}", "cut-24={sport}", "cut-72={sport}")
	} else {
		g.add(f,
			"plain={sport}", "flags-SP={sport}", "flags-SU={sport}", "flags-SEC={sport}", "flags-SPUEC={sport}",
			"flow-label={sport}", "trailing={sport}", "hop-by-hop={sport}", "router-alert={sport}", "dst-opts={sport}",
			"dst-opts-256={sport}", "dst-opts-x4={sport}", "hop-and-dst={sport}", "routing-done={sport}",
			"rh0={sport}", "rh0-via-router={sport}", "routing-4={sport}", "ah={sport}", "header-135={sport}",
			"header-139={sport}", "header-140={sport}", "header-253={sport}", "no-next-header={sport}",
			"bad-sum={sport}", "data-offset-4={sport}", "syn-fin={sport}", "hop-by-hop-late={sport}", "atomic={sport}",
			"atomic-dst-opts={sport}", "dst-opts-atomic={sport}", "nested-atomic={sport}", "fragments={sport}",
			"fragments-reversed={sport}", "tiny={sport}", "tiny-reversed={sport}", "tiny-16={sport}",
			"tiny-all={sport}", "rewritten-ports={sport}", "rewritten-flags={sport}",
			"rewritten-flags-reversed={sport}", "next-header-changes={sport}", "next-header-lies={sport}", "chain-alone={sport}",
			"chain-alone-512={sport}", "fragment-in-fragment={sport}", "tiny-dst-opts={sport}", "overlap-first={sport}",
		)
		g.stopped(f, shortFirst, "cut-24={sport}", "cut-504={sport}")
		g.stopped(f, longChain, "chain-of-17={sport}")
		g.stopped(f, jumbogram, "jumbogram={sport}")
	}
	return g
}

// firewall6 is thc-ipv6's collection of ways around a firewall, 39 of them.
func firewall6() generator {
	g := generator{name: "firewall6", control: 10, command: "atk6-firewall6 eth0 {to} {port}", open: "SYN-ACK"}
	for n := range 39 {
		s := g.add(lab.IPv6, fmt.Sprint(n+1))
		s.source = uint16(21001 + n)
		if n+1 == 9 { // 130 destination options headers
			s.stopped = longChain
		}
	}
	return g
}

// tcp6 is of ipv6toolkit.
func tcp6() generator {
	const f = lab.IPv6
	g := generator{
		name: "tcp6", control: 5,
		command: "tcp6 -i eth0 -s {from} -S {mac} -D {gateway} -d {to} -a {port} -o {sport} -p script",
		open:    "RESPONSE:SA",
	}
	g.add(f, "-X S", "-X SP", "-X SU", "-X S -P 100", "-X S -u 8", "-X S -H 8", "-X S -u 64 -H 16", "-X S -u 256",
		"-X S -y 16", "-X S -y 512 -P 1000", "-X S -y 1000 -P 2000",
		"-X S -U 8 -y 16", "-X S -U 8 -y 512 -P 1000", "-X S -H 8 -U 8 -u 8 -y 512 -P 1000", "-X SF", "-X SR", "-X SA", "-X A")
	g.stopped(f, shortFirst, "-X S -y 24 -P 100")
	return g
}

// trafgen sends frames field by field.
func trafgen(f lab.Family) generator {
	g := generator{name: "trafgen", control: 5, command: "trafgen -o eth0 -n 1 -P 1 -q"}
	const tcp = "tcp(sp={sport},dp={port},syn,win=1024"
	ip := func(fields string) string {
		if f == lab.IPv4 {
			return "{eth(sa={mac},da={gateway}),ipv4(sa={from},da={to},ttl=64" + fields + "),"
		}
		return "{eth(sa={mac},da={gateway}),ipv6(sa={from},da={to},hl=64" + fields + "),"
	}
	g.add(f, ip("")+tcp+")}", ip("")+tcp+",psh)}", ip("")+tcp+",urg)}", ip("")+tcp+",ece,cwr)}",
		ip("")+tcp+"),fill(0x41,100)}", ip("")+tcp+",fin)}", ip("")+tcp+",csum=0x1234)}")
	if f == lab.IPv4 {
		g.add(f, ip(",df")+tcp+")}", ip(",mf")+tcp+")}", ip(",frag=10")+tcp+")}", ip(",ihl=6")+tcp+")}", ip(",ver=6")+tcp+")}", ip(",len=30")+tcp+")}", ip(",tos=255")+tcp+")}")
	} else {
		g.add(f, ip(",tc=255,fl=5")+tcp+")}", ip(",nh=0")+tcp+")}", ip(",len=10")+tcp+")}", ip(",len=0")+tcp+")}", ip(",ver=4")+tcp+")}")
	}
	return g
}
