// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// The test binary is supervisor and program too, as these variables say. A
// supervisor needs a process of its own: it reaps whatever ends there.
const (
	envRole    = "OP25B_TEST_ROLE"
	envProgram = "OP25B_TEST_PROGRAM" // the supervisor's: its program's role
	envOptions = "OP25B_TEST_OPTIONS" // the supervisor's
	envDir     = "OP25B_TEST_DIR"     // where programs leave something for the next
)

func TestMain(m *testing.M) {
	role := os.Getenv(envRole)
	if role == "" {
		os.Exit(m.Run())
	}
	// Whatever happens to the test, its processes end.
	time.AfterFunc(3*time.Minute, func() { os.Exit(99) })
	os.Exit(roles()[role]())
}

func roles() map[string]func() int {
	return map[string]func() int{
		"supervisor": supervisor,
		"serve":      serve,
		"crash":      first(func() int { tell("READY=1"); return 7 }),
		"leave":      first(func() int { tell("READY=1"); return 0 }),
		"die":        func() int { return 1 },
		"usage":      func() int { return 2 },
		"permission": func() int { return 5 },
		"late usage": func() int {
			if generation() == 0 {
				tell("READY=1")
			}
			return 2
		},
		"stop itself": first(func() int { tell("READY=1"); _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP); select {} }), // a moment later
		"never ready": first(func() int { say("silent"); select {} }),
		"silent":      first(func() int { tell("READY=1"); say("silent"); select {} }),
		"trigger":     first(func() int { tell("READY=1"); tell("WATCHDOG=trigger"); select {} }),
		"stubborn":    stubborn,
		"keep":        keep,
		"forget":      forget,
		"lose":        lose,
		"parent":      parent,
		"helper":      func() int { tell("READY=1"); select {} },
		"hand over":   first(handOver),
		"name":        first(name),
		"spoof":       spoof,
	}
}

// first plays a part in the program's first life, and serves in the others.
func first(part func() int) func() int {
	return func() int {
		if generation() == 0 {
			return part()
		}
		return serve()
	}
}

// supervisor writes its log to standard output, so that it is in one order with
// what the program says.
func supervisor() int {
	var o options
	if err := json.Unmarshal([]byte(os.Getenv(envOptions)), &o); err != nil {
		return 98
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeDuration = zapcore.StringDurationEncoder
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(enc), zapcore.AddSync(os.Stdout), zap.DebugLevel))
	_ = os.Setenv(envRole, os.Getenv(envProgram))
	s, err := New(Options{
		Command: []string{os.Args[0]}, Watchdog: o.Watchdog, RestartDelay: o.RestartDelay, Final: []int{2, 5}, Log: log,
	})
	if err != nil {
		return 97
	}
	s.doubtful = s.log // every line counts here
	if o.StopTime > 0 {
		s.stopTime = o.StopTime
	}
	if o.StartTime > 0 {
		s.startTime = o.StartTime
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = s.Run(ctx)
	var exit *ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.Code
	default:
		fmt.Println(err)
		return 96
	}
}

// say tells the test something, in one write.
func say(what string) {
	line, _ := json.Marshal(event{Say: what, PID: os.Getpid()})
	_, _ = os.Stdout.Write(append(line, '\n'))
}

// tell tells the supervisor something.
func tell(text string, fds ...int) {
	if err := sendTo(os.Getenv("NOTIFY_SOCKET"), text, fds...); err != nil {
		say(err.Error())
	}
}

func sendTo(address, text string, fds ...int) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(fd, []byte(text), rights, &unix.SockaddrUnix{Name: address}, 0)
}

// generation counts the lives of a program from 0.
func generation() int {
	for n := 0; ; n++ {
		f, err := os.OpenFile(filepath.Join(os.Getenv(envDir), strconv.Itoa(n)), os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			f.Close()
			return n
		}
		if !errors.Is(err, os.ErrExist) {
			return -1
		}
	}
}

// serve is a program as it should be.
func serve() int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	tell("READY=1")
	say("serving, LISTEN_FDS=" + os.Getenv("LISTEN_FDS"))
	var ping <-chan time.Time
	if usec, err := strconv.Atoi(os.Getenv("WATCHDOG_USEC")); err == nil {
		ping = time.Tick(time.Duration(usec) * time.Microsecond / 8)
	}
	for {
		select {
		case <-ping:
			tell("WATCHDOG=1")
		case sig := <-signals:
			if sig == syscall.SIGTERM {
				tell("STOPPING=1")
				say("bye")
				return 0
			}
			say(sig.String())
		}
	}
}

