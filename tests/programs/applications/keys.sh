# packages: gnupg openssl
# prints: hi
# prints: c: OK
exec 2>/dev/null; gpg --batch --passphrase '' --quick-gen-key me@x default default never; echo hi > a
gpg --batch -e -r me@x -o e a; gpg --batch -d e; gpgconf --kill all
openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c -days 1 -subj /CN=x; openssl verify -CAfile c c
