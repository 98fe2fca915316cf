# One place for every command. `make run` and `make test` do all their own set-up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SYSTEM := $(shell uname -s | sed 's/Darwin/macos/;s/Linux/linux/')

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-pair setup-train run test check bench bench-store bench-api bench-engine bench-demo-models bench-chat bench-stt bench-speech-out bench-images bench-memory bench-soak soak-once bench-start bench-pair bench-promote bench-failover bench-vip chaos-pair chaos-pair-once chaos-pair-update chaos-consult-pair pair-trials sim-cluster eval-notes train-demo train-smoke samples chaos-consult chaos-engines parity-faces bench-faces mac-acceptance pkg pkg-wheels pkg-verify update-bundle pkg-release lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.run-ready ## install what the appliance needs (system packages by apt when root)
setup-pair: $(VENV)/.pair-ready ## the same, and what a pair on one machine needs (etcd)
setup-dev: $(VENV)/.dev-ready ## the same, and what tests and checks need

$(VENV)/.run-ready: requirements/packages-run.txt $(wildcard requirements/*.lock) pyproject.toml tools/setup.sh
	@bash tools/setup.sh run $(PYTHON)
	@touch $@

$(VENV)/.pair-ready: requirements/packages-pair.txt $(VENV)/.run-ready
	@bash tools/setup.sh pair $(PYTHON)
	@touch $@

$(VENV)/.dev-ready: requirements/packages-test.txt $(VENV)/.run-ready
	@bash tools/setup.sh dev $(PYTHON)
	@touch $@

run: setup$(if $(PAIR),-pair) ## start a node and play both sample consults through it; stays up until Ctrl-C (PORT=, HOME_DIR=). PAIR=1: two nodes, one dies
	@$(BIN)/prontuario demo --home $(or $(HOME_DIR),.run/$(if $(PAIR),pair,node)) --port-base $(or $(PORT),8443) $(if $(PAIR),--pair)

test: setup-dev ## run every test
	@$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder $(ARGS)

check: setup-dev ## formatting, lint, types, import rules, sizes
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python tools/sizes.py

setup-train: $(VENV)/.train-ready ## what training the demonstration models needs: PyTorch (gigabytes on Linux, its wheels bring CUDA)
$(VENV)/.train-ready: requirements/packages-train.txt $(VENV)/.dev-ready
	@echo "== installing PyTorch into $(VENV): a download of some gigabytes on Linux"
	@$(BIN)/python -m pip install --quiet -r requirements/packages-train.txt
	@touch $@

train-demo: setup-train ## train both demonstration models anew and export them (WORK=.run/train, PRESET=full or ten-minutes)
	@$(TOOL) speech-pool --work $(TRAINING) --preset $(PRESET_) && $(TOOL) train-speech --work $(TRAINING) --preset $(PRESET_)
	@$(if $(filter second,$(LAST_LEG)),$(TOOL) train-speech --work $(TRAINING) --preset second)
	@$(TOOL) train-notes --work $(TRAINING) --preset $(PRESET_)
	@$(TOOL) export-speech --work $(TRAINING) --preset $(LAST_LEG) && $(TOOL) export-notes --work $(TRAINING) --preset $(PRESET_)
TOOL     = $(BIN)/python -m tools.demo_models
TRAINING = $(or $(WORK),.run/train)
PRESET_  = $(or $(PRESET),full)
LAST_LEG = $(if $(filter full,$(PRESET_)),second,$(PRESET_))

train-smoke: setup-train ## train both for under a minute each and compare with the recorded loss curves
	@$(BIN)/python -m pytest -q -rs tests/tools/demo_models/test_training_smoke.py

samples: setup-dev ## make the two sample consults again from their seeds
	@$(TOOL) samples

eval-notes: setup-dev ## score a folder of gold transcript/note pairs through a chat model (DIR=, HOME_DIR= of the node to take it from)
	@[ -n "$(DIR)" ] || { echo "say make eval-notes DIR=folder (make one: $(TOOL) gold --out folder)"; exit 2; }
	@$(TOOL) eval-notes "$(DIR)" $(if $(HOME_DIR),--home "$(HOME_DIR)")

bench: bench-store bench-engine bench-api ## run the three benches

bench-store: setup-dev ## acknowledged writes a second, against autocommit
	@$(BIN)/python bench/bench_store.py
bench-api: setup-dev ## CPU per request, against FastAPI + uvicorn
	@$(BIN)/python bench/bench_api.py
bench-engine: setup-dev ## the engine channel, and chat through the whole API against BatchGenerator
	@$(BIN)/python bench/bench_engine.py
bench-chat: setup-dev ## chat through the whole API, against mlx_lm.server and BatchGenerator (STREAMS=1,8,32,64,200)
	@$(BIN)/python bench/bench_chat.py $(if $(STREAMS),--streams $(STREAMS))
bench-stt: setup-dev ## many people's speech at once, against mlx_whisper alone and in many processes (USERS=1,16,64)
	@$(BIN)/python bench/bench_stt.py $(if $(USERS),--users $(USERS))
bench-speech-out: setup-dev ## time to the first sound of a text read aloud, against espeak-ng alone
	@$(BIN)/python bench/bench_speech_out.py
bench-faces: setup-dev ## faces verified a second through the engine, against onnxruntime alone
	@$(BIN)/python bench/bench_faces.py
bench-images: setup-dev ## pictures a second through the image model's child, against the model called directly (FRAMES=500)
	@$(BIN)/python bench/bench_images.py $(if $(FRAMES),--frames $(FRAMES))
bench-memory: setup-dev ## resident memory over half an hour of mixed load with cancels (MINUTES=30)
	@$(BIN)/python bench/bench_memory.py $(if $(MINUTES),--minutes $(MINUTES))
bench-soak: setup-dev ## 200 phones on one node for an hour: times, errors, memory, uptime, everything read back (MIN=60)
	@$(BIN)/python bench/bench_soak.py --minutes $(or $(MIN),60)
soak-once: setup-dev ## the same for ten minutes beside other work: fails on loss, errors or growth, never on a time (MIN=10)
	@nice -n 5 $(BIN)/python bench/bench_soak.py --minutes $(or $(MIN),10) --dictating 1 --no-timing
bench-start: setup-dev ## a start to ready, restarts of core under 50 phones, memory at rest; against Quart+Hypercorn's hello (STARTS=5 RESTARTS=5)
	@$(BIN)/python bench/bench_start.py --starts $(or $(STARTS),5) --restarts $(or $(RESTARTS),5)
bench-demo-models: setup-dev ## what the demonstration models hear and write right, against the sequential reference (SENTENCES=300 CONSULTS=200)
	@$(BIN)/python bench/bench_demo_models.py --sentences $(or $(SENTENCES),300) --consults $(or $(CONSULTS),200)
chaos-consult: setup-dev ## kill -9 core at random moments of a consult (ROUNDS=20, SEED=)
	@$(BIN)/python bench/chaos_consult.py --rounds $(or $(ROUNDS),20) $(if $(SEED),--seed $(SEED))

chaos-engines: setup-dev ## break engines in the middle of 200 streams; how the record, the streams and the lanes fare (ROUNDS=2 STREAMS=200)
	@$(BIN)/python bench/chaos_engines.py $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(STREAMS),--streams $(STREAMS))

bench-pair: setup-dev ## writes acknowledged on both nodes, against PostgreSQL's synchronous replication (bench/peers_setup.sh first)
	@$(BIN)/python bench/bench_pair.py $(if $(SECONDS_EACH),--seconds $(SECONDS_EACH)) $(if $(MINUTES),--minutes $(MINUTES))
bench-promote: setup-dev ## promotion time against the size of the record
	@$(BIN)/python bench/bench_promote.py
bench-failover: setup-dev ## outages under five faults in network namespaces, against Patroni (root; bench/peers_setup.sh first)
	@$(BIN)/python bench/bench_failover.py --rounds $(or $(ROUNDS),20)
bench-vip: setup-dev ## how long the virtual IP takes to come, move and go (root)
	@$(BIN)/python bench/vip_times.py
chaos-pair: setup-dev ## mixed faults on a pair in network namespaces; lost and overlapping acknowledgements (root; ROUNDS=200)
	@$(BIN)/python bench/chaos_pair.py --rounds $(or $(ROUNDS),200) $(if $(SEED),--seed $(SEED))
chaos-pair-once: setup-dev ## every one of those faults once; fails if a write is lost or the pair does not serve (root; four minutes)
	@$(BIN)/python bench/chaos_pair.py --once $(if $(SEED),--seed $(SEED))
chaos-pair-update: setup-dev ## switch a live pair's version from signed bundles: higher schema, failing gates, kill -9, power loss (root; SCENARIOS=plain,schema SEED= PATIENT=1)
	@$(BIN)/python bench/pair_update.py $(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(SEED),--seed $(SEED)) $(if $(PATIENT),--patient)
pair-trials: setup-dev ## split brain with the old primary alive, and full disks on either node and on both (root)
	@$(BIN)/python bench/pair_trials.py
chaos-consult-pair: setup-dev ## lose the primary's machine at random moments of live consults; it comes back (ROUNDS=20 SEED=)
	@$(BIN)/python bench/consult_losses.py --rounds $(or $(ROUNDS),20) $(if $(SEED),--seed $(SEED))
sim-cluster: setup-dev ## random fault schedules over the real decisions (SCHEDULES=100000 SEED=1 BREAK=rule)
	@$(BIN)/python -m tests.cluster.simulator --schedules $(or $(SCHEDULES),100000) --seed $(or $(SEED),1) $(if $(BREAK),--break $(BREAK))

parity-faces: setup-dev ## the face detector on a real photograph with MTCNN's published weights (fetches two wheels from PyPI)
	@$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .run/parity-faces facenet-pytorch==2.6.0 scikit-image==0.26.0
	@PRONTUARIO_FACE_PARITY=.run/parity-faces $(BIN)/python -m pytest -q -rs tests/plugins/facenet_auth/test_mtcnn.py
mac-acceptance: ## on a Mac: what only a Mac can show (afconvert, keychain, Metal), every test and the benches
	@[ "$(SYSTEM)" = macos ] || { echo "mac-acceptance needs macOS on Apple silicon; this is $(SYSTEM). Nothing was checked."; exit 2; }
	@$(MAKE) check test bench bench-chat bench-stt bench-speech-out bench-images bench-faces bench-memory bench-start bench-soak chaos-consult chaos-engines

pkg: setup-dev ## build the macOS package: VERSION=1.2.3; INPUTS=, OUT=, KEY= and CHAIN= (PEM) to sign it (packaging/README.md)
	@PYTHONPATH=packaging $(BIN)/python -m pkgmake build --version "$(VERSION)" --out $(PKG_OUT) --inputs $(or $(INPUTS),build/pkg/inputs.toml) $(if $(KEY),--key $(KEY)) $(if $(CHAIN),--chain $(CHAIN))
pkg-wheels: setup-dev ## fetch the wheels that the macOS package is made of, hashes checked (once, with the network)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip download --quiet --no-deps --only-binary=:all: --require-hashes --implementation cp --python-version 3.11 --abi cp311 --abi abi3 --abi none $(foreach n,15 14 13 12 11,--platform macosx_$(n)_0_arm64) --platform macosx_10_9_universal2 --requirement requirements/macos-py311.lock --dest build/pkg/wheelhouse
pkg-verify: setup-dev ## prove a package: FILE=…; ROOT=root.pem when it must be signed
	@PYTHONPATH=packaging $(BIN)/python -m pkgmake verify $(FILE) $(if $(ROOT),--root $(ROOT))
update-bundle: setup-dev ## a signed update for a stick: PKG=….pkg FROM=1.2.0 KEY=….key.pem OUT=folder; NOTES_PT= NOTES_EN= TABLES="plugin/path=file …" PACKS="folder …"
	@PYTHONPATH=packaging $(BIN)/python -m updatemake --package "$(PKG)" --from "$(FROM)" --key "$(KEY)" --out "$(OUT)" --notes-pt "$(NOTES_PT)" --notes-en "$(NOTES_EN)" $(foreach one,$(TABLES),--table "$(one)") $(foreach one,$(PACKS),--pack "$(one)")
pkg-release: setup-dev ## on a Mac: sign everything, pack, notarise, staple: VERSION=1.2.3 (DRY=1: only tell the commands)
	@bash packaging/release/release.sh "$(VERSION)" $(PKG_OUT) $(if $(DRY),--dry-run)
PKG_OUT = $(or $(OUT),build/pkg/out)

lock: ## write requirements/*.lock again (needs uv and the network)
	@$(PYTHON) tools/lock.py

clean: ## remove what was built (never a node's home)
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis $(VENV)
