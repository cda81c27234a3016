# packages: restic borgbackup rsync squashfs-tools
export RESTIC_PASSWORD=x BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes; same() { rsync -niaHAX --delete "$1" "$2"; }
restic init -q -r r; restic -r r backup -q /usr/lib/x86_64-linux-gnu
restic -r r restore -q latest --target a >/dev/null
same /usr/lib/x86_64-linux-gnu/ a/usr/lib/x86_64-linux-gnu/
borg init -e none b; borg create b::a /usr/bin; mkdir c; (cd c; borg extract ../b::a); same /usr/bin/ c/usr/bin/
mksquashfs /usr/bin s -quiet -no-progress >/dev/null; unsquashfs -q -n -d d s >/dev/null; same /usr/bin/ d/
rsync -aHAX /usr/share/ e/; same /usr/share/ e/; borg check b; restic -r r check -q
