# SPDX-License-Identifier: Apache-2.0
#
# Sends packets that no honest client sends, made by scapy, and says which of
# them were answered with SYN|ACK.
#
# usage: generators.py FROM TO ROUTER MAC GATEWAY CASE=SPORT...
#        generators.py cases4|cases6
#
# Each case is a list of packets that carry a SYN from SPORT to port 25, and the
# same to port 80. For each that is answered a line says "open SPORT PORT".

import random
import sys
import time

from scapy.all import (
    AH, IP, TCP, Ether, ICMP, IPOption_LSRR, IPOption_SSRR, IPOption_RR, IPOption_Router_Alert,
    IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
    PadN, RouterAlert, Raw, UDP, conf, raw, AsyncSniffer, fragment,
)

RANDOM = random.Random(25)


def syn(e, port, **more):
    options = {"seq": 1000, "flags": "S", "window": 1024}
    options.update(more)
    return TCP(sport=e.sport, dport=port, **options)


def sealed(ip, segment, proto=6):
    """The octets of a segment with the checksum that it has right behind ip."""
    return raw(type(ip)(raw(ip / segment)).payload)


# ---- IPv4 ----

def ip4(e, **more):
    return IP(src=e.src, dst=e.dst, **more)


def cut4(e, data, pieces, ident, proto=6):
    """Fragments of data: (offset, end, more) each; offsets in octets."""
    return [ip4(e, id=ident, proto=proto, frag=start // 8, flags="MF" if more else 0) / Raw(data[start:end])
            for start, end, more in pieces]


def other(e, port):
    """The segment of a decoy: the same ports reversed in meaning, an ACK to 443."""
    return sealed(ip4(e) if e.v4 else ip6(e), TCP(sport=e.sport, dport=443, seq=1000, flags="A", window=1024) / Raw(b"x" * 100))


def whole(e, port):
    return sealed(ip4(e) if e.v4 else ip6(e), syn(e, port) / Raw(b"x" * 100))


def cases4():
    def c(name):
        return lambda f: table.__setitem__(name, f)
    table = {}
    c("plain")(lambda e, p: [ip4(e) / syn(e, p)])
    c("data")(lambda e, p: [ip4(e) / syn(e, p) / Raw(b"x" * 500)])
    for bits in ("SP", "SU", "SE", "SC", "SEC", "SPUEC"):
        c("flags-" + bits)(lambda e, p, bits=bits: [ip4(e) / syn(e, p, flags=bits)])
    c("reserved")(lambda e, p: [ip4(e) / syn(e, p, reserved=7)])
    c("urgent")(lambda e, p: [ip4(e) / syn(e, p, flags="SU", urgptr=25)])
    c("options-40")(lambda e, p: [ip4(e) / syn(e, p, options=[("NOP", None)] * 40)])
    c("trailing")(lambda e, p: [Raw(raw(ip4(e) / syn(e, p)) + b"trailing")])
    c("tos")(lambda e, p: [ip4(e, tos=0xff) / syn(e, p)])
    c("df")(lambda e, p: [ip4(e, flags="DF") / syn(e, p)])
    c("evil")(lambda e, p: [ip4(e, flags="evil") / syn(e, p)])
    c("record-route")(lambda e, p: [ip4(e, options=[IPOption_RR(pointer=4, routers=["0.0.0.0"] * 3)]) / syn(e, p)])
    c("router-alert")(lambda e, p: [ip4(e, options=[IPOption_Router_Alert()]) / syn(e, p)])
    # The kernel forwards neither.
    c("lsrr")(lambda e, p: [ip4(e, options=[IPOption_LSRR(pointer=4, routers=[e.router])]) / syn(e, p)])
    c("ssrr")(lambda e, p: [ip4(e, options=[IPOption_SSRR(pointer=4, routers=[e.router])]) / syn(e, p)])
    c("lsrr-via")(lambda e, p: [IP(src=e.src, dst=e.router, options=[IPOption_LSRR(pointer=4, routers=[e.dst])]) / syn(e, p)])
    c("lsrr-done")(lambda e, p: [ip4(e, options=[IPOption_LSRR(pointer=8, routers=[e.router])]) / syn(e, p)])
    c("ah")(lambda e, p: [ip4(e, proto=51) / Raw(bytes([6, 4, 0, 0]) + bytes(20) + sealed(ip4(e), syn(e, p)))])
    c("bad-sum")(lambda e, p: [ip4(e) / syn(e, p, chksum=0x1234)])
    c("bad-ip-sum")(lambda e, p: [ip4(e, chksum=0x1234) / syn(e, p)])
    c("data-offset-4")(lambda e, p: [ip4(e) / syn(e, p, dataofs=4)])
    c("data-offset-15")(lambda e, p: [ip4(e) / syn(e, p, dataofs=15)])
    c("short-header")(lambda e, p: [ip4(e, proto=6) / Raw(raw(syn(e, p))[:16])])
    c("syn-fin")(lambda e, p: [ip4(e) / syn(e, p, flags="SF")])
    c("syn-rst")(lambda e, p: [ip4(e) / syn(e, p, flags="SR")])
    c("fragments")(lambda e, p: cut4(e, whole(e, p), [(0, 80, 1), (80, 120, 0)], 1))
    c("fragments-reversed")(lambda e, p: cut4(e, whole(e, p), [(80, 120, 0), (0, 80, 1)], 2))
    c("tiny")(lambda e, p: cut4(e, whole(e, p), [(0, 8, 1), (8, 120, 0)], 3))
    c("tiny-16")(lambda e, p: cut4(e, whole(e, p), [(0, 16, 1), (16, 120, 0)], 4))
    c("tiny-reversed")(lambda e, p: cut4(e, whole(e, p), [(8, 120, 0), (0, 8, 1)], 5))
    c("tiny-all")(lambda e, p: cut4(e, whole(e, p), [(i, i + 8, i < 112) for i in range(0, 120, 8)], 6))
    c("cut-24")(lambda e, p: cut4(e, whole(e, p), [(0, 24, 1), (24, 120, 0)], 7))
    c("cut-72")(lambda e, p: cut4(e, whole(e, p), [(0, 72, 1), (72, 120, 0)], 8))
    # A receiver drops what overlaps, or takes the first; either way none opens
    # by the second piece alone unless it comes first.
    c("overlap-ports")(lambda e, p: cut4(e, other(e, p), [(0, 80, 1)], 9) + cut4(e, whole(e, p), [(0, 80, 1), (80, 120, 0)], 9))
    c("overlap-ports-before")(lambda e, p: cut4(e, whole(e, p), [(80, 120, 0)], 10) + cut4(e, other(e, p), [(0, 80, 1)], 10) + cut4(e, whole(e, p), [(0, 80, 1)], 10))
    c("overlap-flags")(lambda e, p: cut4(e, other(e, p), [(0, 40, 1)], 11) + cut4(e, whole(e, p), [(8, 120, 0)], 11))
    c("overlap-flags-reversed")(lambda e, p: cut4(e, whole(e, p), [(8, 120, 0)], 12) + cut4(e, other(e, p), [(0, 40, 1)], 12))
    c("protocol-changes")(lambda e, p: cut4(e, whole(e, p), [(0, 80, 1)], 13, 17) + cut4(e, whole(e, p), [(80, 120, 0)], 13))
    c("first-with-offset-1")(lambda e, p: cut4(e, b"\0" * 8 + whole(e, p), [(8, 128, 0)], 14))
    c("atomic")(lambda e, p: cut4(e, whole(e, p), [(0, 120, 1)], 15))
    c("too-big")(lambda e, p: cut4(e, whole(e, p), [(0, 80, 1)], 16) + [ip4(e, id=16, proto=6, frag=8191) / Raw(b"x" * 200)])
    return table


# ---- IPv6 ----

def ip6(e, **more):
    return IPv6(src=e.src, dst=e.dst, **more)


def frag6(e, data, pieces, ident, nh=6, before=None):
    out = []
    for start, end, more in pieces:
        head = ip6(e) / before if before is not None else ip6(e)
        out.append(head / IPv6ExtHdrFragment(nh=nh, offset=start // 8, m=int(more), id=ident) / Raw(data[start:end]))
    return out


def dst_opts(size, nh=None):
    """A destination options header of size octets, as raw octets before nh."""
    return IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * (size - 4))])


