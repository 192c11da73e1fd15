# Every target makes .venv itself, with python3 and pip alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# What was tested, for Python 3.11. Without it, the newest of everything: make CONSTRAINTS= ...
CONSTRAINTS ?= constraints.txt
PINNED := $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
# They keep up with YouTube, and are never pinned. constraints.txt is made by these programs.
UNPINNED := yt-dlp yt-dlp-ejs deno bgutil-ytdlp-pot-provider
# A person at a terminal sees what pip does; a log does not have it.
QUIET := $(shell test -t 2 || echo --quiet)
SOURCES ?= sources.txt
PROCESSOR ?= audio

.PHONY: help demo run test slow lint docs audit bench chaos uploads outage soak image clean mutations mutate endurance power constraints azurite

help:  ## What can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "Installing what is needed into $(VENV): a minute or two, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install $(QUIET) $(PINNED) --editable . --group dev --group docs
	@touch $@

demo: $(INSTALLED)  ## The promise on this machine: two workers, a small media site, one of them is killed
	$(BIN)/python -m examples.demo demo

run: $(INSTALLED)  ## List and process SOURCES (sources.txt) with PROCESSOR (audio), on the embedded queue
	@test -e "$(SOURCES)" || \
		{ echo "There is no $(SOURCES). A gentle start, with three videos: cp sources.example.txt $(SOURCES)" >&2; exit 2; }
	$(BIN)/ydc run --sources "$(SOURCES)" --processor "$(PROCESSOR)"

test: $(INSTALLED)  ## The tests, but for the slow ones
	$(BIN)/python -m pytest -n 2 -m "not slow"

slow: $(INSTALLED)  ## The slow tests: processes that are killed, recorded YouTube, deployments
	$(BIN)/python -m pytest -n 2 -m slow

lint: $(INSTALLED)  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(INSTALLED)  ## The documentation as a site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

audit: $(INSTALLED)  ## Ask the package index for known holes of what is installed
	$(BIN)/python -m pip install --quiet --group audit
	$(BIN)/python -m pip freeze --exclude-editable | \
		$(BIN)/pip-audit --requirement /dev/stdin --no-deps --disable-pip --strict $(AUDIT)

bench: $(INSTALLED)  ## Speed and memory, compared in one run, into docs/figures.md
	$(BIN)/python -m pip install --quiet --group bench
	.ci/with-postgresql $(BIN)/python -m benchmarks $(BENCH)

chaos: $(INSTALLED)  ## Ten minutes of kills, freezes, full disks and dropped connections for real processes
	$(BIN)/python -m tests.chaos --minutes 10

uploads: $(INSTALLED)  ## 1,000 kills of processes that publish files in object storage: a quarter of an hour
	$(BIN)/python -m tests.chaos.uploads --kills 1000

outage: $(INSTALLED)  ## A fleet whose Prefect server restarts, then is away for 6 minutes: a quarter of an hour
	$(BIN)/python -m tests.acceptance.outage

mutations: $(INSTALLED)  ## Mistakes made in the real code, each of which simulated fleets must notice
	$(BIN)/python -m tests.simulation mutations --seeds 100

mutate: $(INSTALLED)  ## Small mistakes in the rules of the queue by a tool, which tests must notice: hours; or MUTATE=queue/lifecycle.py
	$(BIN)/python -m pip install --quiet --group mutate
	$(BIN)/python -m tools.mutate $(MUTATE)

endurance: $(INSTALLED)  ## An hour of `ydc run` at full speed on each store: does its process grow? ENDURANCE="--minutes 5 sqlite"
	.ci/with-postgresql $(BIN)/python -m tests.acceptance.endurance $(ENDURANCE)

power: $(INSTALLED)  ## How surely `ydc doctor --thorough` finds a Google that does not serialise batches
	$(BIN)/python -m tests.support.doctor_power

soak: $(INSTALLED)  ## Simulated fleets, one after the other, until interrupted
	$(BIN)/python -m tests.simulation soak

azurite:  ## Install Azurite, with npm, for the tests of az://; they are skipped without it
	npm install --no-audit --no-fund --prefix build/azurite azurite@3

constraints:  ## Pin the newest of everything in constraints.txt; run .ci/run before you commit it
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed: make PYTHON=python3.11 constraints")'
	$(PYTHON) -m venv --clear build/newest
	build/newest/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	build/newest/bin/python -m pip install --quiet ".[postgresql,tokens,storage,aws]" --group dev --group docs --group bench
	{ echo "# What was tested, on Python 3.11. Made by: make constraints"; \
		build/newest/bin/python -m pip freeze $(addprefix --exclude ,youtube-download-coordinator $(UNPINNED)); } > constraints.txt

image:  ## The container's image, and a start of each of its commands; needs Docker
	deploy/build_image

clean:  ## Remove what was made, but for the queue and its files
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