func stubborn() int {
	signal.Ignore(syscall.SIGTERM)
	tell("READY=1")
	say("stubborn")
	select {}
}

// keep stores both ends of a pipe with something in it, and looks for it in the
// next life.
func keep() int {
	if generation() == 0 {
		var ends [2]int
		_ = unix.Pipe2(ends[:], unix.O_CLOEXEC)
		_, _ = unix.Write(ends[1], []byte("what was on its way"))
		tell("FDSTORE=1\nFDNAME=in", ends[1]) // replaced by the next
		tell("FDSTORE=1\nFDNAME=out", ends[0])
		tell("FDSTORE=1\nFDNAME=in", ends[1])
		say("kept")
		return serve()
	}
	if os.Getenv("LISTEN_FDNAMES") != "in:out" || os.Getenv("LISTEN_FDS") != "2" {
		say("LISTEN_FDNAMES=" + os.Getenv("LISTEN_FDNAMES"))
		return 1
	}
	in, out := os.NewFile(3, "in"), os.NewFile(4, "out")
	in.Close()
	// An end means that no copy of the replaced descriptor is left open, but for the store's own.
	tell("FDSTOREREMOVE=1\nFDNAME=in")
	got, err := io.ReadAll(out)
	say(fmt.Sprintf("found %q, %v", got, err))
	return serve()
}

// forget stores a descriptor and takes it back.
func forget() int {
	if generation() == 0 {
		tell("FDSTORE=1\nFDNAME=kept", 0)
		tell("FDSTORE=1\nFDNAME=forgotten", 0)
		tell("FDSTOREREMOVE=1\nFDNAME=forgotten")
		tell("FDSTORE=1\nFDNAME=two", 0, 1)
		tell("FDSTORE=1\nFDNAME=n:n", 0)
		tell("MAINPID=x")
		return 1
	}
	say("found " + os.Getenv("LISTEN_FDNAMES"))
	return serve()
}

// lose stores the readable end of a pipe and closes the other.
func lose() int {
	var ends [2]int
	_ = unix.Pipe2(ends[:], unix.O_CLOEXEC)
	tell("FDSTORE=1\nFDNAME=unwatched\nFDPOLL=0", ends[0])
	tell("FDSTORE=1\nFDNAME=lost", ends[0])
	_ = unix.Close(ends[1])
	return serve()
}

// start starts another process with a role, in the same place.
func start(role string) (*os.Process, error) {
	_ = os.Setenv(envRole, role)
	return os.StartProcess(os.Args[0], os.Args[:1], &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
}

// parent lets a child speak for it.
func parent() int {
	if _, err := start("helper"); err != nil {
		return 1
	}
	select {}
}

// handOver starts a successor, names it and leaves at once.
func handOver() int {
	tell("READY=1")
	next, err := start("serve")
	if err != nil {
		return 1
	}
	tell("MAINPID=" + strconv.Itoa(next.Pid) + "\nSTOPPING=1")
	return 0
}

// name says where to reach its supervisor, and on SIGUSR1 names the process that
// the test has left in a file.
func name() int {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	tell("READY=1")
	say("NOTIFY_SOCKET=" + os.Getenv("NOTIFY_SOCKET"))
	<-asked
	pid, err := os.ReadFile(filepath.Join(os.Getenv(envDir), "pid"))
	if err != nil {
		return 1
	}
	tell("MAINPID=" + string(pid))
	return 0
}

// spoof becomes nobody and tells a foreign supervisor all kinds of things. The
// binary lies where only root can run it, so it drops its rights by itself.
func spoof() int {
	const nobody = 65534
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		return 1
	}
	if err := lies(os.Getenv("NOTIFY_SOCKET")); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// lies are what only the program may say.
func lies(address string) error {
	return errors.Join(
		sendTo(address, "STOPPING=1"),
		sendTo(address, "MAINPID="+strconv.Itoa(os.Getpid())),
		sendTo(address, "FDSTORE=1\nFDNAME=spoofed", 0),
		sendTo(address, "WATCHDOG=trigger"),
		sendTo(address, strings.Repeat("x", 2*mostText)))
}
