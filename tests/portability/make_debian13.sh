#!/bin/sh
# Makes a small Debian 13 root in FOLDER, with Python and Mesa's software Vulkan driver, unless it is there already.
#
#   tests/portability/make_debian13.sh FOLDER
#
# Its Vulkan headers (FOLDER/usr/include/vulkan) are new enough to build the Vulkan module on an older Debian.
set -eu

root=$1
if [ -e "$root/.complete" ]; then
    exit 0
fi
# The mirror is the one that this machine's own package manager uses.
mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | sort -u | head -n 1)
rm -rf "$root" && mkdir -p "$root"
debootstrap --variant=minbase \
    --include=mesa-vulkan-drivers,libvulkan1,libvulkan-dev,python3,python3-venv,libstdc++6 \
    trixie "$root" "$mirror" > "$root.log" 2>&1 || { tail -n 20 "$root.log"; exit 1; }
touch "$root/.complete"
