# packages: umoci skopeo bubblewrap
# prints: hi
# prints: 1
# prints: bwrap: Creating new namespace failed: Operation not permitted
# prints: unshare: unshare failed: Operation not permitted
umoci init --layout o; umoci new --image o:l; umoci unpack --rootless --image o:l b 2>/dev/null; echo hi > b/rootfs/f
umoci repack --image o:l b; umoci unpack --rootless --image o:l c; cat c/rootfs/f
skopeo copy -q oci:o:l docker-archive:x.tar:a:b; skopeo inspect docker-archive:x.tar | grep -c '"Layers"'
bwrap --ro-bind / / true 2>&1 || true; unshare -r true 2>&1 || true
