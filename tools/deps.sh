#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian or Ubuntu packages that `make demo` or `make test` needs.
# Prints nothing and changes nothing when none is missing.
#
# usage: deps.sh demo|test
set -eu

# group, package, a command that proves it is there ("-": none), what it is for.
# The test group includes the demo group.
packages() {
    cat <<'LIST'
demo ca-certificates  -          fetching Go modules over HTTPS
demo iproute2         ip         looking into the network namespaces
test gcc              gcc        the race detector needs cgo
test libc6-dev        -          the race detector needs cgo
test postfix          postfix    the real mail servers, on 25 and 587
test sasl2-bin        saslauthd  SMTP AUTH on 587: checks passwords
test libsasl2-modules -          SMTP AUTH on 587: PLAIN and LOGIN
test swaks            swaks      sends mail as a subscriber
test libio-socket-inet6-perl - swaks over IPv6
test libnet-ssleay-perl -        swaks over TLS
test curl             curl       sends mail and fetches pages as a subscriber
test iperf3           iperf3     bulk TCP and UDP
test iputils-ping     ping       large and expiring packets
test traceroute       traceroute counts the hops
test nmap             nmap       tries to get around the block with fragments
test hping3           hping3     sends segments that no client sends
test python3-scapy    scapy      sends packets and fragments that no client sends
test thc-ipv6         atk6-firewall6 its 39 ways around an IPv6 firewall
test ipv6toolkit      tcp6       sends TCP behind IPv6 extension headers
test netsniff-ng      trafgen    sends frames field by field
test tcpdump          tcpdump    looks at packets behind the gateway
test nftables         nft        gateways that masquerade, and the peer we measure against
test conntrack        conntrack  looks at what masquerading gateways track
test ethtool          ethtool    reads what interfaces offload
test procps           sysctl     reads and sets sysctls
test systemd          systemd-analyze judges the unit and knows its groups of system calls
test dnsmasq-base     dnsmasq    hands out leases, which we read
test isc-dhcp-server  dhcpd      hands out leases, which we read
test kea-dhcp4-server kea-dhcp4  hands out leases, which we read and ask for
test kea-dhcp6-server kea-dhcp6  hands out leases of IPv6 addresses and prefixes
test isc-dhcp-client  dhclient   asks for leases, as a subscriber
test prometheus       prometheus scrapes the metrics and evaluates the alerts
test chromium         chromium   opens the console as an operator
test fonts-vlgothic   -          shows Japanese in it
test msmtp            msmtp      meets the notice, as a mail program
test freeradius-utils radclient  says who is connected, as a NAS
LIST
}

# missing prints the lines of the packages in group $1 that are not installed.
# Without dpkg it goes by the commands.
missing() {
    installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' 2>/dev/null) || installed=
    packages | while read -r group package command why; do
        [ "$group" = demo ] || [ "$group" = "$1" ] || continue
        case "$installed" in
        "") [ "$command" = - ] || command -v "$command" >/dev/null || echo "$package: $why" ;;
        *) echo "$installed" | grep -qx "$package installed" || echo "$package: $why" ;;
        esac
    done
}

# While packages are installed their services must not start: the tests run
# postfix and the others in namespaces of their own, never on the machine
# itself. Debian asks policy-rc.d; an existing one keeps its say on all else.
policy=/usr/sbin/policy-rc.d
kept=$policy.before-op25b

hold_services() {
    trap release_services EXIT
    trap 'exit 1' INT TERM HUP
    if [ -e "$policy" ] && ! grep -q before-op25b "$policy"; then
        mv "$policy" "$kept"
    fi
    cat >"$policy" <<POLICY
#!/bin/sh
for word; do
    case \$word in postfix*|saslauthd*|iperf3*|nftables*|dnsmasq*|isc-dhcp-server*|kea-*|prometheus*) exit 101 ;; esac
done
[ ! -x $kept ] || exec $kept "\$@"
POLICY
    chmod 755 "$policy"
}

release_services() {
    rm -f "$policy"
    [ ! -e "$kept" ] || mv "$kept" "$policy"
}

case "${1-}" in
demo | test) group=$1 ;;
*) echo "usage: $0 demo|test" >&2 && exit 2 ;;
esac

wanted=$(missing "$group")
[ -n "$wanted" ] || exit 0
names=$(echo "$wanted" | cut -d: -f1 | tr '\n' ' ')

echo "deps: make $group needs packages that this machine lacks:" >&2
# shellcheck disable=SC2001 # each line is indented
echo "$wanted" | sed 's/^/    /' >&2
if ! command -v apt-get >/dev/null; then
    echo "deps: there is no apt-get here; install them (or what your system calls them) and try again" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "deps: installing needs root; type: sudo $0 $group" >&2
    exit 1
fi

# An apt that runs already, such as unattended upgrades, is waited for.
apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@"
}

hold_services
# "No configuration": postfix is on the disk, and set up for nothing. The answer
# given for a postfix that is there already stays as it is.
case " $names" in
*" postfix "*) echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections ;;
esac
apt update >/dev/null || echo "deps: apt-get update failed; going on with the lists at hand" >&2
# Packages talk much while they are set up; it is worth reading when they fail.
# shellcheck disable=SC2086 # one word per package
if ! said=$(apt install -y --no-install-recommends $names 2>&1 </dev/null); then
    echo "$said" >&2
    echo "deps: apt-get install failed, see above" >&2
    exit 1
fi
echo "deps: installed $names" >&2
