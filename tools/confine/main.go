// SPDX-License-Identifier: Apache-2.0

// Command confine runs a program with the system calls that a service manager
// would leave it.
//
//	confine -calls FILE -families FAMILY[,FAMILY] PROGRAM [ARGUMENT]...
//
// FILE has the name of an allowed system call on each line; names that this
// architecture does not have are passed over. Memory that is writable and
// executable is refused as MemoryDenyWriteExecute= does it, and so are sockets of
// other families.
//
// Where the service manager would answer EPERM, the program gets SIGSYS: a Go
// program dies of it with the stack of who called, and a test sees what would have
// been a silent loss of speed. The caller has set no_new_privs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "confine:", err)
		os.Exit(1)
	}
}

// run returns only if it fails.
func run(args []string) error {
	flags := flag.NewFlagSet("confine", flag.ContinueOnError)
	calls := flags.String("calls", "", "file with the names of the allowed system calls")
	families := flags.String("families", "", "allowed address families, with commas between them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("usage: confine -calls FILE -families FAMILY[,FAMILY] PROGRAM [ARGUMENT]")
	}
	program, err := exec.LookPath(flags.Arg(0))
	if err != nil {
		return fmt.Errorf("find program: %w", err)
	}
	list, err := os.ReadFile(*calls)
	if err != nil {
		return fmt.Errorf("read allowed system calls: %w", err)
	}
	group, err := allow(strings.Fields(string(list)), strings.Split(*families, ","))
	if err != nil {
		return err
	}
	policy := seccomp.Policy{DefaultAction: seccomp.ActionTrap, Syscalls: []seccomp.SyscallGroup{group}}
	if err := seccomp.LoadFilter(seccomp.Filter{Flag: seccomp.FilterFlagTSync, Policy: policy}); err != nil {
		return fmt.Errorf("load filter: %w", err)
	}
	return fmt.Errorf("run %s: %w", program, unix.Exec(program, flags.Args(), os.Environ()))
}

// allow returns the rule for the calls, with conditions for those whose arguments
// matter.
func allow(calls, families []string) (seccomp.SyscallGroup, error) {
	group := seccomp.SyscallGroup{Action: seccomp.ActionAllow}
	machine, err := arch.GetInfo("")
	if err != nil {
		return group, fmt.Errorf("find system calls of this machine: %w", err)
	}
	conditions, err := conditional(families)
	if err != nil {
		return group, err
	}
	slices.Sort(calls)
	for _, name := range slices.Compact(calls) {
		if _, known := machine.SyscallNames[name]; !known {
			continue
		}
		if alternatives, ok := conditions[name]; ok {
			for _, condition := range alternatives {
				group.NamesWithCondtions = append(group.NamesWithCondtions,
					seccomp.NameWithConditions{Name: name, Conditions: seccomp.ArgumentConditions{condition}})
			}
			continue
		}
		group.Names = append(group.Names, name)
	}
	return group, nil
}

// conditional returns, for calls whose arguments matter, the conditions of which
// one must hold.
func conditional(families []string) (map[string][]seccomp.Condition, error) {
	known := map[string]uint64{
		"AF_UNIX": unix.AF_UNIX, "AF_INET": unix.AF_INET, "AF_INET6": unix.AF_INET6,
		"AF_NETLINK": unix.AF_NETLINK, "AF_PACKET": unix.AF_PACKET,
	}
	var sockets []seccomp.Condition
	for _, family := range families {
		number, ok := known[family]
		if !ok {
			return nil, fmt.Errorf("unknown address family %q", family)
		}
		sockets = append(sockets, seccomp.Condition{Argument: 0, Operation: seccomp.Equal, Value: number})
	}
	const protection = 2 // the argument of mmap and mprotect
	without := func(bit uint64) seccomp.Condition {
		return seccomp.Condition{Argument: protection, Operation: seccomp.BitsNotSet, Value: bit}
	}
	return map[string][]seccomp.Condition{
		"socket":   sockets,
		"mmap":     {without(unix.PROT_EXEC), without(unix.PROT_WRITE)},
		"mprotect": {without(unix.PROT_EXEC)},
	}, nil
}
