#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Fuzzes every target of the module for a while, one after the other, and stops
# at the first that fails. The failing input is then under the package's
# testdata/fuzz: fix the code and check the input in.
#
# usage: fuzz.sh [TIME]    TIME per target as in -fuzztime: 10s, 5m, 100000x
set -eu

time=${1:-10s}
output=$(mktemp)
trap 'rm -f "$output"' EXIT
trap 'exit 1' INT TERM HUP

# go test -list prints the targets of a package, then "ok" and its path.
go test -list '^Fuzz' ./... >"$output" || { cat "$output" >&2; exit 1; }
targets=$(awk '/^Fuzz/ { names[n++] = $1 }
    /^ok/ { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }' "$output")
[ -n "$targets" ] || { echo "fuzz: no targets"; exit 0; }

echo "$targets" | while read -r package target; do
    echo "fuzz: $package $target for $time"
    if go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" >"$output" 2>&1 </dev/null; then
        tail -n 3 "$output"
        continue
    fi
    cat "$output"
    # Up to Go 1.26 the end of the fuzz time can be reported as a failure
    # (go.dev/issue/75804). A real one leaves an input behind.
    if grep -q '^ *context deadline exceeded$' "$output" && ! grep -q 'Failing input written' "$output"; then
        echo "fuzz: the time ran out in mid-call, nothing was found"
        continue
    fi
    exit 1
done
