# make demo: see it work.  make test: everything a change must pass.  make help: the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
# The torch that `make test` installs: a requirement or the path of a wheel,
# e.g. make test TORCH=~/wheels/torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl
TORCH ?= $(shell grep '^torch==' constraints.txt)
# A prepared environment instead of build/venv: make test BIN=/path/of/venv/bin
BIN ?= build/venv/bin

STAGES := calib cli core export runtime train
EXTRAS := train,export,calib,metrics,rtx,dev
SHIPPED := edge-n edge-s
LINKS := PYTHONPATH=$(CURDIR)/build/links
SOURCES := $(shell find $(STAGES) -type f -not -name '*.pyc')
PIP_FLAGS := --disable-pip-version-check --quiet

# What the two targets for a GPU want on top; pycuda is compiled with the CUDA toolkit's nvcc.
# With TensorRT itself, which TensorRT-RTX of EXTRAS stands in for where it can: GPU_EXTRAS=tensorrt
GPU_EXTRAS ?= cuda

# The stamps' names carry what was chosen, so that another TORCH or other EXTRAS install again.
NUMBER_OF = $(shell printf '%s' "$(1)" | cksum | cut -d ' ' -f 1)
STAMP := build/venv/.installed-$(call NUMBER_OF,$(TORCH) $(EXTRAS))
GPU_STAMP := $(STAMP)-gpu-$(call NUMBER_OF,$(GPU_EXTRAS))
ifeq ($(origin BIN),file)
READY := $(STAMP)
GPU_READY := $(GPU_STAMP)
endif

# Folders of these names exist: without this line make would say "up to date".
.PHONY: help demo test test-gpu gpu-check lint types links format bundles calibrated-bundles sample tree clean calib cli core export runtime train

help:  ## print this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

demo: build/venv-demo/.installed  ## restore the sample clip with the base install only
	@env -u PYTHONPATH build/venv-demo/bin/python examples/demo.py

test: lint types  ## lint, types, import contracts and all CPU tests
	CUDA_VISIBLE_DEVICES= $(LINKS) $(BIN)/python -m pytest -m "not gpu"

test-gpu: links $(GPU_READY)  ## the tests that need an NVIDIA GPU; no GPU is a failure
	CRISPSTREAM_REQUIRE_GPU=1 $(LINKS) $(BIN)/python -m pytest -m gpu tests/gpu

gpu-check: links $(GPU_READY)  ## build, judge and time everything on this GPU; one record in benchmarks/results
	$(LINKS) $(BIN)/python -m benchmarks.gpu_check

lint: links $(READY)  ## style and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(LINKS) $(BIN)/lint-imports --no-logo

types: links $(READY)  ## mypy, strict
	$(BIN)/python -m mypy

format: $(READY)  ## rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

links:  # build/links/crispstream/<stage> -> <stage>: the package without an install
	@mkdir -p build/links/crispstream
	@for stage in $(STAGES); do ln -sfn "$(CURDIR)/$$stage" build/links/crispstream/$$stage; done

bundles: links $(READY)  ## export and calibrate the shipped bundles again from train/weights
	@for name in $(SHIPPED); do \
		$(LINKS) $(BIN)/python -m crispstream.cli.main export train/weights/$$name.safetensors -o build/bundles/$$name --licence CC-BY-SA-4.0 --overwrite && \
		$(LINKS) $(BIN)/python -m crispstream.cli.main calibrate build/bundles/$$name --ranges runtime/bundles/$$name/calibration/ranges.json --layers runtime/bundles/$$name/calibration/plan.json -o runtime/bundles/$$name --overwrite || exit 1; \
	done

# New weights need new ranges: SET is a calibration set, see examples/make_calibration_frames.py.
calibrated-bundles: links $(READY)  ## the same with ranges and plan measured: SET=folder
	@for name in $(SHIPPED); do \
		$(LINKS) $(BIN)/python -m crispstream.cli.main export train/weights/$$name.safetensors -o build/bundles/$$name --licence CC-BY-SA-4.0 --overwrite && \
		$(LINKS) $(BIN)/python -m crispstream.cli.main calibrate build/bundles/$$name --set $(SET) --plan -o runtime/bundles/$$name --overwrite || exit 1; \
	done

sample: links $(READY)  ## make the sample clip again: make sample CLIP=240fps.mp4
	$(LINKS) $(BIN)/python examples/make_sample.py $(CLIP)

tree: $(READY)  ## write the file tree of README.md again
	$(BIN)/python tests/helpers/tree.py

clean:  ## remove everything that make built
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Old modules in setuptools' build folder would be shipped again: empty it first.
build/venv-demo/.installed: pyproject.toml constraints.txt $(SOURCES)
	@echo "preparing build/venv-demo: the base install, once"
	@test -x build/venv-demo/bin/python || $(PYTHON) -m venv build/venv-demo
	@rm -rf build/setuptools
	@build/venv-demo/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt .
	@touch $@

# TORCH is the pin of torch here, so that another build than the tested one can be chosen.
$(STAMP): pyproject.toml constraints.txt
	@echo "preparing build/venv: $(TORCH) and the extras $(EXTRAS), once"
	@test -x build/venv/bin/python || $(PYTHON) -m venv build/venv
	@rm -rf build/setuptools build/venv/.installed-*
	@grep -v '^torch==' constraints.txt > build/constraints.txt
	@build/venv/bin/python -m pip install $(PIP_FLAGS) -c build/constraints.txt "$(TORCH)" -e ".[$(EXTRAS)]"
	@touch $@

$(GPU_STAMP): $(STAMP)
	@echo "adding to build/venv: the extras $(GPU_EXTRAS) for a GPU, once"
	@build/venv/bin/python -m pip install $(PIP_FLAGS) -c build/constraints.txt -e ".[$(GPU_EXTRAS)]"
	@touch $@
