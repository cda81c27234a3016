# packages: texlive-latex-base imagemagick libreoffice-calc-nogui
# prints: PWD /w
# prints: %PDF
# prints: 100 JPEG
# prints: PK
printf '\\documentclass{article}\\begin{document}$x^2$\\end{document}' > a.tex; pdflatex -recorder a.tex >/dev/null
grep '^PWD' a.fls; head -c4 a.pdf; echo
convert -size 200x200 plasma: a.png; convert a.png -resize 50% a.jpg; identify -format '%w %m\n' a.jpg
printf 'a,b\n1,2\n' > a.csv; soffice --headless --convert-to xlsx a.csv >/dev/null 2>&1; head -c2 a.xlsx; echo
