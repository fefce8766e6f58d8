// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"op25b/control"
	"op25b/filter"
)

func newRun() *cobra.Command {
	var path string
	var takeover bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the gateway",
		Long: `Run the gateway until SIGTERM or SIGINT, which undo what it set up. SIGHUP
reloads the policy, all of it or, on any mistake, nothing; SIGUSR2 starts the
program's file again and hands everything to it. The log goes to standard error;
the line "ready" says that packets flow.

With --takeover it succeeds the gateway that runs, which goes on until this one
reads the same packets, and for good if this one fails: an upgrade that loses none.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rules, err := loadRulebook(path)
			if err != nil {
				return err
			}
			recent := &recentLog{}
			log, level := newLogger(io.MultiWriter(cmd.ErrOrStderr(), recent), rules.cfg.Log)
			defer func() { _ = log.Sync() }()
			return runGateway(cmd.Context(), path, rules, takeover, log, level, recent)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&takeover, "takeover", false, "succeed the gateway that runs, without losing a packet")
	return cmd
}

// runGateway runs a gateway until ctx ends, it is succeeded or it fails.
func runGateway(ctx context.Context, path string, rules *rulebook, takeover bool, log *zap.Logger, level zap.AtomicLevel, recent *recentLog) (err error) {
	signal.Ignore(syscall.SIGPIPE) // nobody who reads the log may end the gateway by going away
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2)
	defer signal.Stop(signals)

	_, _ = executable() // as long as the file is this program
	version := buildVersion()
	log.Info("starting", zap.String("version", version.Version), zap.String("revision", version.Revision), zap.String("config", path))
	var before *predecessor
	if takeover {
		if before, err = findPredecessor(rules.cfg); err != nil {
			return err
		}
	}
	g, err := openGateway(path, rules, log, level, before)
	if err != nil {
		return err
	}
	g.recent = recent
	quiet := answer(g, rules.cfg.Control.Socket, takeover)
	shut := g.open()
	g.logReady()
	if err := giveBack(); err != nil {
		log.Debug("pages that only the start needed stay in memory", zap.Error(err))
	}
	storeQueues(log, g.data.ports[:]...)
	notify(log, daemon.SdNotifyReady)
	err = g.serve(ctx, signals)
	select {
	case <-g.yielded:
		log.Info("a successor goes on")
	default:
		notify(log, daemon.SdNotifyStopping)
		remains := g.remains()
		err = errors.Join(err, g.close())
		stats := g.stats()
		log.Info("stopped", zap.String("remains", remains), zap.Object("packets", statsObject{&stats}))
	}
	quiet()
	shut()
	return errors.Join(err, g.end())
}

// answerInterval is how often the control socket is looked after.
const answerInterval = 5 * time.Second

// answer lets others ask g on a socket, until quiet is called. Without the socket it
// runs all the same: customers come first. One that somebody has removed is made
// again.
func answer(g *gateway, path string, successor bool) (quiet func()) {
	a := &answering{log: g.log.Named("control"), gateway: g, path: path}
	a.listen(successor)
	over := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		tick := time.NewTicker(answerInterval)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				if a.server == nil || a.server.Removed() {
					a.close()
					a.listen(false)
				}
			}
		}
	})
	return func() {
		close(over)
		looking.Wait()
		a.close()
	}
}

// answering is a gateway's control socket, and who serves it.
type answering struct {
	log     *zap.Logger
	gateway *gateway
	path    string
	server  *control.Server // nil: none
	serving sync.WaitGroup
	said    string // why there is none; once is enough
}

func (a *answering) listen(successor bool) {
	server, err := control.Listen(control.Options{Path: a.path, Successor: successor, Log: a.log})
	if err == nil {
		if err = server.Publish(); err != nil {
			err = errors.Join(err, server.Close())
		}
	}
	if err != nil {
		if a.said != err.Error() {
			a.log.Warn("this gateway cannot be asked: status, reload and takeover do not reach it", zap.Error(err))
		}
		a.said = err.Error()
		return
	}
	a.server, a.said = server, ""
	a.serving.Go(func() {
		if err := server.Serve(a.gateway); err != nil {
			a.log.Error("this gateway cannot be asked any more", zap.Error(err))
		}
	})
}

func (a *answering) close() {
	if a.server == nil {
		return
	}
	if err := a.server.Close(); err != nil {
		a.log.Warn("the control socket could not be removed", zap.Error(err))
	}
	a.serving.Wait()
	a.server = nil
}

func (g *gateway) logReady() {
	d := g.data
	granted, _ := d.ports[filter.Outbound].Offload()
	g.log.Info("ready",
		zap.Strings("subscriber", g.rules.cfg.Interfaces.Subscriber), zap.String("upstream", g.rules.cfg.Interfaces.Upstream),
		zap.String("capture", string(g.rules.cfg.Forwarding.Capture)), zap.String("return_path", string(g.rules.cfg.Forwarding.ReturnPath)),
		zap.Int("queues", len(d.ports[filter.Outbound].Queues())), zap.Int("mtu", d.ports[filter.Outbound].MTU()), zap.Stringer("offload", granted),
		zap.Bool("io_uring", d.batch), zap.Bool("adopted", d.adopted()),
		zap.Int("generation", g.generation))
}

// programFile is where this program was started from. Once the file is replaced, the
// kernel calls the old one deleted.
//
//nolint:gochecknoglobals // a fact about the process
var programFile = sync.OnceValues(os.Executable)

func executable() (string, error) {
	path, err := programFile()
	return strings.TrimSuffix(path, " (deleted)"), err
}
