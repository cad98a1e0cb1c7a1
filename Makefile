# make demo [BLEND=scene.blend]   compress a scene and show it before and after: build/demo
# make test [JOBS=2]              every test, in this many processes
# make lint                       ruff's checks, its format, and the types: all that must pass beside the tests
# make format                     let ruff format every file
# make types                      the types alone, by mypy
# make gui-test                   the built extension in a real window: BLENDER="command" make gui-test
# make fuzz [MINUTES=60]          damaged streams and images, for as long as you like
# make crash-test [KILLS=60]      kills, full disks, two at once: what is left
# make extension [PLATFORMS=...]  the zips, one for each platform and Python: build/extension
# make extension LISTED=1         those for extensions.blender.org: build/listing
# make pictures                   the pictures of its page there: build/listing
# make dev-link                   this checkout as an extension of the Blender versions on this machine
# make clean                      remove build/
# Each sets itself up in .venv. PYTHON=... chooses the interpreter (CPython 3.11 or 3.13), VENV=... the environment.

VENV ?= .venv
JOBS ?= 2
MINUTES ?= 60
KILLS ?= 60
export VENV PYTHON BLEND

.PHONY: help demo test lint format types gui-test fuzz crash-test extension pictures dev-link clean

help:
	@sed -n 's/^# //p' Makefile

demo:
	@test -z "$$BLEND" || test -f "$$BLEND" || \
	    { echo "error: $$BLEND: file not found; name a scene: make demo BLEND=/path/scene.blend" >&2; exit 1; }
	@bash tools/setup.sh blender
	@"$$VENV/bin/python" tools/demo.py

test:
	@bash tools/setup.sh blender,test
	"$$VENV/bin/python" -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

lint:
	@bash tools/setup.sh blender,test
	"$$VENV/bin/python" -m ruff check .
	"$$VENV/bin/python" -m ruff format --check .
	"$$VENV/bin/python" -m mypy

format:
	@bash tools/setup.sh blender,test
	"$$VENV/bin/python" -m ruff format .

types:
	@bash tools/setup.sh blender,test
	"$$VENV/bin/python" -m mypy

gui-test: extension
	@bash tools/setup.sh blender,test
	"$$VENV/bin/python" -m pytest -rs tests/gui

fuzz:
	@bash tools/setup.sh blender,test
	"$$VENV/bin/python" -m tests.fuzz.long --minutes $(MINUTES) --processes $(JOBS)

crash-test:
	@bash tools/setup.sh blender,test
	"$$VENV/bin/python" -m tests.crash.campaign --kills $(KILLS)

extension:
	@bash tools/setup.sh blender
	@"$$VENV/bin/python" tools/extension.py $(PLATFORMS) $(if $(LISTED),--listed)

pictures:
	@bash tools/setup.sh blender
	@"$$VENV/bin/python" tools/pictures.py

dev-link:
	@bash tools/setup.sh blender
	@"$$VENV/bin/python" tools/extension.py --dev-link

clean:
	rm -rf build
