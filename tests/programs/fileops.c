/* Random operations on one file against a shadow copy in memory.
 *
 *     fileops FILE OPERATIONS SEED
 *
 * FILE may exist: what it holds is where the shadow starts. Exits with 1 and says which operation differed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT (256 * 1024)

static unsigned char shadow[LIMIT], buf[LIMIT];
static long size, number;
static int fd = -1;
static const char *path, *what = "start";
static char other[4096];
static unsigned long long seed;

static unsigned rnd(unsigned n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return n ? (unsigned)(seed >> 33) % n : 0;
}

static void fail(const char *why)
{
    printf("operation %ld (%s): %s, errno %d (%s), size %ld\n", number, what, why, errno, strerror(errno), size);
    exit(1);
}

static void must(long r, const char *why)
{
    if (r < 0)
        fail(why);
}

static void reopen(void)
{
    if (fd >= 0)
        must(close(fd), "close");
    fd = open(path, O_RDWR | O_CREAT, 0644);
    must(fd, "open");
}

static void fill(long n)
{
    for (long i = 0; i < n; i++)
        buf[i] = (unsigned char)rnd(256);
}

static void check_all(void)
{
    struct stat st;
    must(stat(path, &st), "stat");
    if (st.st_size != size)
        fail("size by path");
    must(fstat(fd, &st), "fstat");
    if (st.st_size != size)
        fail("size by descriptor");
    if (pread(fd, buf, LIMIT, 0) != size || memcmp(buf, shadow, (size_t)size))
        fail("content");
}

static void do_write(long at, long n)
{
    fill(n);
    if (pwrite(fd, buf, (size_t)n, at) != n)
        fail("pwrite");
    if (at > size)
        memset(shadow + size, 0, (size_t)(at - size));
    memcpy(shadow + at, buf, (size_t)n);
    if (at + n > size)
        size = at + n;
}

static void do_truncate(long n, int by_path)
{
    must(by_path ? truncate(path, n) : ftruncate(fd, n), "truncate");
    if (n > size)
        memset(shadow + size, 0, (size_t)(n - size));
    size = n;
}

static void do_map(int writing)
{
    if (!size)
        return;
    unsigned char *m = mmap(NULL, (size_t)size, writing ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (m == MAP_FAILED)
        fail("mmap");
    long at = rnd((unsigned)size), n = 1 + rnd((unsigned)(size - at));
    if (writing) {
        fill(n);
        memcpy(m + at, buf, (size_t)n);
        memcpy(shadow + at, buf, (size_t)n);
    } else if (memcmp(m + at, shadow + at, (size_t)n)) {
        fail("mapped content");
    }
    must(munmap(m, (size_t)size), "munmap");
}

static void do_punch(void)
{
    if (!size)
        return;
    long at = rnd((unsigned)size), n = 1 + rnd((unsigned)(size - at));
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n) < 0) {
        if (errno != EOPNOTSUPP)
            fail("fallocate");
        return;
    }
    memset(shadow + at, 0, (size_t)n);
}

static void do_append(void)
{
    long n = 1 + rnd(512);
    if (size + n > LIMIT)
        return;
    int a = open(path, O_WRONLY | O_APPEND);
    must(a, "open for appending");
    fill(n);
    if (write(a, buf, (size_t)n) != n)
        fail("append");
    must(close(a), "close");
    memcpy(shadow + size, buf, (size_t)n);
    size += n;
}

static void do_rename(void)
{
    int o = open(other, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    must(o, "open the other");
    if (write(o, shadow, (size_t)size) != size)
        fail("write the other");
    must(close(o), "close");
    must(rename(other, path), "rename over");
    if (access(other, F_OK) == 0)
        fail("the old name is still there");
    reopen();
}

static void do_link(void)
{
    must(link(path, other), "link");
    must(unlink(path), "unlink");
    must(rename(other, path), "rename back");
    reopen();
}

static void one(void)
{
    long at = rnd(LIMIT - 8192), n = 1 + rnd(8192);
    switch (rnd(12)) {
    case 0: case 1: case 2: what = "write"; do_write(at, n); break;
    case 3: what = "truncate"; do_truncate(rnd(LIMIT), 0); break;
    case 4: what = "truncate by path"; do_truncate(rnd(LIMIT), 1); break;
    case 5: what = "mapped write"; do_map(1); break;
    case 6: what = "mapped read"; do_map(0); break;
    case 7: what = "punch"; do_punch(); break;
    case 8: what = "append"; do_append(); break;
    case 9: what = "rename over"; if (rnd(4) == 0) do_rename(); else do_link(); break;
    case 10: what = "reopen"; reopen(); break;
    default: what = "read"; if (rnd(8) == 0) check_all(); break;
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    path = argv[1];
    snprintf(other, sizeof other, "%s.other", path);
    seed = strtoull(argv[3], NULL, 10);
    reopen();
    size = pread(fd, shadow, LIMIT, 0);
    must(size, "first read");
    for (long end = atol(argv[2]); number < end; number++)
        one();
    what = "end";
    check_all();
    printf("%ld operations\n", number);
    return 0;
}
