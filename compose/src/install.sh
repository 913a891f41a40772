#!/bin/sh
# Installs packages, as root, without letting them start or enable anything:
#   sh install.sh install PACKAGE...   or   sh install.sh recover
# It notes in $notes what it changes during the installation. After a run that was killed, the next run puts it back.
set -eu

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C.UTF-8
DEBIAN_FRONTEND=noninteractive
# Ubuntu's needrestart would restart services of the system after an installation.
NEEDRESTART_SUSPEND=1
export PATH LC_ALL DEBIAN_FRONTEND NEEDRESTART_SUSPEND

notes=/var/lib/parking-stack-install
policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.conf

say() { echo "$*" >&2; }

# Closes the descriptor of the lock: a package may start a daemon all the same, and that must not keep the lock.
quietly_in_turn() { "$@" 9>&-; }

# Links by which systemd and sysvinit start services at boot.
boot_links() {
    find /etc/systemd/system /etc/rc?.d \( -path '*.wants/*' -o -path '*.requires/*' -o -path '/etc/rc*/S*' \) 2>/dev/null |
        sort || true
}

# Keeps a copy of what is at a path, or notes that nothing is there. The rename makes sure that no copy is incomplete.
save() {
    if [ -e "$1" ] || [ -L "$1" ]; then
        cp -a "$1" "$notes/draft"
        mv -T "$notes/draft" "$notes/$2"
    else
        : >"$notes/$2.absent"
    fi
}

put_back() {
    if [ -e "$notes/$2" ] || [ -L "$notes/$2" ]; then
        # The copy is made beside the path and then renamed, so that the path always has a complete file.
        cp -a "$notes/$2" "$1.stack-saved"
        mv -fT "$1.stack-saved" "$1"
        rm -f "$notes/$2"
    elif [ -e "$notes/$2.absent" ]; then
        rm -f "$1" "$notes/$2.absent"
    fi
}

# No service may start while this process runs. If it is killed, the policy does what the former policy did.
forbid_starts() {
    save "$policy" policy
    started=$(sed 's/.*) //' /proc/$$/stat | cut -d ' ' -f 20)
    cat >"$notes/draft" <<END
#!/bin/sh
# Here only while packages for cargo stack are being installed; what was here before is put back then.
now=\$(sed 's/.*) //' /proc/$$/stat 2>/dev/null | cut -d ' ' -f 1,20)
case \$now in
[ZX]*) ;;
*" $started") exit 101 ;;
esac
[ -x $notes/policy ] && exec $notes/policy "\$@"
exit 0
END
    chmod 755 "$notes/draft"
    cp "$notes/draft" "$policy.stack-draft"
    mv -fT "$policy.stack-draft" "$policy"
    rm -f "$notes/draft"
}

# The configuration of postgresql-common can say that no first cluster is wanted.
forbid_default_cluster() {
    save "$clusters" clusters
    sed '/^[[:space:]]*create_main_cluster[[:space:]]*=/d' "$clusters" >"$clusters.stack-draft"
    echo 'create_main_cluster = false' >>"$clusters.stack-draft"
    mv -fT "$clusters.stack-draft" "$clusters"
}

disable() {
    name=${1##*/}
    case $1 in
    /etc/rc*)
        # One script has several links, and the first call disabled them all.
        [ -L "$1" ] || return 0
        name=${name#S[0-9][0-9]}
        update-rc.d "$name" disable >/dev/null 2>&1 || rm -f "$1"
        ;;
    *)
        # This also keeps later upgrades of the package from enabling it.
        deb-systemd-helper disable "$name" >/dev/null 2>&1 || true
        rm -f "$1"
        ;;
    esac
    say "disabled $name, which the installation had enabled for the next boot"
}

finish() {
    trap '' INT TERM HUP
    [ -d "$notes" ] || return 0
    if [ -e "$notes/boot-links" ]; then
        boot_links >"$notes/boot-links.now"
        comm -13 "$notes/boot-links" "$notes/boot-links.now" >"$notes/boot-links.new"
        while read -r link; do disable "$link"; done <"$notes/boot-links.new"
        if [ -s "$notes/boot-links.new" ] && [ -d /run/systemd/system ]; then
            systemctl daemon-reload >/dev/null 2>&1 || true
        fi
    fi
    put_back "$clusters" clusters
    put_back "$policy" policy
    rm -f "$policy.stack-draft" "$policy.stack-saved" "$clusters.stack-draft" "$clusters.stack-saved"
    rm -rf "$notes"
}

apt() {
    quietly_in_turn apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null >&2
}

install_packages() {
    # Without fresh lists a new machine knows no packages; a failing mirror need not matter.
    apt update || say "the package lists could not be refreshed"
    case " $* " in
    *" postgresql "*)
        apt install --no-install-recommends postgresql-common
        forbid_default_cluster
        ;;
    esac
    apt install --no-install-recommends "$@"
}

umask 022
mkdir -p /run/lock
exec 9>/run/lock/parking-stack-install
flock 9
# First puts back what a killed run changed. Otherwise its changes would be taken for what was there before.
finish
[ "$1" = install ] || exit 0
shift
say "installing $* (without recommended packages); no service is started"
trap finish EXIT
trap 'exit 130' INT TERM HUP
mkdir -m 700 "$notes"
boot_links >"$notes/draft"
mv "$notes/draft" "$notes/boot-links"
forbid_starts
install_packages "$@"
