# `make` alone lists what there is. `make test` is what a change must pass.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 10s
BENCH ?= .
COUNT ?= 1
ROUNDS ?= 100
SEED ?= 0

# The version is linked in, so git need not be asked twice.
export GOFLAGS := -buildvcs=false $(GOFLAGS)
TOOLS := $(CURDIR)/bin/tools
export PATH := $(TOOLS):$(PATH)
TALLY := $(TOOLS)/tally
RESULTS := bin/results
WEB := dashboard/web
PUBLISHED := proto/pulso.v1.binpb
NODE_MODULES := $(WEB)/node_modules/.package-lock.json

##@ Build

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## Build bin/pulso
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/pulso ./cmd/pulso

.PHONY: release
release: $(NODE_MODULES) ## Build bin/release: a program for each platform, what it is made of (CycloneDX), checksums
	scripts/release.sh $(VERSION) bin/release

.PHONY: audit
audit: tools $(NODE_MODULES) ## Ask databases of known holes about what the program is made of; says which could not be asked
	scripts/audit.sh

.PHONY: run
run: build ## Run the hub on its default ports, with its data in ./pulso-data
	bin/pulso serve

.PHONY: web
web: $(NODE_MODULES) ## Rebuild dashboard/dist from dashboard/web
	npm --prefix $(WEB) run --silent build

.PHONY: generate
generate: tools ## Generate code: Go from proto/, and what //go:generate says
	buf generate
	go generate ./...

.PHONY: published
published: tools ## Take what v1 has gained into proto/pulso.v1.binpb: from then on it stays
	buf breaking --against $(PUBLISHED)
	buf build --exclude-source-info --output $(PUBLISHED)

.PHONY: format
format: tools $(NODE_MODULES) ## Format everything
	golangci-lint fmt
	buf format --write
	npm --prefix $(WEB) run --silent format
	$(WEB)/node_modules/.bin/biome check --write --config-path=$(WEB) examples/javascript

.PHONY: clean
clean: ## Remove what was built, installed tools included
	rm -rf bin $(WEB)/node_modules

##@ Test

STEPS := lint-go lint-proto lint-web test-go test-web check-dist check-generated test-e2e test-interop test-attack test-crash

.PHONY: test
test: tools programs $(TALLY) $(NODE_MODULES) ## Run all of these but crash, bench and fuzz; the last line counts
	@rm -rf $(RESULTS)
	@status=0; export TALLY_RESULTS=$(CURDIR)/$(RESULTS); \
	$(MAKE) --no-print-directory --jobs=1 --keep-going $(STEPS) || status=$$?; \
	$(TALLY) sum || status=$$?; exit $$status

.PHONY: lint
lint: lint-go lint-proto lint-web ## Format, lint and types of everything

.PHONY: lint-go
lint-go: tools $(TALLY)
	@$(TALLY) check lint-go golangci-lint run ./...
	@cd test/interop && $(TALLY) check lint-interop golangci-lint run ./...
	@cd test/crash/toxic && $(TALLY) check lint-toxic golangci-lint run ./...

.PHONY: lint-proto
lint-proto: tools $(TALLY)
	@$(TALLY) check lint-proto buf lint
	@$(TALLY) check format-proto buf format --diff --exit-code
	@$(TALLY) check breaking-proto buf breaking --against $(PUBLISHED)

.PHONY: lint-web
lint-web: $(TALLY) $(NODE_MODULES)
	@$(TALLY) check lint-web npm --prefix $(WEB) run --silent check
	@$(TALLY) check lint-examples $(WEB)/node_modules/.bin/biome ci --config-path=$(WEB) examples/javascript

.PHONY: test-go
test-go: $(TALLY) ## Go tests with the race detector
	@$(TALLY) go test-go go test -json -race $$(go list ./... | grep -vE '/test/(e2e|attack|crash$$)')

.PHONY: test-web
test-web: $(TALLY) $(NODE_MODULES) ## Unit tests of the dashboard
	@$(TALLY) vitest test-web npm --prefix $(WEB) run --silent test --

.PHONY: check-dist
check-dist: $(TALLY) $(NODE_MODULES) ## Compare dashboard/dist with what its source builds
	@$(TALLY) check check-dist scripts/unchanged.sh dashboard/dist npm --prefix $(WEB) run --silent build

.PHONY: check-generated
check-generated: tools $(TALLY) ## Compare generated code with what its source generates
	@$(TALLY) check check-generated scripts/unchanged.sh internal/gen buf generate

.PHONY: test-e2e
test-e2e: programs $(TALLY) $(NODE_MODULES) ## Tests of the whole binary, with a real browser and other people's clients
	@$(TALLY) go test-e2e go test -json -count=1 ./test/e2e/...

