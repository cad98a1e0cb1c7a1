#!/usr/bin/env bash
# What needs a GPU, in one run: correctness, memory safety, speed. For a machine with CUDA, PyTorch, wgpu, Numba, Pillow and pytest;
# nothing is installed or downloaded.
#
#   benchmarks/gpu_check.sh [FOLDER]      logs and results.json go there (default build/gpu_check); PYTHON=... chooses the interpreter
#
# PARTS="kernels gpu speed card card-speed render memcheck racecheck" chooses some of them. Exit code 0 where every check passed.
# Speeds are reported, never judged. "render" needs SCENES, a folder that benchmarks/render_card.py made, and BPY_PYTHON, a Python
# that has bpy (default: the same).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
folder=${1:-build/gpu_check}
mkdir -p "$folder"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

failed=()
part() { # NAME SECONDS COMMAND...
    local name=$1 seconds=$2
    shift 2
    [[ " ${PARTS:-$name} " == *" $name "* ]] || return 0
    printf '\n=== %s\n' "$name"
    timeout "$seconds" "$@" 2>&1 | tee "$folder/$name.log" || failed+=("$name")
}

part "kernels" 150 "$python" -m pytest -q -rs -p no:cacheprovider tests/core/devices/test_choice.py tests/core/devices/test_cuda.py
part "gpu" 200 "$python" -m pytest -q -s -rs -p no:cacheprovider tests/core/devices/test_cuda_gpu.py
part "speed" 220 "$python" benchmarks/gpu_check.py --json "$folder/results.json"
part "card" 150 "$python" -m pytest -q -rs -p no:cacheprovider tests/core/devices/test_gpu.py
part "card-speed" 200 "$python" benchmarks/card_check.py --json "$folder/card.json"
if [[ -n ${SCENES:-} ]]; then
    part "render" 420 "${BPY_PYTHON:-$python}" benchmarks/render_card.py time "$SCENES" --on CUDA OPTIX EEVEE --json "$folder/render.json"
fi
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
        part "$tool" 120 compute-sanitizer --tool "$tool" --error-exitcode 9 "$python" benchmarks/gpu_check.py --small-fit
    done
else
    printf '\n=== compute-sanitizer is not on this machine: memcheck and racecheck were not run\n'
fi

if [[ ${#failed[@]} != 0 ]]; then
    printf '\nFAILED: %s\n' "${failed[@]}"
    exit 1
fi
printf '\nall passed\n'
