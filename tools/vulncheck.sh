#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Looks for known vulnerabilities in the module's packages and in binaries built
# from it. Fails if one is found in what they call.
#
# The database is on the network, and so may be the Go that is asked for. Where
# either cannot be reached nothing is checked; the script says so and succeeds,
# because whoever builds without a network has done nothing wrong. VULNDB names
# another database, such as file:///srv/vulndb. Without it Go's own is asked, and
# where that is out of reach, the newest copy that there is as a module.
#
# usage: vulncheck.sh PACKAGES [BINARY...]
set -eu

unchecked() {
    echo "vulncheck: NOT CHECKED, $1:" >&2
    echo "$2" | sed 's/^/    /' >&2
    exit 0
}

# check runs govulncheck with the arguments behind $1, which says on what.
check() {
    what=$1
    shift
    code=0
    said=$(bin/govulncheck ${VULNDB:+-db="$VULNDB"} "$@" 2>&1) || code=$?
    case $code$said in
    0*) echo "vulncheck: $what: $(echo "$said" | grep -m 1 -E '^(No vulnerabilities|Your code)')" ;;
    1*"fetching vulnerabilities"*)
        [ -z "${VULNDB:-}" ] || unchecked "the database cannot be reached" "$said"
        copy
        check "$what" "$@"
        ;;
    *)
        echo "vulncheck: $what:" >&2
        echo "$said" >&2
        return 1
        ;;
    esac
}

# copy sets VULNDB to the copy that comes as a module.
copy() {
    found=$(cd / && go mod download -json golang.org/x/vulndb@latest 2>&1) || unchecked "no database can be reached" "$said
$found"
    field() { echo "$found" | sed -n "s/^[[:space:]]*\"$1\": \"\(.*\)\",\{0,1\}$/\1/p"; }
    VULNDB=file://$(field Dir)/data/osv
    echo "vulncheck: the database itself is out of reach; golang.org/x/vulndb $(field Version) is a copy"
}

go=$(go version 2>&1) || unchecked "this Go cannot be had" "$go"
echo "vulncheck: ${go#go version }"
packages=$1
shift
check source "$packages"
for binary; do
    check "$binary" -mode=binary "$binary"
done