.PHONY: test-interop
test-interop: programs $(TALLY) $(NODE_MODULES) ## Other people's MQTT clients: Paho, Mosquitto, MQTT.js
	@cd test/interop && $(TALLY) go test-interop go test -json -count=1 ./...
	@cd test/interop && PULSO_TEST_ACCOUNTS=1 $(TALLY) go test-interop-accounts go test -json -count=1 ./...

.PHONY: test-attack
test-attack: $(TALLY) ## Attacks on the whole binary: it serves others throughout, its memory stays bounded
	@$(TALLY) go test-attack go test -json -count=1 ./test/attack
	@PULSO_TEST_ACCOUNTS=1 $(TALLY) go test-attack-accounts go test -json -count=1 ./test/attack \
		-run='^Test(SlowReaders|SubscribeFlood|RetainedFlood|TopicAliases|TakeoverStorm|TruncatedPackets|ManyFilters|ForgedAcknowledgements|UnreleasedPublishes)$$'

.PHONY: test-crash
test-crash: $(TALLY) ## Kill the whole binary, fill its disk and cut its network: nothing acknowledged is lost
	@$(TALLY) go test-crash go test -json -count=1 -race ./test/crash
	@PULSO_TEST_ACCOUNTS=1 $(TALLY) go test-crash-accounts go test -json -count=1 -race -run='^Test(Kill|Offline|Resume|Shared)' ./test/crash
	@cd test/crash/toxic && $(TALLY) go test-toxic go test -json -count=1 ./...

.PHONY: crash
crash: ## Kill the whole binary ROUNDS times under load: SEED=n repeats a run's choices
	go test -count=1 -timeout=$$(($(ROUNDS) * 20 + 60))s -run='^TestKill$$' -v ./test/crash -args -rounds=$(ROUNDS) -seed=$(SEED)

.PHONY: stalled
stalled: ## Stall half of 200 screens for 10 minutes under load: the others are served, memory is bounded, nobody misses anything
	go test -count=1 -timeout=60m -run='^TestStalledScreens$$' -v ./test/attack -args -stall=10m -screens=200 -rate=1000 -size=60

.PHONY: soak
soak: build $(NODE_MODULES) ## Leave the dashboard open for 30 minutes beside 1,000 devices: what its pages hold does not grow
	node $(WEB)/scripts/soak.mjs $(SOAK_MINUTES)

.PHONY: pictures
pictures: programs $(NODE_MODULES) ## Take the README's pictures from what the browser tests see
	go test -count=1 -run='^TestDemo$$' ./test/e2e
	cp bin/e2e/screens/desktop-dark-overview.png docs/overview.png
	cp bin/e2e/screens/desktop-light-device.png docs/device.png
	cp bin/e2e/screens/phone-dark-devices.png docs/phone.png

.PHONY: partition
partition: ## Cut 100 clients on each transport off for 30 s: each has every event once, in order
	cd test/crash/toxic && PULSO_PARTITION=30s PULSO_CLIENTS=100 go test -count=1 -timeout=20m -run='^TestPartition$$' -v .

.PHONY: bench
bench: ## Run the benchmarks: BENCH=pattern COUNT=n
	go test -run='^$$' -bench='$(BENCH)' -benchmem -count=$(COUNT) ./...

.PHONY: bench-baseline
bench-baseline: ## Write what the small benchmarks say of this tree into test/bench/baseline, in some minutes
	test/bench/micro.sh test/bench/baseline

.PHONY: bench-compare
bench-compare: tools ## Compare the small benchmarks with test/bench/baseline, in some minutes
	test/bench/micro.sh bin/bench
	@for file in test/bench/baseline/*.txt; do benchstat baseline="$$file" now="bin/bench/$${file##*/}"; done

.PHONY: bench-broker
bench-broker: build ## Measure the broker beside mosquitto and stock mochi, each on one processor (test/bench/side-by-side.sh)
	test/bench/side-by-side.sh

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME each
	scripts/fuzz.sh $(FUZZTIME)

##@ Set up

.PHONY: tools
tools: ## Install the Go tools that are missing into bin/tools
	@scripts/tools.sh $(TOOLS)

.PHONY: programs
programs: ## Install chromium, mosquitto, prometheus and python3-websockets, with apt and as root
	@scripts/programs.sh

$(TALLY): $(wildcard internal/tools/tally/*.go)
	@go build -o $@ ./internal/tools/tally

$(NODE_MODULES): $(WEB)/package-lock.json
	npm --prefix $(WEB) ci --loglevel=error
	@touch $@
