/* What `engine --set LIMITS CGROUP REPORT` sets before the first program: its parent may have threads, and must not run
 * code of its own between fork and exec.
 *
 * LIMITS is `RESOURCE=SOFT:HARD,…`, decimal numbers of setrlimit(2); CGROUP the path of a cgroup.procs, or empty;
 * REPORT a descriptor, see RL_REPORT_FD.
 */
#include "../engine.h"

#define RL_CLOEXEC_FLAG 1
#define RL_FIRST_REPORT_FD 3

static int read_number(const char **p, u64 *v)
{
    *v = 0;
    return rl_number(p, 10, v);
}

static long set_limit(const char **p)
{
    struct {
        u64 soft, hard;
    } limit;
    u64 resource;

    if (!read_number(p, &resource) || *(*p)++ != '=')
        return -EINVAL;
    if (!read_number(p, &limit.soft) || *(*p)++ != ':' || !read_number(p, &limit.hard))
        return -EINVAL;
    return rl_sys4(__NR_prlimit64, 0, (long)resource, (long)&limit, 0);
}

static long enter_cgroup(const char *path)
{
    long fd = rl_sys4(__NR_openat, AT_FDCWD, (long)path, 02000001 /* O_WRONLY | O_CLOEXEC */, 0);
    long r = fd < 0 ? fd : rl_sys3(__NR_write, fd, (long)"0", 1);

    if (fd >= 0)
        rl_sys1(__NR_close, fd);
    return r;
}

void rl_set_before(const char *limits, const char *cgroup, const char *report)
{
    u64 fd;
    long r;

    if (read_number(&report, &fd) && fd >= RL_FIRST_REPORT_FD) {
        rl_report_fd = (int)fd;
        rl_report_alone = 1;
        rl_sys3(__NR_fcntl, rl_report_fd, F_SETFD, RL_CLOEXEC_FLAG);
    }
    for (const char *p = limits; *p;) {
        r = set_limit(&p);
        if (r < 0)
            rl_die(RL_EXIT_ENGINE, "a limit is refused: ", limits, NULL);
        if (*p == ',')
            p++;
    }
    r = *cgroup ? enter_cgroup(cgroup) : 0;
    if (r < 0)
        rl_die(RL_EXIT_ENGINE, cgroup, ": ", rl_error_text(r));
}
