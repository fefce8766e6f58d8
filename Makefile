# SPDX-License-Identifier: Apache-2.0

# Time for each fuzz target, which Go benchmarks to run, and where the pictures of
# the gateway's go: docs/performance is where the README has them.
FUZZTIME ?= 10s
BENCH    ?= .
PLOTS    ?= bin/bench

# What judges and answers packets: every condition there has to earn its place.
GUARD := $(addprefix filter/, policy.go packet.go chain.go fragment.go encapsulation.go \
	checksum.go transport.go address.go key.go table.go index.go ranges.go compile.go rule.go share.go \
	exemption.go) \
	$(addprefix stack/, answer.go frame.go hop.go limit.go forward.go)

.PHONY: build demo test soak bench bench-quick fuzz branches mutate lint release reproducible vulncheck install deps deps-demo clean help
.NOTPARALLEL:

build: ## build ./bin/op25b, one static binary
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o bin/ ./cmd/op25b

demo: deps-demo build ## show it at work in network namespaces (root)
	./bin/op25b demo

# The rooms' own tests run with the race detector; e2e drives the real binary,
# real mail servers and the kernel, and runs one package at a time because they
# share the machine. -v there: a run takes minutes, and what was skipped shows.
# -count=1: what they depend on is more than Go's test cache knows of. What failed
# is repeated at the end, in short last: that is all that some places keep of a log.
test: deps build bin/gotestsum bin/failures ## run all tests, end to end included (root)
	go vet ./...
	go test -race -count=1 $$(go list ./... | grep -v '/e2e')
	go test -C tools ./...
	bin/gotestsum --format standard-verbose --hide-summary skipped --jsonfile bin/e2e.json -- \
		-count=1 -p 1 -timeout 30m ./e2e/... || { bin/failures bin/e2e.json; exit 1; }

# OP25B_BENCH_ROUNDS, _SECONDS, _PEERS and _FIGURES vary it: see BenchmarkGateway.
measure = OP25B_BENCH_JSON=$(CURDIR)/bin/bench.json go test -run '^$$' -bench Gateway -timeout 90m ./e2e && \
	bin/plot -out $(PLOTS) bin/bench.json

bench: deps build bin/plot ## measure, beside the kernel and other relays (root, 20 minutes)
	go test -run '^$$' -bench '$(BENCH)' -benchmem -p 1 $$(go list ./... | grep -v '/e2e')
	$(measure)

bench-quick: deps build bin/plot ## the gateway's part of it, one round (root, 3 minutes)
	OP25B_BENCH_ROUNDS=1 OP25B_BENCH_SECONDS=1 $(measure)

fuzz: ## fuzz each target for FUZZTIME
	@tools/fuzz.sh $(FUZZTIME)

soak: deps build ## the long versions of what test does briefly (two hours)
	OP25B_FRAGMENT_SEQUENCES=1000000 OP25B_ORACLE_PACKETS=10000000 go test -count=1 -timeout 2h ./filter
	OP25B_MONTH_WHOLE=1 go test -count=1 -run '^TestMonth$$' ./cmd/op25b
	OP25B_SUCCESSIONS=100 OP25B_RELOADS=1000 OP25B_KILLS=100 OP25B_HANGS=20 \
	OP25B_WINDOW=1000000000 OP25B_GUARDS=5000 OP25B_SOURCES=10000000 OP25B_SOURCE_RATE=16667 OP25B_SOAK_SECONDS=3600 \
		go test -count=1 -timeout 4h -v -run '^Test(Succession|Killed.*|Hangs|ManySources|.*Replaced|Soak)$$' ./e2e

branches: bin/mutate ## list what the guard's tests see one way only
	bin/mutate -branches $(GUARD)

mutate: bin/mutate ## list changes to the guard's code that no test notices
	bin/mutate $(GUARD)

lint: bin/golangci-lint ## check style, mistakes and import directions
	bin/golangci-lint config verify
	bin/golangci-lint run

