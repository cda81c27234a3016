# packages: emacs-nox vim
# prints: /w/ sub
# prints:
# prints: 3
# prints: z
emacs -Q --batch --eval '(message "%s %s" default-directory (shell-command-to-string "echo sub"))' 2>&1
emacs --daemon=x >/dev/null 2>&1; emacsclient -s x -e '(+ 1 2)'; emacsclient -s x -e '(kill-emacs)' >/dev/null || true
printf 'a\nb\n' > f; vim -es -c '%s/a/z/' -c wq f; head -1 f
