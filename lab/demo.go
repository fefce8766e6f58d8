// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// stepTimeout bounds one step; an answer takes milliseconds.
	stepTimeout = 3 * time.Second
	// demoStopTimeout is how long the demo's gateway has to undo what it set up,
	// while somebody may be waiting after Ctrl-C.
	demoStopTimeout = 3 * time.Second
)

// DemoOptions say how the demo runs.
type DemoOptions struct {
	// Binary is the op25b executable to run as the gateway; empty is the one that
	// is running.
	Binary string
	// Keep leaves the network up after the last step until the context ends.
	Keep bool
	// Out gets the story, or the JSON document.
	Out io.Writer
	// JSON writes one [DemoReport] instead of the story.
	JSON bool
	// GatewayLog gets the gateway's log; nil discards it.
	GatewayLog io.Writer
}

// Demo builds a network, runs the real gateway in it, and shows what it refuses
// and what passes. It removes everything again, also when the context ends in the
// middle, and first what a crashed demo left behind.
//
// The error is nil if every step went as expected. After the context ended in
// the middle it wraps the context's cause; with Keep, the end of the context is
// the normal end.
func Demo(ctx context.Context, opts DemoOptions) error {
	if opts.Binary == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find own executable: %w", err)
		}
		opts.Binary = self
	}
	report := newDemoReport()
	screen := newScreen(opts)
	err := perform(ctx, opts, screen, report)
	if report.published {
		return err
	}
	return errors.Join(err, report.publish(opts, err))
}

// perform plays the demo from introduction to cleanup.
func perform(ctx context.Context, opts DemoOptions, screen *screen, report *DemoReport) error {
	screen.introduce()
	stage, err := openStage(ctx, opts.Binary, opts.GatewayLog)
	if err != nil {
		return interrupted(ctx, err)
	}
	err = stage.playAll(ctx, screen, report)
	screen.summarize(stage, report, err)
	if opts.Keep && ctx.Err() == nil {
		report.Namespaces = stage.namespaces()
		err = errors.Join(err, report.publish(opts, err))
		screen.inviteToLookAround(stage)
		<-ctx.Done()
		screen.say("")
	}
	closeErr := stage.close()
	if closeErr == nil {
		screen.say("Everything was removed again.")
	}
	return errors.Join(err, closeErr)
}

// interrupted tells the end of the context from an error of its own. What failed
// because the context ended is not worth a word.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("demo interrupted: %w", context.Cause(ctx))
}
