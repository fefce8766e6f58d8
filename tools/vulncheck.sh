#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Looks for known vulnerabilities in the module's packages and in binaries built
# from it. Fails if one is found in what they call.
#
# The database is on the network. Where it cannot be reached nothing is checked;
# the script says so and succeeds, because whoever builds without a network has
# done nothing wrong. VULNDB names another database, such as file:///srv/vulndb.
#
# usage: vulncheck.sh PACKAGES [BINARY...]
set -eu

# check runs govulncheck with the arguments behind $1, which says on what.
check() {
    what=$1
    shift
    code=0
    said=$(bin/govulncheck ${VULNDB:+-db="$VULNDB"} "$@" 2>&1) || code=$?
    case $code$said in
    0*) echo "vulncheck: $what: $(echo "$said" | tail -n 1)" ;;
    1*"fetching vulnerabilities"*)
        echo "vulncheck: $what: NOT CHECKED, the database cannot be reached" >&2
        echo "$said" | sed 's/^/    /' >&2
        ;;
    *)
        echo "vulncheck: $what:" >&2
        echo "$said" >&2
        return 1
        ;;
    esac
}

packages=$1
shift
check source "$packages"
for binary; do
    check "$binary" -mode=binary "$binary"
done