def cases6():
    def c(name):
        return lambda f: table.__setitem__(name, f)
    table = {}
    c("plain")(lambda e, p: [ip6(e) / syn(e, p)])
    for bits in ("SP", "SU", "SEC", "SPUEC"):
        c("flags-" + bits)(lambda e, p, bits=bits: [ip6(e) / syn(e, p, flags=bits)])
    c("flow-label")(lambda e, p: [ip6(e, fl=0xfffff, tc=0xff) / syn(e, p)])
    c("trailing")(lambda e, p: [Raw(raw(ip6(e) / syn(e, p)) + b"trailing")])
    c("hop-by-hop")(lambda e, p: [ip6(e) / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / syn(e, p)])
    c("router-alert")(lambda e, p: [ip6(e) / IPv6ExtHdrHopByHop(options=[RouterAlert()]) / syn(e, p)])
    c("dst-opts")(lambda e, p: [ip6(e) / dst_opts(8) / syn(e, p)])
    c("dst-opts-256")(lambda e, p: [ip6(e) / dst_opts(256) / syn(e, p)])
    c("dst-opts-x4")(lambda e, p: [ip6(e) / dst_opts(8) / dst_opts(8) / dst_opts(8) / dst_opts(8) / syn(e, p)])
    c("hop-and-dst")(lambda e, p: [ip6(e) / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / dst_opts(8) / syn(e, p)])
    c("chain-of-17")(lambda e, p: [chain(ip6(e), [dst_opts(8) for _ in range(17)]) / syn(e, p)])
    c("routing-done")(lambda e, p: [ip6(e) / IPv6ExtHdrRouting(type=0, segleft=0, addresses=[e.router]) / syn(e, p)])
    c("rh0")(lambda e, p: [ip6(e) / IPv6ExtHdrRouting(type=0, segleft=1, addresses=[e.router]) / syn(e, p)])
    c("rh0-via-router")(lambda e, p: [IPv6(src=e.src, dst=e.router) / IPv6ExtHdrRouting(type=0, segleft=1, addresses=[e.dst]) / syn(e, p)])
    c("routing-4")(lambda e, p: [ip6(e) / IPv6ExtHdrRouting(type=4, segleft=1, addresses=[e.router]) / syn(e, p)])
    c("ah")(lambda e, p: [ip6(e, nh=51) / Raw(bytes([6, 4, 0, 0]) + bytes(20) + sealed(ip6(e), syn(e, p)))])
    for nh in (135, 139, 140, 253):
        c("header-%d" % nh)(lambda e, p, nh=nh: [ip6(e, nh=nh) / Raw(bytes([6, 0]) + bytes(6) + sealed(ip6(e), syn(e, p)))])
    c("no-next-header")(lambda e, p: [ip6(e, nh=59) / Raw(sealed(ip6(e), syn(e, p)))])
    c("jumbogram")(lambda e, p: [ip6(e, plen=0) / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / syn(e, p)])
    c("bad-sum")(lambda e, p: [ip6(e) / syn(e, p, chksum=0x1234)])
    c("data-offset-4")(lambda e, p: [ip6(e) / syn(e, p, dataofs=4)])
    c("syn-fin")(lambda e, p: [ip6(e) / syn(e, p, flags="SF")])
    c("hop-by-hop-late")(lambda e, p: [ip6(e) / dst_opts(8) / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / syn(e, p)])
    c("atomic")(lambda e, p: frag6(e, whole(e, p), [(0, 120, 0)], 1))
    c("atomic-dst-opts")(lambda e, p: [ip6(e) / IPv6ExtHdrFragment(id=2) / dst_opts(8) / syn(e, p)])
    c("dst-opts-atomic")(lambda e, p: [ip6(e) / dst_opts(8) / IPv6ExtHdrFragment(id=3) / syn(e, p)])
    c("nested-atomic")(lambda e, p: [ip6(e) / IPv6ExtHdrFragment(id=4) / IPv6ExtHdrFragment(id=5) / syn(e, p)])
    c("fragments")(lambda e, p: frag6(e, long6(e, p), [(0, 512, 1), (512, 1200, 0)], 6))
    c("fragments-reversed")(lambda e, p: frag6(e, long6(e, p), [(512, 1200, 0), (0, 512, 1)], 7))
    c("tiny")(lambda e, p: frag6(e, whole(e, p), [(0, 8, 1), (8, 120, 0)], 8))
    c("tiny-reversed")(lambda e, p: frag6(e, whole(e, p), [(8, 120, 0), (0, 8, 1)], 9))
    c("tiny-16")(lambda e, p: frag6(e, whole(e, p), [(0, 16, 1), (16, 120, 0)], 10))
    c("cut-24")(lambda e, p: frag6(e, whole(e, p), [(0, 24, 1), (24, 120, 0)], 11))
    c("cut-504")(lambda e, p: frag6(e, long6(e, p), [(0, 504, 1), (504, 1200, 0)], 12))
    c("tiny-all")(lambda e, p: frag6(e, whole(e, p), [(i, i + 8, i < 112) for i in range(0, 120, 8)], 13))
    c("rewritten-ports")(lambda e, p: frag6(e, other(e, p), [(0, 24, 1)], 14) + frag6(e, whole(e, p), [(0, 120, 0)], 14))
    c("rewritten-flags")(lambda e, p: frag6(e, other(e, p), [(0, 40, 1)], 15) + frag6(e, whole(e, p), [(8, 120, 0)], 15))
    c("rewritten-flags-reversed")(lambda e, p: frag6(e, whole(e, p), [(8, 120, 0)], 16) + frag6(e, other(e, p), [(0, 40, 1)], 16))
    # The first says UDP, the later TCP: receivers go by the first (RFC 8200, 4.5).
    c("next-header-changes")(lambda e, p: frag6(e, long6(e, p), [(0, 512, 1)], 17, 17) + frag6(e, long6(e, p), [(512, 1200, 0)], 17, 6))
    c("next-header-lies")(lambda e, p: frag6(e, long6(e, p), [(0, 512, 1)], 18) + frag6(e, long6(e, p), [(512, 1200, 0)], 18, 17))
    # TCP's header lies in the second fragment; the first is a chain alone.
    c("chain-alone")(lambda e, p: frag6(e, raw(IPv6ExtHdrDestOpt(nh=6, options=[PadN(optdata=b"\0" * 4)])) + whole(e, p), [(0, 8, 1), (8, 128, 0)], 19, 60))
    c("chain-alone-512")(lambda e, p: frag6(e, raw(IPv6ExtHdrDestOpt(nh=6, options=[PadN(optdata=b"\0" * 250), PadN(optdata=b"\0" * 250), PadN(optdata=b"\0" * 4)])) + whole(e, p), [(0, 512, 1), (512, 632, 0)], 20, 60))
    c("fragment-in-fragment")(lambda e, p: frag6(e, raw(IPv6ExtHdrFragment(nh=6, offset=0, m=0, id=99)) + whole(e, p), [(0, 64, 1), (64, 128, 0)], 21, 44))
    c("tiny-dst-opts")(lambda e, p: frag6(e, whole(e, p), [(0, 8, 1), (8, 120, 0)], 22, 6, dst_opts(8)))
    c("overlap-first")(lambda e, p: frag6(e, long6(e, p), [(0, 512, 1), (504, 1200, 0)], 23))
    return table


