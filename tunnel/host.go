// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Host puts a [Plan] in force around two open ports, keeps it in force, and
// takes it back. It changes only what carries our names, our table and our
// protocol number, the forwarding switch of the interfaces that the operator
// named, and net.ipv6.conf.all.forwarding, which IPv6 has no other switch for.
//
// Up or Succeed, Apply, Settle after Succeed, Watch, and Undo or Release are called in
// that order, by one goroutine; SetGuard and Trouble may be called from any.
type Host struct {
	log  *zap.Logger
	plan Plan

	mu                    sync.Mutex // held while the kernel is being changed
	divert                *diverter
	restore               []string // settings that were off
	mtu                   int
	forwards6             bool           // IPv6 forwarding has been seen on
	guardSeen             uint32         // generation of netfilter's rules at which the guard was whole
	index                 map[string]int // of our interfaces, by name
	trouble, guardTrouble error          // of the last look at the machine
	healed                uint64         // what was put back
	shed                  atomic.Uint64  // SYNs of floods that earlier guards have dropped
}

// NewHost looks at the machine: the plan's real interfaces must exist. It
// changes nothing. The error is a *Hint where the operator can do something.
func NewHost(plan Plan, log *zap.Logger) (*Host, error) {
	for _, iface := range plan.realInterfaces() {
		if err := CheckInterface(iface); err != nil {
			return nil, err
		}
	}
	other, err := OtherGateway(plan.ports()...)
	if err != nil {
		return nil, err
	}
	if other != "" {
		return nil, &Hint{fmt.Errorf("a gateway runs here already, with the interface %s", other),
			"stop it first; a network namespace has one gateway, which can have several subscriber interfaces"}
	}
	h := &Host{log: log, plan: plan, index: map[string]int{}}
	mtu, err := MTU(&h.plan)
	h.mtu = mtu
	h.plan.IPv6 = h.plan.IPv6 && mtu >= ipv6MinimumMTU
	return h, err
}

// CheckInterface reports whether the machine has the interface; the error lists
// those it has.
func CheckInterface(name string) error {
	_, err := netlink.LinkByName(name)
	if !errors.As(err, new(netlink.LinkNotFoundError)) {
		return err
	}
	fix := "check the name with: ip link"
	if links, err := netlink.LinkList(); err == nil {
		var names []string
		for _, l := range links {
			names = append(names, l.Attrs().Name)
		}
		fix = "this machine has " + strings.Join(names, ", ")
	}
	return &Hint{fmt.Errorf("find interface %s: %w", name, err), fix}
}

// MTU returns the MTU for the ports, in octets.
func (h *Host) MTU() int { return h.mtu }

// MTU returns the plan's MTU, or, where it is 0, the smallest of the real
// interfaces'.
func MTU(p *Plan) (int, error) {
	if p.MTU != 0 {
		return p.MTU, nil
	}
	mtu := 65535
	for _, iface := range p.realInterfaces() {
		link, err := netlink.LinkByName(iface)
		if err != nil {
			return 0, fmt.Errorf("read MTU of %s: %w", iface, err)
		}
		mtu = min(mtu, link.Attrs().MTU)
	}
	return mtu, nil
}

// Up clears away what a crashed run left, puts the guard in place, and brings
// the two ports' links up. Nothing is routed into them yet.
func (h *Host) Up() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.checkTables(); err != nil {
		return err
	}
	if err := h.removeLeftovers(); err != nil {
		return err
	}
	if err := h.applyGuard(); err != nil {
		return err
	}
	for _, port := range h.plan.ports() {
		if err := h.bringUp(port); err != nil {
			return err
		}
	}
	return nil
}

// Succeed is Up for ports that were adopted. Packets flow, perhaps by the rules of a
// gateway that still runs and watches over them: whatever is not as in this plan, and
// the guard, is left to Settle.
func (h *Host) Succeed() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.checkTables(); err != nil {
		return err
	}
	for _, port := range h.plan.ports() {
		if _, err := h.healLink(port); err != nil {
			return err
		}
	}
	return nil
}

// Settle puts this plan's guard in place of the predecessor's, removes what that had
// and this plan does not hold, and takes over the settings that have to be put back
// at the end: those of [Host.Release].
func (h *Host) Settle(restore []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.restore = append(h.restore, restore...)
	return errors.Join(h.applyGuard(), h.removeLeftovers())
}

