# packages: sbcl guile-3.0
# prints:
# prints: 42
# prints: /usr/bin/sbcl
# prints: (2 3)/w/a.scm
echo '(defun main () (print 42) (terpri))' > a.lisp
sbcl --non-interactive --load a.lisp --eval '(save-lisp-and-die "a" :toplevel (function main) :executable t)' >/dev/null 2>&1
./a </dev/null; sbcl --noinform --non-interactive --eval '(princ sb-ext:*runtime-pathname*)'; echo
echo '(use-modules (ice-9 threads)) (display (par-map 1+ (list 1 2))) (display (current-filename)) (newline)' > a.scm
guile --no-auto-compile a.scm
