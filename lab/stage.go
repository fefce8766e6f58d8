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

// stage is a network with everything the demo needs running in it.
type stage struct {
	network *Network
	mail    *Mail
	gateway *Gateway
}

// openStage sweeps, builds the network, and starts servers and gateway. On an
// error nothing stays.
func openStage(ctx context.Context, binary string, gatewayLog io.Writer) (*stage, error) {
	if _, err := Sweep(); err != nil {
		return nil, fmt.Errorf("remove what an earlier demo left: %w", hintAtRoot(err))
	}
	network, err := New(Options{})
	if err != nil {
		return nil, fmt.Errorf("build network: %w", hintAtRoot(err))
	}
	s := &stage{network: network}
	if err := s.start(ctx, binary, gatewayLog); err != nil {
		return nil, errors.Join(err, network.Close())
	}
	return s, nil
}

func hintAtRoot(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("needs root: %w", err)
	}
	return err
}

func (s *stage) start(ctx context.Context, binary string, gatewayLog io.Writer) (err error) {
	if s.mail, err = s.network.StartMail(); err != nil {
		return err
	}
	if _, err = s.network.StartWeb(); err != nil {
		return err
	}
	if _, err = s.network.StartEcho(); err != nil {
		return err
	}
	config := s.network.GatewayConfig(ConfigOptions{})
	s.gateway, err = s.network.StartGateway(ctx, binary, config, gatewayLog)
	return err
}

// close stops the gateway in good order and removes the network. A gateway that
// ended before is none of its concern: playAll has told, or somebody who looked
// around has killed it to see what happens.
func (s *stage) close() error {
	var err error
	if !isClosed(s.gateway.Done()) {
		err = s.gateway.stop(demoStopTimeout)
	}
	return errors.Join(err, s.network.Close())
}

// playAll plays every step in every family. It returns an error if one did not go
// as expected, the context ended, or the gateway did not live to see the end.
func (s *stage) playAll(ctx context.Context, screen *screen, report *DemoReport) error {
	for _, family := range s.network.Families() {
		screen.say("")
		screen.say("%s", family)
		for _, step := range demoSteps() {
			result := s.play(ctx, step, family)
			if ctx.Err() != nil {
				return interrupted(ctx, nil)
			}
			report.Steps = append(report.Steps, result)
			screen.show(result)
		}
	}
	if isClosed(s.gateway.Done()) {
		return fmt.Errorf("the gateway ended in the middle of the demo%s", s.gateway.lastWords())
	}
	if failed := report.failed(); failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(report.Steps))
	}
	return nil
}

// play plays one step and takes its time.
func (s *stage) play(ctx context.Context, step demoStep, family Family) DemoStep {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	start := time.Now()
	got, ok := step.play(ctx, s, family)
	return DemoStep{
		Name:         step.name,
		Family:       family.String(),
		Expect:       step.expect,
		Got:          got,
		OK:           ok,
		Milliseconds: milliseconds(time.Since(start)),
	}
}

func (s *stage) namespaces() map[string]string {
	names := map[string]string{}
	for _, node := range s.network.Nodes() {
		names[node.plan.role] = node.Name()
	}
	return names
}