// Release lets go of everything but changes nothing: a successor has it. It returns
// the settings that have to be put back when that ends.
func (h *Host) Release() (restore []string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.divert != nil {
		err = h.divert.Close()
	}
	return h.restore, err
}

// Trouble returns what is wrong with the machine at present and cannot be put
// right, nil if nothing is, and how many things were put right so far.
func (h *Host) Trouble() (now error, healed uint64) { //nolint:revive,staticcheck // the error is what is asked for, no failure
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.guardTrouble, h.trouble), h.healed
}

// bringUp makes one of our interfaces silent and puts it up.
func (h *Host) bringUp(port string) error {
	link, err := netlink.LinkByName(port)
	if err != nil {
		return fmt.Errorf("find %s: %w", port, err)
	}
	h.index[port] = link.Attrs().Index
	for _, c := range portSysctls() {
		if err := c.set(link); err != nil {
			return err
		}
	}
	if err := healQueueLength(link, new([]string)); err != nil {
		return err
	}
	if err := netlink.LinkSetMulticastOff(link); err != nil {
		return fmt.Errorf("switch multicast off on %s: %w", port, err)
	}
	// The TUN must not chatter: no link-local address, hence no router
	// solicitation and no MLD report into the loop.
	if h.plan.IPv6 {
		if err := h.forget6(link); err != nil {
			return err
		}
		if err := h.silence6(link); err != nil {
			return err
		}
	}
	if _, err := addPortAddress(link); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", port, err)
	}
	return nil
}

// portAddress is the "IPv4 dummy address" of RFC 7600 (IANA's special-purpose
// registry), which means nobody. Linux treats loose reverse-path filtering on
// an interface without any address as a reason to drop all that comes in
// there, so each port has this one, in host scope: never chosen as a source.
func portAddress() *netlink.Addr {
	return &netlink.Addr{
		IPNet: &net.IPNet{IP: net.IPv4(192, 0, 0, 8).To4(), Mask: net.CIDRMask(32, 32)},
		Scope: unix.RT_SCOPE_HOST,
	}
}

// addPortAddress reports whether the address was missing.
func addPortAddress(link netlink.Link) (added bool, err error) {
	switch err := netlink.AddrAdd(link, portAddress()); {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EEXIST):
		return false, nil
	default:
		return false, fmt.Errorf("give %s an address: %w", link.Attrs().Name, err)
	}
}

// ipv6MinimumMTU is what IPv6 needs of a link, in octets (RFC 8200, section 5).
// Below it the kernel switches IPv6 off there.
const ipv6MinimumMTU = 1280

// forget6 has the kernel begin with IPv6 on the link anew. A router's link joins
// the all-routers group when it is made, which is before it can be told not to,
// and would report that group, or that it has left it. With too small an MTU the
// kernel forgets the groups without a word.
func (h *Host) forget6(link netlink.Link) error {
	for _, mtu := range []int{ipv6MinimumMTU - 1, h.mtu} {
		if err := netlink.LinkSetMTU(link, mtu); err != nil {
			return fmt.Errorf("set MTU of %s to %d: %w", link.Attrs().Name, mtu, err)
		}
	}
	return nil
}

func (h *Host) silence6(link netlink.Link) error {
	name := link.Attrs().Name
	if !HasIPv6(name) {
		// The default for new interfaces is off, yet subscribers have it.
		if err := writeInt(disableIPv6(name), 0); err != nil {
			return &Hint{err, fmt.Sprintf("type: sysctl -w net.ipv6.conf.%s.disable_ipv6=0", "default")}
		}
	}
	const addrGenModeNone = 1 // IN6_ADDR_GEN_MODE_NONE
	if err := netlink.LinkSetIP6AddrGenMode(link, addrGenModeNone); err != nil {
		return fmt.Errorf("switch IPv6 autoconfiguration off on %s: %w", name, err)
	}
	return nil
}

// Apply switches forwarding on where it is off and sends subscribers' traffic
// into the ports. Packets flow when it returns.
func (h *Host) Apply() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.enableForwarding(); err != nil {
		return err
	}
	if err := h.divertPackets(); err != nil {
		return err
	}
	_, err := h.reconcile()
	return err
}

