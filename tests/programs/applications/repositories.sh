# packages: git git-lfs mercurial subversion
# prints:  b/
git init -q --bare r.git; git init -q r; cd r; git config user.email a@b; git config user.name a; git lfs install >/dev/null
git lfs track '*.bin' >/dev/null; head -c 9999 /dev/urandom > a.bin; git add .; git commit -qm x
git push -q file:///w/r.git HEAD:main >/dev/null 2>&1; git clone -q file:///w/r.git -b main ../c; cmp a.bin ../c/a.bin; cd ..
hg init h; cd h; echo a > a; hg add -q a; hg commit -u me -m x; hg clone -q . ../h2; hg -R ../h2 verify -q; cd ..
svnadmin create s; svn co -q file:///w/s w; cp -r /etc/apt w/a; svn add -q w/a; svn ci -q -m x w; svn up -q w
svn mv -q w/a w/b; svn ci -q -m y w; svnlook tree s | sed -n 2p
