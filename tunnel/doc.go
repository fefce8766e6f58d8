// SPDX-License-Identifier: Apache-2.0

// Package tunnel is where packets come in and go out: [Port] is one TUN
// interface with its queues, [Host] is what the kernel around it must look like
// (links, routes, rules, sysctls, the netfilter guard), applied, watched and
// undone. It is the only room that knows wireguard's tun and netlink.
//
// # Frames
//
// A queue reads and writes whole frames as the kernel lays them out for a TUN
// with IFF_VNET_HDR: ten octets of struct virtio_net_hdr, then one IP packet,
// which may be a super-packet of up to 64 KiB that the sender's kernel has not
// cut into segments yet (TSO, USO) and whose checksum may be partial. Nothing
// here splits, coalesces or completes it.
//
// # Ownership and concurrency
//
// The caller owns every buffer, before and after a call. One goroutine may read
// a queue while any number write to it; two readers of one queue are a mistake.
// Closing a Port wakes its readers, which then get [ErrClosed].
package tunnel