// divertPackets loads the netfilter rules that the way into the TUN needs.
func (h *Host) divertPackets() (err error) {
	if h.divert, err = newDiverter(&h.plan); err != nil {
		return &Hint{err, "op25b needs Linux 5.12 or newer with nf_tables; type: modprobe nf_tables"}
	}
	return nil
}

// reconcile adds what is missing and returns it in words. The kernel itself
// says what is missing: it refuses to add what it has.
func (h *Host) reconcile() (added []string, err error) {
	var errs []error
	if mtu, err := MTU(&h.plan); err == nil {
		h.mtu = mtu
	}
	added, err = h.reforward()
	errs = append(errs, err)
	for _, port := range h.plan.ports() {
		what, err := h.healLink(port)
		added, errs = append(added, what...), append(errs, err)
	}
	for _, r := range h.plan.routes() {
		switch err := r.add(); {
		case err == nil:
			added = append(added, r.command())
		case errors.As(err, new(netlink.LinkNotFoundError)): // told above
		case !errors.Is(err, unix.EEXIST):
			errs = append(errs, fmt.Errorf("%s: %w", r.command(), err))
		}
	}
	for _, r := range h.plan.rules() {
		switch err := netlink.RuleAdd(r.netlink()); {
		case err == nil:
			added = append(added, r.command())
		case !errors.Is(err, unix.EEXIST):
			errs = append(errs, fmt.Errorf("%s: %w", r.command(), err))
		}
	}
	return added, errors.Join(errs...)
}

// reconcileGuard loads the guard again if it is not whole. It looks only after
// somebody has changed something in netfilter: the guard may be large.
func (h *Host) reconcileGuard() (added []string, err error) {
	now, err := generation()
	if !h.plan.guarded() || err == nil && now == h.guardSeen {
		return nil, nil
	}
	if h.guardPresent() {
		h.guardSeen = now
		return nil, nil
	}
	return []string{"nft table inet " + guardTable}, h.applyGuard()
}

func (r route) add() error {
	n := &netlink.Route{
		Family: r.family, Table: r.table, Priority: r.metric, Protocol: Protocol,
		Scope: netlink.SCOPE_UNIVERSE, Type: unix.RTN_BLACKHOLE, Dst: defaultNet(r.family),
	}
	if r.dev != "" {
		link, err := netlink.LinkByName(r.dev)
		if err != nil {
			return fmt.Errorf("find %s: %w", r.dev, err)
		}
		n.LinkIndex, n.Type = link.Attrs().Index, unix.RTN_UNICAST
		n.Scope = netlink.SCOPE_LINK
	}
	return netlink.RouteAdd(n)
}

// Undo takes back what Apply did: first the rules, so that the kernel forwards
// by itself while the ports still drain. What OnExit asks for stays: see
// Remains. The routes go away with the ports.
func (h *Host) Undo() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Somebody may have removed it a moment ago.
	_, err := h.reconcileGuard()
	errs := []error{err}
	if h.plan.OnExit != OnExitBlackhole {
		errs = append(errs, removeRules(h.plan.Table))
	}
	if h.divert != nil {
		errs = append(errs, h.divert.Close())
	}
	if h.plan.OnExit == OnExitForward {
		errs = append(errs, removeGuard())
	}
	for _, what := range h.restore {
		errs = append(errs, switchOff(what))
	}
	h.restore = nil
	return errors.Join(errs...)
}

// Remains says in words what stays in the kernel after Undo.
func (h *Host) Remains() string {
	switch h.plan.OnExit {
	case OnExitForward:
		return "everything is forwarded, blocked ports too"
	case OnExitBlackhole:
		return "the kernel drops subscribers' traffic until op25b runs again or `op25b cleanup` is called"
	default:
		return "the kernel forwards everything and still refuses the blocked ports, until `op25b cleanup` is called"
	}
}

// SetGuard replaces the guard's sets after a reload.
func (h *Host) SetGuard(g Guard) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.plan.Guard = g
	return h.applyGuard()
}

// Addresses returns the addresses of a real interface that others can reach:
// no loopback and no link-local ones.
func Addresses(iface string) ([]netip.Addr, error) {
	link, err := netlink.LinkByName(iface)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", iface, err)
	}
	list, err := netlink.AddrList(link, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s: %w", iface, err)
	}
	var addresses []netip.Addr
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		if addr = addr.Unmap(); ok && addr.IsGlobalUnicast() {
			addresses = append(addresses, addr)
		}
	}
	return addresses, nil
}
