/* A table of cases, each printed as "name ok" or "name FAIL"; one case when it is named as argument. */
#ifndef CASES_H
#define CASES_H

#include <stdio.h>
#include <string.h>

struct test_case {
    const char *name;
    int (*run)(void);
};

static int run_cases(const struct test_case *cases, int argc, char **argv)
{
    int bad = 0;

    for (const struct test_case *c = cases; c->name; c++) {
        if (argc > 1 && strcmp(argv[1], c->name) != 0)
            continue;
        int ok = c->run();

        printf("%s %s\n", c->name, ok ? "ok" : "FAIL");
        fflush(stdout);
        bad += !ok;
    }
    return bad != 0;
}

#define CASE(name) {#name, name}
#define END_OF_CASES {NULL, NULL}
#endif
