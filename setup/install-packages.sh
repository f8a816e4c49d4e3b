#!/bin/sh
# Installs the named Debian packages, and neither starts nor leaves enabled any service that comes with them.
# Run as root: sh setup/install-packages.sh PACKAGE...
set -eu

# Debian's package scripts ask this file before they start a service; 101 says no (invoke-rc.d(8)).
policy=/usr/sbin/policy-rc.d
made_policy=
restore() { [ -z "$made_policy" ] || rm -f "$policy"; }
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if [ ! -e "$policy" ]; then
  made_policy=yes
  printf '#!/bin/sh\n# Made by Antipode for the time of one installation.\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null; }

# A list of packages that is there but old names versions that the mirrors have dropped, so it is fetched first.
apt-get update -q -o DPkg::Lock::Timeout=300
install "$@"

# tgt would take the iSCSI port: now, where an administrator's policy lets it start, and at every boot.
for package in "$@"; do
  if [ "$package" = tgt ]; then
    [ ! -d /run/systemd/system ] || systemctl stop tgt.service || true
    deb-systemd-helper disable tgt.service >/dev/null 2>&1 || true
    update-rc.d tgt disable >/dev/null 2>&1 || true
  fi
done