def long6(e, port):
    return sealed(ip6(e), syn(e, port) / Raw(b"x" * 1180))


def chain(head, headers):
    for h in headers:
        head = head / h
    return head


class Ends:
    def __init__(self, src, dst, router, sport):
        self.src, self.dst, self.router, self.sport = src, dst, router, sport
        self.v4 = ":" not in src


def main():
    if len(sys.argv) == 2:
        print("\n".join({"cases4": cases4, "cases6": cases6}[sys.argv[1]]()))
        return
    src, dst, router, mac, gateway = sys.argv[1:6]
    cases = cases6() if ":" in src else cases4()
    ether = Ether(src=mac, dst=gateway, type=0x86dd if ":" in src else 0x0800)
    socket = conf.L2socket(iface="eth0")
    listening = AsyncSniffer(iface="eth0", store=True)
    listening.start()
    time.sleep(0.3)
    for one in sys.argv[6:]:
        name, sport = one.split("=")
        for port in (25, 80):
            e = Ends(src, dst, router, int(sport))
            for packet in cases[name](e, port):
                # Each port's fragments have identifications of their own.
                socket.send(raw(ether / renumber(packet, port)))
    time.sleep(1)
    opened = set()
    for packet in listening.stop():
        if TCP in packet and packet[TCP].flags.S and packet[TCP].flags.A:
            opened.add((packet[TCP].dport, packet[TCP].sport))
    for sport, port in sorted(opened):
        print("open %d %d" % (sport, port))


def renumber(packet, port):
    if IPv6ExtHdrFragment in packet:
        packet[IPv6ExtHdrFragment].id += port << 16
    elif IP in packet and packet[IP].id < 100:
        packet[IP].id += port << 8
    return packet


if __name__ == "__main__":
    main()
