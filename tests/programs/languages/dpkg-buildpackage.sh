# packages: debhelper fakeroot build-essential
# prints: root/root ./usr/bin/hostname
sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/* > /etc/apt/sources.list.d/s.sources 2>/dev/null || true
sed 's/^deb /deb-src /' /etc/apt/sources.list > /etc/apt/sources.list.d/s.list 2>/dev/null || true
apt-get update -q >/dev/null 2>&1; cd /tmp; apt-get source -q hostname >/dev/null 2>&1; chown -R nobody hostname-*
chmod 1777 .; cd hostname-*; runuser -u nobody -- dpkg-buildpackage -us -uc -b -rfakeroot >/tmp/o 2>&1 || cat /tmp/o
dpkg-deb -c ../hostname_*.deb | grep -o 'root/root.*/bin/hostname' | sed 's/ .* / /'; dpkg -i ../hostname_*.deb >/dev/null
