# `make demo` and `make test` are all that a newcomer needs.

GO          ?= go
TIME        ?= 10s
KILLS       ?= 1000
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help
help: ## list what there is to make
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/writ
	$(GO) build -trimpath -o bin/writ ./cmd/writ

.PHONY: demo
demo: build ## the whole story on real servers, in seconds
	bin/writ demo

.PHONY: test
test: ## every test; says at the end which external parts are missing
	@sh tools/test.sh ./...

.PHONY: race
race: ## every test under the race detector
	@sh tools/test.sh -race ./...

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "gofmt these:"; echo "$$bad"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

.PHONY: fuzz
fuzz: ## every fuzz target for TIME (10s)
	@sh tools/fuzz.sh $(TIME)

.PHONY: pg-regress
pg-regress: ## map the DML of PostgreSQL's own regression suite, fetched by apt-get source
	@GO="$(GO)" sh tools/pg-regress.sh

.PHONY: crash
crash: ## kill gates and ledgers KILLS (1000) times in each receipts.mode, also between permit and act
	WRIT_KILLS=$(KILLS) $(GO) test -count=1 -timeout 60m -v -run '^TestKill' ./internal/ledger ./internal/server

.PHONY: guards
guards: ## switch each security check off and see a test fail; ARGS="-only REGEXP", "-list"
	@$(GO) run ./tools/guards $(ARGS)

.PHONY: requirements
requirements: ## which tests show which requirements and attacks
	@$(GO) run ./tools/requirements

.PHONY: bench
bench: ## every figure of docs/performance.md
	$(GO) run ./bench

bench-%: ## one part of them, such as bench-http
	$(GO) run ./bench $*

.PHONY: clean
clean: ## remove what make and the demo wrote
	rm -rf bin writ-demo bench/results.json
