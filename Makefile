# Two commands on a fresh machine with Python 3.10 or newer: `make demo`, `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STILLS ?= docs/demo

.PHONY: demo test install check format gallery bench tables golden fuzz

$(VENV)/.runtime: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch numpy scipy einops safetensors av Pillow tqdm
	touch $@

$(VENV)/.dev: $(VENV)/.runtime pyproject.toml
	$(BIN)/python -m pip install --quiet -c constraints.txt pytest pytest-xdist hypothesis jaxtyping beartype ruff playwright opencv-python-headless ray webdataset requests accelerate 'triton; platform_system == "Linux"'
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps torchvision torch-fidelity cd-fvd
	touch $@

install: $(VENV)/.dev

demo: $(VENV)/.runtime
	mkdir -p out
	$(BIN)/python -m gid_core animate docs/demo/still.png --mask docs/demo/still_mask.png -o out/demo.mp4 --save-spectrum out/demo.safetensors
	$(BIN)/python benchmarks/gallery.py docs/demo -o out
	@echo "The loop is out/demo.mp4; still_sheet.jpg and still_slice.png beside it show its frames and one row over time."

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

gallery: $(VENV)/.runtime
	$(BIN)/python benchmarks/gallery.py $(STILLS) -o out

bench: $(VENV)/.runtime
	$(BIN)/python benchmarks/bench.py

tables: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/tables.py

golden: $(VENV)/.dev
	$(BIN)/python tests/golden/make.py

FUZZED ?= 10000
fuzz: $(VENV)/.dev
	$(BIN)/python tests/fuzz.py --count $(FUZZED)
	$(BIN)/python tests/host/fuzz_nodes.py --count $$(($(FUZZED) / 5))
