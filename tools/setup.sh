#!/usr/bin/env bash
# Sets up the environment of `make demo`, `make test` and the rest, and stops with one clear line where it can't:
#
#   tools/setup.sh EXTRAS            system libraries, then $VENV (default .venv) with imagegs-blender[EXTRAS]
#   tools/setup.sh --python VERSION  prints the path of a CPython of that version, or fails
#
# PYTHON=... chooses the interpreter; otherwise python3.11, then python3.13 are looked for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=${VENV:-.venv}
supported=(3.11 3.13) # each Blender LTS is built for one of them

# Libraries that bpy links to, and that EEVEE loads without a display, as library:Debian package
libraries=(
    libX11.so.6:libx11-6 libXext.so.6:libxext6 libXfixes.so.3:libxfixes3 libXi.so.6:libxi6
    libXrender.so.1:libxrender1 libxkbcommon.so.0:libxkbcommon0 libSM.so.6:libsm6 libICE.so.6:libice6
    libGL.so.1:libgl1 libEGL.so.1:libegl1
)

main() {
    local python version packages=()
    if [[ ${1:-} == --python ]]; then
        find_python "$2"
        return
    fi
    if ! python=$(find_python "${supported[@]}"); then
        [[ -z ${PYTHON:-} ]] && ! runs python3 || die "$(wrong_python)"
        packages+=(python3 python3-venv)
        install_packages "${packages[@]}"
        packages=()
        python=$(find_python "${supported[@]}") || die "$(wrong_python)"
    fi
    version=$(version_of "$python")
    "$python" -c "import ensurepip, venv" 2>/dev/null || packages+=("python${version#* }-venv")
    [[ $(uname) != Linux ]] || packages+=($(missing_libraries "$python"))
    [[ ${#packages[@]} == 0 ]] || install_packages "${packages[@]}"
    make_environment "$python" "$version" "$1"
}

# find_python VERSION...: the path of the first CPython of one of these versions that really runs.
find_python() {
    local version candidate candidates
    for version; do
        candidates=("python$version" python3 python "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version"*/bin/python)
        [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
        for candidate in "${candidates[@]}"; do
            if [[ $(version_of "$candidate") == "cpython $version" ]]; then
                "$candidate" -c "import sys; print(sys.executable)"
                return
            fi
        done
    done
    return 1
}

runs() { [[ -n $(version_of "$1") ]]; }

# version_of COMMAND: "cpython 3.11", or nothing where it does not run (a pyenv shim may exist and fail).
version_of() {
    "$1" -c 'import sys; print(sys.implementation.name, "%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

wrong_python() {
    local name=${PYTHON:-python3} found
    found=$(version_of "$name")
    echo "imagegs_blender needs CPython ${supported[0]} or ${supported[1]}, Blender's own versions;" \
        "$name is ${found:-not a Python that runs}. Install one and name it: make demo PYTHON=/path/to/python${supported[0]}"
}

# missing_libraries PYTHON: the Debian packages of the libraries that can't be loaded.
missing_libraries() {
    local entry
    for entry in "${libraries[@]}"; do
        loads "$1" "${entry%%:*}" || echo "${entry#*:}"
    done
    loads "$1" libvulkan.so.1 || echo libvulkan1
    [[ -n $(find /usr/share/vulkan/icd.d /etc/vulkan/icd.d -name "*.json" -print -quit 2>/dev/null) ]] ||
        echo mesa-vulkan-drivers
    loads "$1" libEGL_nvidia.so.0 && return
    loads "$1" libEGL_mesa.so.0 || echo libegl-mesa0
    [[ -n $(find /usr/lib* -maxdepth 3 \( -name swrast_dri.so -o -name "libgallium*.so" \) -print -quit) ]] ||
        echo libgl1-mesa-dri
}

loads() { "$1" -c "import ctypes, sys; ctypes.CDLL(sys.argv[1])" "$2" 2>/dev/null; }

install_packages() {
    if ! command -v apt-get >/dev/null; then
        die "these Debian packages, or your system's equivalent, are missing; install them and run again: $*"
    elif [[ $(id -u) != 0 ]]; then
        die "system packages are missing; paste this and run again: sudo apt-get install -y $*"
    fi
    echo "Installing system packages: $*"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"; } \
        </dev/null || die "apt-get could not install $*"
}

# make_environment PYTHON VERSION EXTRAS: pip runs only where something that decides its result has changed.
make_environment() {
    local found stamp="$VENV/.setup-$3" state
    state=$(cat pyproject.toml blender_manifest.toml | cksum)
    found=$(version_of "$VENV/bin/python")
    [[ -z $found || $found == "$2" ]] || [[ -z ${PYTHON:-} && " ${supported[*]} " == *" ${found#cpython } "* ]] ||
        die "$VENV holds $found, not $2: remove it, or name another folder with VENV=..."
    if [[ -n $found && $(cat "$stamp" 2>/dev/null) == "$state" ]]; then
        return
    fi
    if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        echo "Creating $VENV ($2)"
        "$1" -m venv "$VENV"
    fi
    echo "Installing imagegs-blender[$3] into $VENV (Blender alone is 350 MB; once only)"
    "$VENV/bin/python" -m pip install --disable-pip-version-check -e ".[$3]" ||
        die "pip could not install imagegs-blender[$3]; its message is above"
    echo "$state" >"$stamp"
}

die() {
    echo "error: $*" >&2
    exit 1
}

main "$@"
