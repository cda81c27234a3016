# packages: autoconf automake libtool
# prints: x-1 archives ready
printf 'AC_INIT([x],[1])\nAM_INIT_AUTOMAKE([foreign])\nLT_INIT\nAC_PROG_CC\n' > configure.ac
printf 'AC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n' >> configure.ac
printf 'lib_LTLIBRARIES=libx.la\nlibx_la_SOURCES=l.c\nbin_PROGRAMS=x\nx_SOURCES=m.c\nx_LDADD=libx.la\n' > Makefile.am
echo 'int f(void) { return 0; }' > l.c; echo 'int f(void); int main() { return f(); }' > m.c
(autoreconf -fi; ./configure -C; make -j2; ./x; make distcheck) >o 2>&1 || cat o; grep -o 'x-1 archives ready' o
