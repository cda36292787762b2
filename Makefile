# SPDX-License-Identifier: GPL-3.0-or-later
# The two commands of this repository: `make demo` and `make test`. Each sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CPP := $(shell git ls-files 'firmware/*.cpp' 'firmware/*.hpp' 'firmware/*.h' | grep -v -e can_tables.hpp)
TIDY := evcan evcore evdiagnostics evhealth evnet evnvs evupdate

.PHONY: demo test packages lint types imports generated unit prove chaos kills heap typecheck-esp32 mutants generate \
  format bench clean

demo: $(READY)
	$(BIN)/evtool demo

test: $(READY) packages lint types imports generated unit

# The report and the CSMS's page are tested in a real browser, the handshakes with a real mbedTLS. Root on Debian
# installs them; elsewhere those tests skip and say what is missing.
packages:
	@{ command -v chromium >/dev/null && [ -e /usr/include/mbedtls/ssl.h ]; } \
	  || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
	  || { apt-get update -qq \
	    && apt-get install -qq -y --no-install-recommends chromium libmbedtls-dev; } >/dev/null \
	  || echo "chromium or libmbedtls-dev could not be installed: the tests that need it will skip"

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "evtool needs Python 3.11 or newer; name one with PYTHON=..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	printf '%s\n' $(foreach each,$(TIDY),firmware/lib/$(each)/src/*.cpp) \
	  | xargs -P 2 -n 4 $(BIN)/clang-tidy --quiet --warnings-as-errors='*' --extra-arg=-std=c++17 \
	  $(foreach each,$(TIDY) evidentity,--extra-arg=-Ifirmware/lib/$(each)/include)

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

generated: $(READY)
	$(BIN)/evtool codegen --only can-tables --only controller-config --check
	$(BIN)/python -m evtool.cli.render_help | diff -u evtool/cli/help_text.py -

# Hundreds of programs start in a test run; each would compile its modules anew without the cache.
unit: $(READY)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses=auto --dist=loadgroup

# The long halves of docs/proof.md; `make test` runs the short ones.
prove: $(READY)
	PYTHONPATH=tests $(BIN)/python -m proof.exploration

# Hours of a charge point's life with the real MicroOcpp, in which everything goes wrong
# (docs/host-program.md). PROGRAM was built with --env host_asan --microocpp DIR.
HOURS ?= 2
SEED ?= 1
chaos: $(READY)
	@test -x "$(PROGRAM)" || { echo "make chaos PROGRAM=build/host_asan/program [HOURS=2] [SEED=1];" \
	  "build it with: evtool build --env host_asan --microocpp DIR"; exit 2; }
	PYTHONPATH=tests $(BIN)/python -m microocpp.chaos --program $(PROGRAM) --hours $(HOURS) --seed $(SEED)

# A fleet's run and a rotation, killed at every one of their writes (docs/fleet-run.md); a quarter of an hour.
# LEDGER may be postgresql+psycopg://HOST/AN_EMPTY_DATABASE.
LEDGER ?=
kills: $(READY)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && for action in run rotate; do \
	  PYTHONPATH=tests $(BIN)/python tests/fleet_lives.py "$(or $(LEDGER),$$folder/$$action.db)" \
	  "$$folder/project" $$action || exit 1; done

# The heap of the firmware over many charges (docs/host-program.md).
CHARGES ?= 300
heap: $(READY)
	@test -x "$(PROGRAM)" || { echo "make heap PROGRAM=build/host/program [CHARGES=300];" \
	  "build it with: evtool build --env host --microocpp DIR"; exit 2; }
	PYTHONPATH=tests $(BIN)/python -m microocpp.heap --program $(PROGRAM) --charges $(CHARGES)

# The ESP32's own sources against the real headers, which are not part of this repository.
typecheck-esp32: $(READY)
	@test -d "$(ARDUINO_ESP32)" -a -d "$(ESP32_LIBRARIES)" \
	  || { echo "make typecheck-esp32 ARDUINO_ESP32=DIR ESP32_LIBRARIES=DIR: a checkout or package of" \
	  "Arduino-ESP32 2.0.x, and a folder with MicroOcpp, ArduinoJson and WebSockets"; exit 2; }
	EVTOOL_ARDUINO_ESP32=$(ARDUINO_ESP32) EVTOOL_ESP32_LIBRARIES=$(ESP32_LIBRARIES) \
	  $(BIN)/python -m pytest --numprocesses=auto -q tests/unit/test_esp32_types.py

mutants: $(READY)
	PYTHONPATH=tests $(BIN)/python -m mutation.run
	PYTHONPATH=tests $(BIN)/python -m mutation.fuzz_run --planted

generate: $(READY)
	$(BIN)/evtool codegen --only can-tables --only controller-config
	$(BIN)/python -m evtool.cli.render_help > help_text.new && mv help_text.new evtool/cli/help_text.py

format: $(READY)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .
	$(BIN)/clang-format -i $(CPP)

bench: $(READY)
	$(BIN)/python tests/benchmarks/startup.py
	PYTHONPATH=tests $(BIN)/python -m benchmarks.simulated_hour
	$(BIN)/python tests/benchmarks/parity_fuzz.py
	PYTHONPATH=tests $(BIN)/python -m benchmarks.validation
	PYTHONPATH=tests $(BIN)/python -m benchmarks.pair
	PYTHONPATH=tests $(BIN)/python -m benchmarks.fleet
	PYTHONPATH=tests $(BIN)/python -m benchmarks.virtual_boards
	PYTHONPATH=tests $(BIN)/python -m benchmarks.flashing
	PYTHONPATH=tests $(BIN)/python -m benchmarks.nvs_images
	PYTHONPATH=tests $(BIN)/python -m benchmarks.monitors
	PYTHONPATH=tests $(BIN)/python -m benchmarks.ledger
	PYTHONPATH=tests $(BIN)/python -m benchmarks.provision_units

clean:
	rm -rf $(VENV) build firmware/.pio
