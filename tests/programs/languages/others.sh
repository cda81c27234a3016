# packages: gfortran gnat ldc fpc gnucobol3 swi-prolog-nox racket pypy3 mono-mcs mono-runtime libmono-system-core4.0-cil
# prints: 5050
# prints: /w
# prints: /w/d
# prints: TRUE /w/p
# prints: cobol
# prints: true
# prints: /w/r
# prints: /w
# prints: /w/m.exe
printf 'program f\ninteger::i,s=0\n!$omp parallel do reduction(+:s)\ndo i=1,100\ns=s+i\nend do\nprint *,s\nend\n' > f.f90
gfortran -fopenmp f.f90 -o f; ./f
echo 'with Ada.Text_IO; with Ada.Directories; procedure A is' > a.adb
echo 'begin Ada.Text_IO.Put_Line (Ada.Directories.Current_Directory); end A;' >> a.adb; gnatmake -q a.adb >/dev/null 2>&1; ./a
echo 'import std; void main() { writeln(thisExePath); }' > d.d; ldc2 d.d; ./d
echo "uses sysutils; begin writeln(fileexists('/etc/passwd'), ' ', paramstr(0)); end." > p.pas; fpc p.pas >/dev/null 2>&1; ./p
printf '       IDENTIFICATION DIVISION.\n       PROGRAM-ID. C.\n       PROCEDURE DIVISION.\n' > c.cob
printf '           DISPLAY "cobol".\n           STOP RUN.\n' >> c.cob; cobc -x c.cob; ./c
swipl -g "thread_create(true,I),thread_join(I,S),print(S),nl" -t halt
printf '#lang racket/base\n(displayln (path->string (path->complete-path (find-system-path (quote run-file)))))\n' > r.rkt
raco exe r.rkt; ./r | sed 's|/\./|/|'; pypy3 -c 'import os; print(os.getcwd())'
echo 'class M { static void Main() { System.Console.WriteLine(typeof(M).Assembly.Location); } }' > m.cs; mcs m.cs; mono m.exe
