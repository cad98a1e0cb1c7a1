# make demo [BLEND=scene.blend]   compress a scene and show it before and after: build/demo
# make test                       every test
# make gui-test                   the built extension in a real window: BLENDER="command" make gui-test
# make extension [PLATFORMS=...]  one zip per platform: build/extension
# make dev-link                   this checkout as an extension of the Blender versions on this machine
# Each sets itself up in .venv. PYTHON=... chooses the interpreter (CPython 3.11 or 3.13), VENV=... the environment.

VENV ?= .venv
export VENV PYTHON BLEND

.PHONY: demo test gui-test extension dev-link clean

demo:
	@test -z "$$BLEND" || test -f "$$BLEND" || \
	    { echo "error: $$BLEND: file not found; name a scene: make demo BLEND=/path/scene.blend" >&2; exit 1; }
	@bash tools/setup.sh blender
	@"$$VENV/bin/python" tools/demo.py

test:
	@bash tools/setup.sh blender,test
	"$$VENV/bin/python" -m pytest

gui-test: extension
	@bash tools/setup.sh blender,test
	"$$VENV/bin/python" -m pytest -rs tests/gui

extension:
	@bash tools/setup.sh blender
	@"$$VENV/bin/python" tools/extension.py $(PLATFORMS)

dev-link:
	@bash tools/setup.sh blender
	@"$$VENV/bin/python" tools/extension.py --dev-link

clean:
	rm -rf build
