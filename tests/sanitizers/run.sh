#!/bin/sh
# Builds the library with sanitizers into build/sanitized/, for this machine's CPU alone, and runs tests on that build.
#
#   tests/sanitizers/run.sh address,undefined tests/pipeline/test_failures.py
#   tests/sanitizers/run.sh thread tests/memory/test_limits.py -k two_threads
#
# What follows the sanitizers' names goes to pytest. Needs GCC and sdcpp_py[test]; CC names another gcc than "cc". A finding
# ends the process that made it, so the test fails, and its report is on stderr.
set -eu

cd "$(dirname "$0")/../.."
sanitizers=$1
shift
here=$PWD/tests/sanitizers
built=$PWD/build/sanitized/$(echo "$sanitizers" | tr , -)

# Options in this variable come before those of a surrounding build, such as that of .ci/run.
SKBUILD_CMAKE_DEFINE="SDCPP_SANITIZE=$sanitizers;SDCPP_CPU_KINDS=native;SDCPP_VULKAN=OFF" SKBUILD_BUILD_TARGETS=_sdcpp \
    python -m pip install --quiet --no-deps --upgrade --target "$built/package" \
    --config-settings=build-dir="$built/build" --config-settings=install.strip=false .

# The sanitizers' own library must be the first of the process, before Python's; C++'s comes with it, because the sanitizer
# looks for the function that throws when it starts.
runtime=libasan.so
randomized=
case $sanitizers in *thread*)
    runtime=libtsan.so
    randomized="setarch $(uname -m) -R"  # the sanitizer's shadow lies where a randomized program might
esac
library() { "${CC:-cc}" -print-file-name="$1"; }

# Leaks are not looked for: Python frees little when it ends, and engines whose threads had to be put to sleep stay on
# purpose. Memory that cannot be had is what some tests are about, so it must be an answer and not a finding.
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:halt_on_error=1"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:suppressions=$here/undefined.supp"
export TSAN_OPTIONS="ignore_noninstrumented_modules=1:allocator_may_return_null=1:halt_on_error=1:suppressions=$here/thread.supp"
export PYTHONMALLOC=malloc PYTHONPATH="$built/package${PYTHONPATH:+:$PYTHONPATH}"
LD_PRELOAD="$(library $runtime) $(library libstdc++.so)"
export LD_PRELOAD
exec $randomized python -c '
import sys
sys.path.remove("")  # the sources lie here, and beside them perhaps another build
import pytest
from sdcpp_py._native import _sdcpp
built = sys.argv.pop(1)
if not _sdcpp.__file__.startswith(built): sys.exit(f"{_sdcpp.__file__} is not the sanitized build in {built}")
sys.exit(pytest.main())
' "$built" "$@"
