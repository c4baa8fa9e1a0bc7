# Everything a person does here. Each target makes .venv and installs what is missing by itself.
.DEFAULT_GOAL := help
.PHONY: help install app demo-app test test-vllm lint bench demo demo-sl demo-controls demo-hacking \
	demo-model recordings screenshots

PY := .venv/bin/python
# The demo model and the tests run beside other work: more threads lose more than they gain.
export OMP_NUM_THREADS ?= 1

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install:  ## Make .venv and install the application (with vLLM where there is an NVIDIA GPU)
	@scripts/setup.sh app

app: install  ## Open the workbench on http://127.0.0.1:8501
	@exec $(PY) -m streamlit run app.py $(ARGS)

demo-app: install  ## Tell the story in five screens, read-only (docs/demo.md), on http://127.0.0.1:8501
	@CAI_DEMO=1 exec $(PY) -m streamlit run app.py $(ARGS)

# Files side by side, one for each of two cores; a browser wants the machine for itself.
test:  ## Run every test, a real browser included (ARGS="tests/pages -k stop" for some)
	@scripts/setup.sh dev
	@CAI_BROWSER="$(CAI_BROWSER)" scripts/browser.sh
ifeq ($(strip $(ARGS)),)
	@CAI_BROWSER="$(CAI_BROWSER)" $(PY) -m pytest -n 2 --dist loadfile --ignore tests/browser
	@CAI_BROWSER="$(CAI_BROWSER)" $(PY) -m pytest tests/browser
else
	@CAI_BROWSER="$(CAI_BROWSER)" $(PY) -m pytest $(ARGS)
endif

test-vllm:  ## Run the keeper's and the contract tests against a real vLLM (a CPU build; 3 GB)
	@scripts/setup.sh dev
	@[ -n "$$CAI_VLLM_PYTHON" ] || scripts/vllm_env.sh
	@CAI_REQUIRE_VLLM=1 nice -n 10 $(PY) -m pytest $(or $(ARGS),tests/contract tests/vllm)

lint:  ## Check style, format and types
	@scripts/setup.sh dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

bench: install  ## Run every benchmark; each prints one JSON line
	@for script in benchmarks/[a-z]*.py; do \
		[ ! -e "$$script" ] || $(PY) "$$script" || exit 1; done

demo-sl: install  ## SL-CAI with the demo model: harm before and after, by the oracle (minutes)
	@$(PY) -m scripts.demo_sl

demo-controls: install  ## SL-CAI and RL-CAI beside two controls each, at equal budget
	@$(PY) -m scripts.demo_sl --controls
	@$(PY) -m scripts.demo --controls

demo-hacking: install  ## RL against rewards that can be hacked, and the alarms that stop it
	@$(PY) -m scripts.demo_hacking

demo: install  ## The whole loop with the demo model: SL-CAI, labels, reward model, RL, DPO (minutes)
	@$(PY) -m scripts.demo

demo-model: install  ## Train the demo model again, from scratch (under an hour on two cores)
	@$(PY) -m cai_core demo train --out $(or $(OUT),data/models/demo-new) $(ARGS)

recordings: install  ## Record the chains that a first visit shows, with the demo model
	@$(PY) scripts/recordings.py

screenshots:  ## Take docs/pictures from the running app
	@scripts/setup.sh dev
	@CAI_BROWSER="$(CAI_BROWSER)" scripts/browser.sh
	@CAI_BROWSER="$(CAI_BROWSER)" $(PY) scripts/screenshots.py
