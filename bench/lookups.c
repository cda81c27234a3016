/* What a look-up costs in an image of bench/growth.py: nanoseconds of processor time, the least of some rounds.
 *
 *     lookups FILES
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define CALLS 20000
#define ROUNDS 15

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void ask(long file, const char *letter)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/many/%ld/%s%ld", file / 1000, letter, file);
    stat(path, &st);
}

static void list(void)
{
    DIR *directory = opendir("/many/0");
    while (directory && readdir(directory))
        ;
    if (directory)
        closedir(directory);
}

int main(int argc, char **argv)
{
    long files = argc > 1 ? atol(argv[1]) : 1000;
    double least[4] = {1e18, 1e18, 1e18, 1e18};
    for (int round = 0; round < ROUNDS; round++) {
        for (int kind = 0; kind < 4; kind++) {
            double start = now();
            int calls = kind == 3 ? 50 : CALLS;
            for (long i = 0; i < calls; i++) {
                if (kind == 3)
                    list();
                else
                    ask(kind == 1 ? i % 1000 : i * 37 % files, kind == 2 ? "x" : "f");
            }
            double took = (now() - start) / calls;
            least[kind] = took < least[kind] ? took : least[kind];
        }
    }
    printf("%.0f %.0f %.0f %.0f\n", least[0], least[1], least[2], least[3]);
    return 0;
}
