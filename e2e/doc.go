// SPDX-License-Identifier: Apache-2.0

// Package e2e is proof: it drives the op25b program in small networks of network
// namespaces, between programs that nobody here wrote, and looks at what comes
// out. There are only tests in it.
//
// # The network
//
// Every test has a [lab.Network] of its own, which is drawn in that package:
//
//	dynamic 100.64.0.2 ──┐
//	                     ├── gateway (op25b) ── transit ── internet: 203.0.113.25 MX, 192.0.2.25 the ISP's server, ...
//	static  100.65.0.2 ──┘
//
// and the same in IPv6. Nothing of the machine's own network is touched.
//
// # How to run
//
// As root, with the packages that `make deps` installs:
//
//	make test                                   everything
//	go test -v -count=1 ./e2e/ -run 'Postfix'   some of it
//
// The program is built once for a run; OP25B_BINARY names one to use instead. A
// test that lacks root or a tool skips and says so; with CI=true it fails, since
// there a skipped proof would go unseen.
//
// A test that fails prints the gateway's log and what the kernel of the gateway
// looked like. Figures that depend on the machine, such as how long a refusal
// took, are logged and not judged; "at once" has a generous bound that only
// tells an answer from a timeout.
package e2e
