// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Parts that the test binary plays in place of `op25b run` and others.
const (
	partReject  = "reject" // a gateway that refuses port 25 by a kernel rule
	partDrop    = "drop"   // one that drops it: clients wait in vain
	partOpen    = "open"   // one that blocks nothing
	partCrash   = "crash"  // one that fails to start
	partMute    = "mute"   // one that never gets ready
	partDeaf    = "deaf"   // one that ignores SIGTERM
	partDies    = "dies"   // one that ends right after it was ready
	partOrphan  = "orphan" // a program that crashes with its network standing
	partVictim  = "victim" // one that holds on to a namespace and ignores SIGTERM
	partNobody  = "nobody" // a program that may not build networks
	partDaemon  = "daemon" // one that leaves a victim behind and ends well
	readyLine   = `{"level":"info","msg":"ready"}`
	reloadLine  = `{"level":"info","msg":"reloaded","bytes":%d}`
	partTimeout = time.Minute // no part outlives its test by more
)

// playPart plays the part and returns the exit code.
func playPart(part string) int {
	switch part {
	case partCrash:
		for i := range 2 * quotedLines {
			fmt.Fprintf(os.Stderr, "complaint %d\n", i+1)
		}
		return 2
	case partDies:
		fmt.Fprintln(os.Stderr, readyLine)
		return 1
	case partMute:
		fmt.Fprintln(os.Stderr, "cannot make up my mind")
		time.Sleep(partTimeout)
	case partVictim, partDeaf:
		signal.Ignore(syscall.SIGTERM)
		fmt.Fprintln(os.Stderr, readyLine)
		time.Sleep(partTimeout)
	case partNobody:
		_, err := New(Options{})
		if !errors.Is(err, os.ErrPermission) {
			fmt.Println(err)
			return 1
		}
		fmt.Print("permission denied")
		return 0
	case partDaemon:
		return playDaemon()
	case partOrphan:
		return playOrphan()
	case partReject, partDrop, partOpen:
		return playGateway(part)
	}
	fmt.Fprintln(os.Stderr, "unknown part or nobody ended it:", part)
	return 1
}

// playGateway sets its rule up, says that it is ready, and follows the signals.
func playGateway(part string) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	if part != partOpen {
		if err := blockSMTP(part); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	fmt.Fprintln(os.Stderr, readyLine)
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGTERM {
				return 0
			}
			config, err := os.ReadFile(os.Args[len(os.Args)-1])
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			fmt.Fprintf(os.Stderr, reloadLine+"\n", len(config))
		case <-time.After(partTimeout):
			return 1
		}
	}
}

// playDaemon starts a process in a session of its own and leaves it, with our
// standard output held open.
func playDaemon() int {
	victim := exec.Command("/proc/self/exe")
	victim.Env = append(os.Environ(), helperVariable+"="+partVictim)
	victim.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stderr, err := victim.StderrPipe()
	if err != nil {
		return 1
	}
	if err := victim.Start(); err != nil {
		return 1
	}
	// Once it has spoken it ignores SIGTERM.
	if _, err := io.ReadFull(stderr, make([]byte, len(readyLine))); err != nil {
		return 1
	}
	fmt.Print(victim.Process.Pid)
	return 0
}

// playOrphan builds a network with a process in it and says so; its end is for
// the caller to bring about.
func playOrphan() int {
	network, err := New(Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	out, err := network.Static.Output(exec.Command("sh", "-c", helperVariable+"="+partDaemon+" /proc/"+fmt.Sprint(os.Getpid())+"/exe"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("%s %s\n", network.claim.base, out)
	time.Sleep(partTimeout)
	return 1
}

// blockSMTP rejects or drops what the dynamic subscriber sends to port 25, except
// to the ISP's submission server.
func blockSMTP(part string) error {
	var how expr.Any = &expr.Verdict{Kind: expr.VerdictDrop}
	if part == partReject {
		how = &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}
	}
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "standin"})
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	for _, exprs := range [][]expr.Any{
		append(matchDestination(IPv4.Addrs().MSA), accept),
		append(matchDestination(IPv6.Addrs().MSA), accept),
		append(matchSMTP(), how),
	} {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
	}
	return conn.Flush()
}

func matchDestination(addr netip.Addr) []expr.Any {
	proto, offset := byte(unix.NFPROTO_IPV4), uint32(16)
	if addr.Is6() {
		proto, offset = unix.NFPROTO_IPV6, 24
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Register: 1, Data: []byte{proto}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(addr.BitLen() / 8)},
		&expr.Cmp{Register: 1, Data: addr.AsSlice()},
	}
}

func matchSMTP() []expr.Any {
	link := make([]byte, unix.IFNAMSIZ)
	copy(link, LinkDynamic)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Register: 1, Data: link},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Register: 1, Data: binaryutil.BigEndian.PutUint16(PortSMTP)},
	}
}
