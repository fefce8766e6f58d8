// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"golang.zx2c4.com/wireguard/tun"
)

const (
	// headroom is what tun.Device wants before each packet, for a virtio_net_hdr.
	headroom = 10
	// maxPacket is the longest IP packet. Write puts packets together in place, so
	// each buffer has room for it.
	maxPacket = 65535
)

// relay moves packets between two interfaces, both ways, one goroutine each.
func relay(subscriber, upstream string) error {
	var devices [2]tun.Device
	for i, name := range []string{subscriber, upstream} {
		device, err := tun.CreateTUN(name, mtu)
		if err != nil {
			return fmt.Errorf("create %s: %w", name, err)
		}
		go func() {
			for range device.Events() { // somebody must read them
			}
		}()
		devices[i] = device
	}
	failed := make(chan error, len(devices))
	go func() { failed <- move(devices[0], devices[1]) }()
	go func() { failed <- move(devices[1], devices[0]) }()
	ready()
	return <-failed
}

// move reads from one device and writes to the other until reading fails.
func move(from, to tun.Device) error {
	size := from.BatchSize()
	buffers, sizes, packets := make([][]byte, size), make([]int, size), make([][]byte, 0, size)
	for i := range buffers {
		buffers[i] = make([]byte, headroom+maxPacket)
	}
	for {
		n, err := from.Read(buffers, sizes, headroom)
		// Too many segments for one batch: those that fit are here.
		if err != nil && !errors.Is(err, tun.ErrTooManySegments) {
			return fmt.Errorf("read: %w", err)
		}
		packets = packets[:0]
		for i := range n {
			packets = append(packets, buffers[i][:headroom+sizes[i]])
		}
		_, _ = to.Write(packets, headroom) // what the kernel does not take is lost
	}
}
