# packages: xvfb xterm xauth x11-utils
# prints: /dev/pts/
# prints: 11.0
(Xvfb :77 -screen 0 640x480x24 -nolisten tcp & echo $! > pid; wait) >/dev/null 2>&1 & sleep 3
DISPLAY=:77 xterm -e 'tty > /w/t'; cut -c1-9 t; DISPLAY=:77 xdpyinfo | sed -n 's/^version number: *//p'; kill $(cat pid)
