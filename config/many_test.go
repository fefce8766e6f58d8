// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// manyPrefixes are different from each other, half of them IPv6, and in order.
func manyPrefixes(n int) []netip.Prefix {
	out := make([]netip.Prefix, 0, n)
	for i := range n / 2 {
		a := 16<<24 + uint32(i)*8
		out = append(out, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}), 29))
	}
	for i := range n - n/2 {
		out = append(out, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 16), byte(i >> 8), byte(i)}), 56))
	}
	return out
}

// writeMany writes a configuration, and beside it a list that it names.
func writeMany(tb testing.TB, prefixes []netip.Prefix) (path string) {
	tb.Helper()
	const text = "interfaces: {subscriber: [eth1], upstream: eth0}\n" +
		"tunnel: {addresses: [192.0.2.1, \"2001:db9::1\"]}\n" +
		"policy: {pools: [{name: many, prefixes_file: many.txt, assignment: dynamic}]}\n"
	var list []byte
	for _, p := range prefixes {
		list = fmt.Appendln(list, p)
	}
	dir := tb.TempDir()
	path = filepath.Join(dir, "op25b.yaml")
	for name, content := range map[string][]byte{path: []byte(text), filepath.Join(dir, "many.txt"): list} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return path
}

// BenchmarkLoadMany loads a million prefixes from a list, and reports how much
// memory it holds at most, the Config itself (32 bytes a prefix) included.
func BenchmarkLoadMany(b *testing.B) {
	const n = 1_000_000
	sorted, shuffled := manyPrefixes(n), manyPrefixes(n)
	rand.New(rand.NewPCG(25, 587)).Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for _, bb := range []struct {
		name     string
		prefixes []netip.Prefix
	}{{"sorted", sorted}, {"shuffled", shuffled}} {
		b.Run(bb.name, func(b *testing.B) {
			path := writeMany(b, bb.prefixes)
			b.ReportAllocs()
			var most uint64
			for b.Loop() {
				b.StopTimer()
				runtime.GC()
				before, peak := heapBytes(), watchHeap()
				b.StartTimer()
				c, err := Load(path)
				if err != nil || len(c.Policy.Pools[0].Prefixes) != n {
					b.Fatal(err)
				}
				most = max(most, peak()-before)
			}
			b.ReportMetric(float64(most)/(1<<20), "peak-MiB")
		})
	}
}

// watchHeap returns a function that ends the watch and tells how large the heap
// was at most.
func watchHeap() (end func() uint64) {
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		var seen uint64
		for ticker := time.NewTicker(time.Millisecond); ; {
			select {
			case <-ticker.C:
				seen = max(seen, heapBytes())
			case <-stop:
				ticker.Stop()
				most <- seen
				return
			}
		}
	}()
	return func() uint64 { close(stop); return <-most }
}

// heapBytes is the size of all objects in the heap, those included that nobody
// needs any more and that were not collected yet.
func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
