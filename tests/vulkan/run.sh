#!/bin/sh
# Installs a wheel into a Debian 13 root and runs the tests of Vulkan there, on the laptops that the layer plays.
#
#   tests/vulkan/run.sh WHEEL FOLDER [ARGUMENTS OF PYTEST]
#
# FOLDER keeps the root (600 MB) and in it the compiled shaders, which make a second run much shorter. Without
# arguments, what CI runs: the tests that are marked vulkan and not slow. Must be run by root, because of chroot, with
# glslc and a C++ compiler. PYTHON names the interpreter; it needs sdcpp_py[test].
set -eu

wheel=$(realpath "$1")
folder=$(realpath "$2")
shift 2
here=$(dirname "$(realpath "$0")")
PYTHON="${PYTHON:-python3}"

"$here/../portability/make_debian13.sh" "$folder/debian13"
PYTHON=$PYTHON "$here/../portability/install_in_debian13.sh" "$wheel" "$folder/debian13"
[ $# -gt 0 ] || set -- -m "vulkan and not slow"
mounted=
unmount() { [ -z "$mounted" ] || umount "$folder/debian13/proc"; }
trap unmount EXIT
if ! [ -e "$folder/debian13/proc/self" ]; then
    mount -t proc proc "$folder/debian13/proc" && mounted=yes
fi
cd "$here/../.."
# "-m pytest" would look for the package here first, where its sources lie without a native module.
SDCPP_PY_VULKAN_ROOT=$folder/debian13 "$PYTHON" -c '
import sys
sys.path.remove("")
import pytest
sys.exit(pytest.main())
' -n 0 tests/vulkan "$@"
