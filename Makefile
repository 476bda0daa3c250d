# On a new machine with Go, `make test` is enough: it installs what is missing and runs all checks
# and tests once. `make help` lists the other targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

# The race detector checks all packages except those that only compute: SQLite (C translated to Go)
# and the arithmetic of cryptography. With the detector, SQLite took four fifths of the CPU time of
# tests with a database, and cryptography a third of that of internal/web. A package that
# synchronizes by atomics, or has copies of generic functions that do, must stay included: the linker
# shares these copies with other packages, and the detector would miss their synchronization. So
# modernc.org/libc is included, but without the checks of unsafe pointers that the detector brings.
CRYPTO := crypto/internal/fips140
COMPUTING := modernc.org/sqlite/lib $(CRYPTO)/nistec $(CRYPTO)/nistec/fiat $(CRYPTO)/bigmod \
	$(CRYPTO)/sha256 $(CRYPTO)/sha512 $(CRYPTO)/aes $(CRYPTO)/aes/gcm $(CRYPTO)/edwards25519 \
	$(CRYPTO)/edwards25519/field golang.org/x/crypto/argon2 golang.org/x/crypto/blake2b
DETECT := -race $(COMPUTING:%=-gcflags=%=-race=false) \
	$(patsubst %,-gcflags=%=-d=checkptr=0,modernc.org/libc modernc.org/memory)

# Packages are compiled separately for the race detector. Other tools that need compiled packages
# use the same flags, so that nothing, SQLite above all, is compiled twice.
RACE := GOFLAGS="$$(go env GOFLAGS) $(DETECT)"

STATICCHECK := .cache/bin/staticcheck
OURS = git ls-files --cached --others --exclude-standard
GO_FILES = $(OURS) '*.go'
PRETTIER = $(OURS) '*.js' '*.mjs' '*.ts' '*.css' | xargs node_modules/.bin/prettier --log-level warn
BENCH_PACKAGES = grep -rlE '^func Benchmark' --include='*_test.go' cmd internal | xargs -n1 dirname | sort -u
SCREENSHOT_PACKAGES = grep -rlE 'flag.String\("screenshots"' --include='*_test.go' cmd internal | xargs -n1 dirname | sort -u
FUZZ_TARGETS = grep -rnoHE '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' cmd internal | sed -E 's|/[^/]*:[0-9]+:func |:|' | sort

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
FUZZTIME ?= 20s
BENCHTIME ?= 1s
TEST_TIMEOUT ?= 45m

.PHONY: check-upgrade help install test check quick busy fmt format vet staticcheck generate generated types js race tidy \
	check-tidy bench fuzz screenshots pictures site build lambda dist check-dist check-packages clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

install: ## install what the tests need and this machine lacks
	@tools/install

test: install check ## install what is missing, then run everything once

# Quick checks that often fail come first. The Go tests and their summary come last.
check: fmt check-tidy js types vet staticcheck check-dist race ## all checks of CI, without installing anything

fmt: ## check that all files are formatted by gofmt and prettier
	@unformatted=$$($(GO_FILES) | xargs gofmt -l); [ -z "$$unformatted" ] || { echo "gofmt these:"; echo "$$unformatted"; exit 1; }
	@$(PRETTIER) --check

format: ## format everything, by gofmt and prettier
	@$(GO_FILES) | xargs gofmt -w
	@$(PRETTIER) --write

vet: ## go vet
	$(RACE) go vet ./...

$(STATICCHECK): go.mod
	@mkdir -p $(@D)
	go build -o $@ honnef.co/go/tools/cmd/staticcheck

staticcheck: $(STATICCHECK) ## staticcheck
	$(RACE) $(STATICCHECK) ./...

types: ## check the types of the pages' JavaScript with TypeScript
	node_modules/.bin/tsc --project tsconfig.json

js: ## unit tests of the pages' JavaScript
	@tests=$$(find static -name '*.test.js' -o -name '*.test.mjs' | sort); \
	[ -n "$$tests" ] || { echo "there are no tests of the JavaScript"; exit 1; }; \
	node --test $$tests

# make quick uses no race detector, and leaves out what takes long: browsers, servers of other
# projects, real media, long waits. Most of these tests skip themselves with internal/apptest/quick.
# The packages in SLOW are not even linked, because nearly all their tests take long. More packages
# are tested at once than there are cores, because many tests wait. `go test` repeats the results of
# packages for which nothing has changed.
SLOW := client|internal/(whipcheck|apptest/(browser|realobs)|web/(docktest|stagetest))|tools/(pictures|site)

quick: ## before each commit: what takes little time, without a browser, database server or OBS
	@$(MAKE) --no-print-directory --jobs --output-sync quick-format types quick-js quick-go
	@echo 'These were quick checks. Skipped tests, the race detector and these packages are left to `make check`:'
	@echo '$(SLOW)'

.PHONY: quick-format quick-js quick-go

