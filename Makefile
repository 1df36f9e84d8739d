# Everything runs in a virtual environment of its own (.venv); nothing but Python 3.11+, make and the apt packages
# named in .ci/run is expected.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.PHONY: help install demo test test-slow lint bench weights clean

help:
	@echo "make demo       draw two full-size synthetic exams, read them, and show where the results are"
	@echo "make test       fast tests (under 10 minutes on 2 cores)"
	@echo "make test-slow  whole exams against upstream's recorded results"
	@echo "make lint       ruff and mypy"
	@echo "make weights    train again what ships, on phantoms alone: hours; interrupted, it goes on"
	@echo "make bench      how fast it is here, side by side with a plain torch loop"
	@echo "make install    the package and its tools into $(VENV)"

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

demo: $(READY)
	rm -rf demo
	$(BIN)/fourview phantom --exams 2 --recipe enriched --seed 5 --scale 1 --jobs 2 --out demo/exams
	$(BIN)/fourview phantom show 5 --index 1 --recipe enriched --out demo/planted
	$(BIN)/fourview screen demo/exams --weights phantom --out demo/readings
	@echo
	@echo "Synthetic exams, read by networks that have learned from synthetic exams alone: nothing here holds for patients."
	@echo "Open demo/readings/index.html in a browser; demo/planted/report.html shows what was planted in the second exam."

# Two processes of one thread each: twice as fast as one process of two threads.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist worksteal

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

# What ships, trained again on phantoms alone. Every step goes on where it was stopped; a GPU is used if there is one,
# else two processes of one thread, which are faster than one of two.
WEIGHTS = build/weights
DEVICES ?= $(if $(shell command -v nvidia-smi),--device cuda,--device cpu --devices 2)
POPULATION = --data phantom:training --cache $(WEIGHTS)/data --jobs 2 $(DEVICES)
HEATMAPS ?= $(if $(shell grep -s amx_bf16 /proc/cpuinfo),--precision bf16)
TRAIN = OMP_NUM_THREADS=1 $(BIN)/fourview train
weights: $(READY)
	mkdir -p $(WEIGHTS)
	$(TRAIN) patch phantom $(POPULATION) --out $(WEIGHTS)/patch --storage fp16 --resume
	$(TRAIN) birads phantom $(POPULATION) --out $(WEIGHTS)/birads --resume
	$(BIN)/fourview heatmaps $(WEIGHTS)/data/training-*-seed2000-* --weights $(WEIGHTS)/patch/weights --jobs 2 $(HEATMAPS)
	for seed in 0 1 2; do \
	  $(TRAIN) exam phantom $(POPULATION) --init $(WEIGHTS)/birads/weights --set seed=$$seed --storage fp16 --resume \
	    --set exam.heatmaps=false --out $(WEIGHTS)/image-$$seed && \
	  $(TRAIN) exam phantom $(POPULATION) --init $(WEIGHTS)/birads/weights --set seed=$$seed --storage fp16 --resume \
	    --patch $(WEIGHTS)/patch/weights --out $(WEIGHTS)/heatmaps-$$seed || exit; \
	done
	rm -rf $(WEIGHTS)/phantom $(WEIGHTS)/phantom-image
	$(TRAIN) ensemble $(WEIGHTS)/heatmaps-* --out $(WEIGHTS)/phantom
	$(TRAIN) ensemble $(WEIGHTS)/image-* --out $(WEIGHTS)/phantom-image
	$(BIN)/fourview phantom --exams 2000 --recipe benchmarks/lesion_recipes/population.toml --difficulty easy --seed 9100 \
	  --scale 0.25 --format store --jobs 2 --out $(WEIGHTS)/lesions --resume
	OMP_NUM_THREADS=1 $(BIN)/fourview lesion train benchmarks/lesion_recipes/networks.toml --data $(WEIGHTS)/lesions \
	  --fold 1 --out $(WEIGHTS)/phantom-lesion --resume

bench: $(READY)
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.million

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache
