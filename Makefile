# Everything here is a short name for a script or a cargo command.
.DEFAULT_GOAL := help
.PHONY: help up test browser-test api-test lint fmt web bench sample-users seed-data fuzz clean-local

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

up: ## build and start everything on this machine; Ctrl-C stops it
	@scripts/up.sh

test: ## all tests, with a PostgreSQL and an Envoy of their own; T="name" for some of them
	@scripts/test.sh $(T)

browser-test: ## the page: its unit tests, and in a headless Chromium through Envoy
	@scripts/web.sh test
	@scripts/browser-test.sh $(T)

api-test: ## hold the description of the API against what Envoy answers; T=7 makes other requests
	@scripts/api-test.sh $(T)

fuzz: ## files of every kind into the reader of imports; FUZZ_SECONDS=600 for longer
	@scripts/fuzz.sh

lint: ## check format, code, proto files, licences and scripts
	@scripts/lint.sh

fmt: ## format the Rust code
	cargo fmt

web: ## build the page alone; the program takes it in when it is built next
	@scripts/web.sh

bench: ## measure; BENCH_ARGS="..." are the arguments
	cargo bench --bench table -- $(BENCH_ARGS)

sample-users: ## write made-up users with known faults to users.xlsx; ROWS=50000 SEED=1 FILE=users.xlsx
	@cargo run -q --profile up -- sample-users --rows $(or $(ROWS),50000) --seed $(or $(SEED),1) $(or $(FILE),users.xlsx)

seed-data: ## make data/*.csv anew
	python3 data/generate.py

clean-local: ## stop what make up left running and delete .local, its database too
	@scripts/clean-local.sh
