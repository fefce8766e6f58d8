// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"op25b/config"
)

// report is how often refusals are summed up in the log, if there were any.
const report = 10 * time.Second

func newRun() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the gateway",
		Long: `Run the gateway until SIGTERM or SIGINT, which undo what it set up. SIGHUP
reloads the policy, all of it or, on any mistake, nothing. The log goes to
standard error; the line "ready" says that packets flow.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(path)
			if err != nil {
				return err
			}
			log, level := newLogger(cmd.ErrOrStderr(), cfg.Log)
			defer func() { _ = log.Sync() }()
			return serve(cmd.Context(), path, cfg, log, level)
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// serve runs a gateway until ctx ends or it fails.
func serve(ctx context.Context, path string, cfg *config.Config, log *zap.Logger, level zap.AtomicLevel) (err error) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	version := buildVersion()
	log.Info("starting", zap.String("version", version.Version), zap.String("revision", version.Revision), zap.String("config", path))
	g, err := openGateway(cfg, log)
	if err != nil {
		return err
	}
	watching, unwatch := context.WithCancel(ctx)
	g.watch(watching)
	g.logReady()
	notify(log, daemon.SdNotifyReady)

	err = g.serve(ctx, hangup, func() { g.reloadFrom(path, level) })

	notify(log, daemon.SdNotifyStopping)
	unwatch()
	err = errors.Join(err, g.close())
	stats := g.router.Stats()
	log.Info("stopped", zap.String("remains", g.host.Remains()), zap.Object("packets", statsObject{&stats}))
	return err
}

// serve waits for what happens while packets flow.
func (g *gateway) serve(ctx context.Context, hangup <-chan os.Signal, reload func()) error {
	tick := time.NewTicker(report)
	defer tick.Stop()
	var refused uint64
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-g.failed:
			return err
		case <-hangup:
			reload()
		case <-tick.C:
			refused = g.logRefused(refused)
		}
	}
}

func (g *gateway) logReady() {
	granted, _ := g.ports[0].Offload()
	g.log.Info("ready",
		zap.Strings("subscriber", g.cfg.Interfaces.Subscriber), zap.String("upstream", g.cfg.Interfaces.Upstream),
		zap.String("capture", string(g.cfg.Forwarding.Capture)), zap.String("return_path", string(g.cfg.Forwarding.ReturnPath)),
		zap.Int("queues", len(g.ports[0].Queues())), zap.Int("mtu", g.ports[0].MTU()), zap.Stringer("offload", granted),
		zap.Bool("io_uring", g.batch),
		zap.Int("generation", g.generation))
}

// logRefused sums up the attempts since the last time; a refusal never gets a
// line of its own.
func (g *gateway) logRefused(before uint64) uint64 {
	stats := g.router.Stats()
	now := stats.Refused()
	if now > before {
		g.log.Info("connections to blocked ports were refused",
			zap.Uint64("packets", now-before), zap.Duration("within", report), zap.Uint64("packets_total", now))
	}
	return now
}

// reloadFrom reads the file again. Whatever goes wrong, the old policy stays in
// force and the gateway is ready again.
func (g *gateway) reloadFrom(path string, level zap.AtomicLevel) {
	notify(g.log, "RELOADING=1\n"+daemon.SdNotifyMonotonicUsec())
	defer notify(g.log, daemon.SdNotifyReady)
	next, err := loadConfig(path)
	if err == nil {
		err = g.reload(next)
	}
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		g.log.Error("reload refused: the old policy stays in force",
			zap.Stringers("problems", problems), zap.Int("generation", g.generation))
	case err != nil:
		g.log.Error("reload refused: the old policy stays in force", zap.Error(err), zap.Int("generation", g.generation))
	default:
		level.SetLevel(zapLevel(next.Log.Level))
		g.log.Info("reloaded", zap.Int("generation", g.generation), zap.Int("pools", len(next.Policy.Pools)))
	}
}

// notify tells the service manager, where there is one.
func notify(log *zap.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("the service manager could not be told", zap.String("state", state), zap.Error(err))
	}
}
