#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds the last commit twice, as different people would on different machines,
# and compares the binaries: another folder, umask, home, time zone and locale,
# and nothing in the second one's build cache.
#
# usage: reproducible.sh GO [ARCH]
# GO is as GOTOOLCHAIN takes it; where it cannot be had, the one that is here does.
# ARCH is amd64 unless it is given.
set -eu

go=$1
arch=${2:-amd64}
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP
modules=$(go env GOMODCACHE)
if ! GOTOOLCHAIN=$go go version >/dev/null 2>&1; then
    echo "reproducible: $go, with which releases are built, cannot be had; this is $(go version)"
    go=local
fi
cache=$(go env GOCACHE)

# build clones the checkout to $1, builds there with the environment that follows,
# and prints the checksum.
build() {
    place=$1
    shift
    git clone -q --no-hardlinks . "$place"
    env GOMODCACHE="$modules" "$@" make -s -C "$place" GO_RELEASE="$go" "bin/release/op25b-linux-$arch" >&2
    (cd "$place/bin/release" && sha256sum "op25b-linux-$arch")
}

one=$(build "$dir/one" GOCACHE="$cache")
two=$(umask 077 && mkdir "$dir/home" &&
    build "$dir/a/folder/with a longer name" HOME="$dir/home" GOCACHE="$dir/cache" TZ=Asia/Tokyo LC_ALL=C USER=nobody)
if [ "$one" != "$two" ]; then
    printf 'reproducible: two builds of the same commit differ:\n%s\n%s\n' "$one" "$two" >&2
    cmp "$dir/one/bin/release/op25b-linux-$arch" "$dir/a/folder/with a longer name/bin/release/op25b-linux-$arch" >&2 || true
    exit 1
fi
echo "reproducible: $one, twice from $(git rev-parse --short HEAD)"
