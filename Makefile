# make help
GO ?= go
PATH := /usr/local/sbin:$(PATH):/usr/local/go/bin:/usr/sbin:/sbin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help run test test-plain test-root test-race test-kills test-cgroup2 test-cgroup2-short test-gvisor test-hostile check lint bench bench-launch bench-scale bench-network bench-policy bench-cgroup2 setup clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1	/p' $(MAKEFILE_LIST)

run: ## install what is missing and run a two-container task
	@.ci/setup run
	@$(GO) build -o bin/quickstart ./examples/quickstart
	@$(SUDO) ./bin/quickstart

test: ## install what is missing and run every test
	@.ci/setup test
	@.ci/test
	@.ci/cgroup2

test-plain: ## the tests that need no root, with the race detector
	@.ci/test plain

test-root: ## all tests, as root
	@.ci/setup test
	@.ci/test root

test-race: ## all tests, as root, with the race detector
	@.ci/setup test
	@.ci/test race

test-kills: ## a host program killed 200 times while it starts, stops, pulls, checks and restarts (about ten minutes)
	@.ci/setup test
	@.ci/test root -timeout 60m ./scheduler/local -run '^TestKilledAtAnyMoment$$' -kills=200

test-cgroup2: ## what cgroup v2 matters to, in a virtual machine (about 20 minutes without KVM)
	@.ci/setup vm
	@CGO_ENABLED=0 $(GO) build -o bin/vm ./internal/vm
	@./bin/vm $(VM)

test-cgroup2-short: ## a reduced set of that, with systemd (some minutes)
	@.ci/cgroup2

test-gvisor: ## the driver's suite and whole tasks with gVisor as the OCI runtime, built from its Go module (some minutes)
	@.ci/setup test
	@.ci/gvisor

test-hostile: ## the hostile suite on every runtime and machine, with a table of what it tried (LANES="runc gvisor ..." for some)
	@.ci/setup vm
	@.ci/hostile $(LANES)

check: ## what takes seconds: format, vet for Linux and for others, the rules of the repository
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "gofmt -w $$files" | tr '\n' ' '; echo; exit 1; }
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(GO) test -count=1 ./internal/archtest

lint: ## the linters of .golangci.yml; the first time builds them for some minutes
	$(GO) run $(GOLANGCI_LINT) run

bench: bench-launch bench-network bench-policy bench-scale ## all of the following; about half an hour

bench-launch: ## what a launch costs, beside runc, ctr, docker and podman
	@.ci/setup bench
	@$(GO) build -o bin/launch ./internal/bench/launch
	@$(SUDO) ./bin/launch -only unshare,runc,fardel,ctr,docker,podman,scale

bench-scale: ## 100 launches at once, 300 idle tasks for five minutes, their adoption, beside runc, docker and podman; the state of 10,000 tasks
	@.ci/setup bench
	@$(GO) build -o bin/launch ./internal/bench/launch
	@$(SUDO) ./bin/launch -only burst,idle,peers
	$(GO) test -count=1 -run '^TestStateIsBounded$$' -v ./scheduler -tasks 10000

bench-network: ## the network, beside a bridge and CNI's
	@.ci/setup bench
	@$(GO) build -o bin/network ./internal/bench/network
	@$(SUDO) ./bin/network

bench-policy: ## a decision, beside other policy engines; definitions; the store
	$(GO) test -run '^$$' -bench . ./task/... ./network ./policy/... ./scheduler/store/...
	cd internal/bench/policy && $(GO) test -run '^$$' -bench . -benchmem

bench-cgroup2: ## a launch with runc and with crun, beside unshare, in that machine
	@.ci/setup vm
	@CGO_ENABLED=0 $(GO) build -o bin/vm ./internal/vm
	@CGO_ENABLED=0 $(GO) build -o bin/launch ./internal/bench/launch
	@./bin/vm -- ./bin/launch -n 5 -only unshare,runc,fardel
	@./bin/vm -- env PATH=/usr/local/lib/fardel-vm/crun:/usr/sbin:/usr/bin:/sbin:/bin ./bin/launch -n 5 -only unshare,runc,fardel

setup: ## install what the tests need
	@.ci/setup test

clean: ## remove what was built here
	rm -rf bin .cache