quick-format: PRETTIER += --cache --cache-strategy content --cache-location .cache/prettier
quick-format: fmt

# All tests of the JavaScript in one process. Starting the processes takes longer than the tests.
quick-js:
	@tests=$$(find static -name '*.test.js' -o -name '*.test.mjs' | sort | sed "s|.*|import './&';|"); \
	said=$$(node --test-reporter spec --input-type module --eval "$$tests" 2>&1) || { echo "$$said"; exit 1; }; \
	tail -n 8 <<<"$$said"

quick-go:
	@packages=$$(go list ./... | grep -vE '/($(SLOW))$$'); \
	tools/in-memory --same-folder go test -short -ldflags='-s -w' -p 4 -parallel 8 -timeout 5m $$packages

busy: ## the suite while two loops occupy both cores
	@loops=; trap 'kill $$loops' EXIT; \
	for core in 1 2; do (while :; do :; done) & loops="$$loops $$!"; done; \
	$(MAKE) js race TEST_TIMEOUT=2h

# Three packages are tested at a time, because many tests wait. docktest takes longest, so it comes
# first.
race: ## all Go tests, with the race detector: browsers, databases and a real OBS included
	tools/in-memory go test $(DETECT) -p 3 -count=1 -timeout $(TEST_TIMEOUT) ./internal/web/docktest ./...

generate: ## write the docs and types that come from code
	$(RACE) go generate ./...

generated: generate ## check that generated files are current (the tests of each generator do, too)
	git diff --exit-code

tidy: ## go mod tidy
	go mod tidy

check-tidy: ## check that go mod tidy would not change go.mod and go.sum
	go mod tidy -diff

bench: ## every benchmark, one after the other, with its method and ratios
	go test -run '^$$' -bench . -benchtime $(BENCHTIME) -timeout 30m -p 1 $$($(BENCH_PACKAGES) | sed 's|^|./|')
	go run ./internal/sfu/bench

fuzz: ## every fuzz target for FUZZTIME (20s)
	for target in $$($(FUZZ_TARGETS)); do \
		echo "$$target"; \
		go test -run '^$$' -fuzz "^$${target#*:}$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x "./$${target%%:*}"; \
	done

screenshots: install ## a picture of every state of the pages, in screenshots/
	go test -count=1 $$($(SCREENSHOT_PACKAGES) | sed 's|^|./|') -screenshots "$$PWD/screenshots"

# The tests that take the screenshots for the pictures of the documents. tools/pictures lists these
# pictures.
PICTURE_STATES := signed-out|no-obs|obs-password|not-set-up|setting-up|live|live-wrong|refused
PICTURES := TestEveryState/127/^($(PICTURE_STATES))$$|TestTheWholeRoad$$|TestAPhoneSignsInTheDock|TestATestPictureWithoutOBS|TestARehearsalFindsWhatIsWrong|TestTheConsoleHoldsWhatWasAskedFor|TestLiveShowsWhoIsThere
PICTURES_OF_STAGES := TestAGuestByLink|TestOneConnectionToOBSServesBothTabs

pictures: ## take the pictures of the documents again, in docs/pictures
	rm -rf .cache/pictures
	go test -count=1 ./internal/web/docktest -run '$(PICTURES)' -screenshots "$$PWD/.cache/pictures"
	go test -count=1 ./internal/web/stagetest -run '$(PICTURES_OF_STAGES)' \
		-screenshots "$$PWD/.cache/pictures" -guest-screenshots "$$PWD/.cache/pictures"
	go run ./tools/pictures .cache/pictures docs/pictures

site: ## the documents as a site with search, in site/; SITE_BASE=/docs/ for another folder of its server
	node_modules/.bin/vitepress build tools/site

build: ## the program, bin/stagedoor: static and stripped
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X github.com/stagedoor/stagedoor/internal/app.Version=$(VERSION)' -o bin/stagedoor ./cmd/stagedoor

lambda: ## the function for AWS Lambda, dist/lambda/bootstrap (arm64)
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -trimpath -tags lambda.norpc -ldflags '-s -w -X github.com/stagedoor/stagedoor/internal/app.Version=$(VERSION)' -o dist/lambda/bootstrap ./cmd/stagedoor

dist: ## a release in dist/: binaries, packages, images, bills of materials, checksums
	go -C tools/dist run . -root "$$PWD" -out "$$PWD/dist"

check-dist: ## build a release for one platform twice, and compare the bytes
	go -C tools/dist vet ./...
	go -C tools/dist test -count=1 ./...

check-packages: ## test the packages in a clean Debian, the image, and that builds are reproducible (as root, with debootstrap)
	tools/check-packages

check-upgrade: ## run a server of the commit or tag BEFORE beside servers of this one
	go test -count=1 -v -run TestTheVersionBeforeRunsBeside ./internal/app -before "$(BEFORE)"

clean: ## remove what make builds, except .cache and node_modules
	rm -rf bin dist screenshots site
