#!/bin/sh
# Puts Chromium's software Vulkan driver, SwiftShader, into /swiftshader of a Debian 13 root, as a second driver for
# the layer.
#
#   tests/vulkan/add_swiftshader.sh ROOT
#
# It comes out of Debian's package chromium-common (32 MB), of which nothing else is kept. Must be run by root.
set -eu

root=$(realpath "$1")
if [ -e "$root/swiftshader/vk_swiftshader_icd.json" ]; then
    exit 0
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" /bin/sh -eu -c '
    rm -rf /swiftshader && mkdir -p /swiftshader/unpacked && cd /swiftshader
    apt-get update -qq
    apt-get download -qq chromium-common 2> /dev/null
    dpkg-deb -x chromium-common_*.deb unpacked
    mv unpacked/usr/lib/chromium/libvk_swiftshader.so unpacked/usr/lib/chromium/vk_swiftshader_icd.json .
    rm -rf unpacked chromium-common_*.deb'
