#!/bin/sh
# Installs a wheel into a Debian 13 root of its own and draws there, on the CPU and on Mesa's software Vulkan, with the
# memory that it has and with less.
#
#   tests/portability/debian13.sh WHEEL FOLDER
#
# WHEEL was built elsewhere: that it runs here shows that it is portable. FOLDER keeps the root (600 MB), which is made
# by debootstrap where it is not there yet. Must be run by root, because of chroot. PYTHON names the interpreter that
# fetches the wheel's dependencies and reads the pictures (it needs sdcpp_py[test]); "python3" where it is not set.
set -eu

wheel=$(realpath "$1")
folder=$(realpath "$2")
here=$(dirname "$(realpath "$0")")
root=$folder/debian13
python=${PYTHON:-python3}

"$here/make_debian13.sh" "$root"

"$here/install_in_debian13.sh" "$wheel" "$root"

exchange=$root/exchange
rm -rf "$exchange" && mkdir -p "$exchange"
cp "$here/draw.py" "$here/limited.py" "$exchange/"
meaning() {
    PYTHONPATH=$(realpath "$here/../../training") "$python" "$here/meaning.py" "$@"
}
meaning prompts "$exchange/prompts.json"

inside() {
    chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}
unmount() { umount "$root/proc" 2>/dev/null || true; }
trap unmount EXIT
mount -t proc proc "$root/proc" 2>/dev/null || echo "no /proc inside the root; going on without"

inside /venv/bin/sdcpp-py doctor
inside /venv/bin/python /exchange/draw.py cpu /exchange/cpu
on_vulkan() {
    inside GGML_VK_VISIBLE_DEVICES=0 VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json \
        MESA_SHADER_CACHE_DIR=/shaders SDCPP_PY_SELF_TEST=off /venv/bin/python "$@"
}
on_vulkan /exchange/draw.py vulkan0 /exchange/vulkan0
meaning compare "$exchange/cpu" "$exchange/vulkan0"
on_vulkan /exchange/limited.py vulkan0 tiny-klein /exchange/models vulkan0 64