# What is given to others: without the build's own traces, and the same wherever it
# is built. What could differ from machine to machine is said here, GOFLAGS too, and
# which Go: the one that go.mod names, which has no hole that op25b would be open by.
# Go gets it as it gets modules; GO_RELEASE=local takes the one that is here.
RELEASE := $(addprefix bin/release/op25b-linux-, amd64 arm64)
GO_RELEASE := $(shell sed -n 's/^toolchain //p' go.mod)

release: $(RELEASE) bin/cyclonedx-gomod ## build bin/release: binaries, what is in them, checksums
	for binary in $(RELEASE); do \
		bin/cyclonedx-gomod bin -json -std -noserial -notimestamp -output $$binary.cdx.json $$binary || exit; done
	cd bin/release && sha256sum $(notdir $(RELEASE) $(RELEASE:=.cdx.json)) >sha256sums && cat sha256sums
	@$(MAKE) --no-print-directory vulncheck

$(RELEASE): bin/release/op25b-linux-%: FORCE
	GOTOOLCHAIN=$(GO_RELEASE) CGO_ENABLED=0 GOOS=linux GOARCH=$* GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT= GOFLAGS=-mod=readonly \
		go build -trimpath -buildvcs=$(if $(shell git rev-parse --git-dir 2>/dev/null),true,false) -ldflags=-buildid= -o $@ ./cmd/op25b

FORCE:

reproducible: ## build the last commit twice, in two places, and compare
	@tools/reproducible.sh $(GO_RELEASE)

# With the Go of releases. VULNDB=file:///... or https://... names another database
# than Go's own.
vulncheck: bin/govulncheck ## look for known vulnerabilities in what the program calls
	@GOTOOLCHAIN=$(GO_RELEASE) tools/vulncheck.sh ./... $(wildcard $(RELEASE))

# PROGRAM and DESTDIR are for those who make packages; docs/deploy.md is for the rest.
PROGRAM ?= bin/op25b

install: $(PROGRAM) ## put the program and what is in dist where they belong (root)
	install -D -m 755 $(PROGRAM) $(DESTDIR)/usr/bin/op25b
	install -D -m 644 dist/op25b.service $(DESTDIR)/usr/lib/systemd/system/op25b.service
	install -D -m 644 dist/sysusers.d/op25b.conf $(DESTDIR)/usr/lib/sysusers.d/op25b.conf
	install -D -m 644 dist/modules-load.d/op25b.conf $(DESTDIR)/usr/lib/modules-load.d/op25b.conf
	install -D -m 644 dist/sysctl.d/op25b.conf $(DESTDIR)/usr/lib/sysctl.d/50-op25b.conf
	install -D -m 644 -t $(DESTDIR)/usr/share/op25b/prometheus dist/prometheus/*
	install -D -m 644 -t $(DESTDIR)/usr/share/op25b/grafana dist/grafana/*
	install -D -m 644 -t $(DESTDIR)/usr/share/doc/op25b docs/*.md

bin/op25b:
	$(MAKE) build

deps: ## install the packages that demo and test need (root)
	@tools/deps.sh test

deps-demo:
	@tools/deps.sh demo

# The tools live in a module of their own, so that what they need stays out of
# the program's go.mod. They are built once and again when their module changes.
bin/golangci-lint bin/govulncheck bin/benchstat bin/cyclonedx-gomod &: tools/go.mod tools/go.sum
	go build -C tools -o ../bin/ tool

bin/gotestsum: tools/go.mod tools/go.sum
	go build -C tools -o ../bin/ gotest.tools/gotestsum

bin/plot: $(wildcard tools/plot/*.go) tools/go.mod tools/go.sum
	go build -C tools -o ../bin/ ./plot

bin/failures: $(wildcard tools/failures/*.go)
	go build -C tools -o ../bin/ ./failures

bin/mutate: $(wildcard tools/mutate/*.go)
	go build -C tools -o ../bin/ ./mutate

clean: ## remove what was built
	rm -rf bin

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 14
