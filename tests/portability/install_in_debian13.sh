#!/bin/sh
# Installs a wheel into /venv of a Debian 13 root (make_debian13.sh), with its dependencies.
#
#   tests/portability/install_in_debian13.sh WHEEL ROOT
#
# Must be run by root, because of chroot. PYTHON names the interpreter that fetches the dependencies; "python3" where
# it is not set. They come from this side, so that the root needs no network and no configuration of its own.
set -eu

wheel=$(realpath "$1")
root=$(realpath "$2")
wheels=$root/wheels

rm -rf "$wheels" "$root/venv" && mkdir -p "$wheels"
"${PYTHON:-python3}" -m pip download --quiet --dest "$wheels" --only-binary :all: --python-version 3.13 \
    --implementation cp --abi cp313 --abi abi3 --abi none \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 \
    --platform manylinux2014_x86_64 --platform manylinux_2_12_x86_64 --platform manylinux2010_x86_64 \
    --platform manylinux1_x86_64 --platform linux_x86_64 "$wheel"
inside() {
    chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}
inside python3 -m venv /venv
inside /venv/bin/pip install --quiet --no-index --find-links /wheels sdcpp_py
