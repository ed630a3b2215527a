#!/bin/sh
# rootfs.sh BINARY FOLDER: lays the root file system of the image into FOLDER.
set -eu
binary=$1 root=$2

install -D -m 755 "$binary" "$root/tidegate"
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
# A name for the user, for those that look it up.
echo 'nonroot:x:65532:65532:nonroot:/:/tidegate' > "$root/etc/passwd"
echo 'nonroot:x:65532:' > "$root/etc/group"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
# Where pipeline files, a volume, and rows that don't fit in memory go. All else is read-only.
install -d -m 755 "$root/etc/tidegate"
install -d -m 755 "$root/data"
install -d -m 1777 "$root/tmp"
