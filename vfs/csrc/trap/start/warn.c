/* Messages of the engine to users: one line on file descriptor 2.
 *
 * Names are from the image. Bytes that are not printable ASCII are escaped (`\x1b`): they could move a terminal's
 * cursor.
 */
#include "../engine.h"

#define RL_ESCAPED_BYTES 4 /* \x1b */

int rl_report_fd = -1;
int rl_report_alone;

static size_t put_escaped(char *to, u8 c)
{
    static const char digits[] = "0123456789abcdef";

    if (c >= ' ' && c < 0x7f) {
        *to = (char)c;
        return 1;
    }
    to[0] = '\\';
    to[1] = 'x';
    to[2] = digits[c >> 4];
    to[3] = digits[c & 15];
    return RL_ESCAPED_BYTES;
}

static void put_line(int to_standard_error, const char *a, const char *b, const char *c)
{
    const char *part[4] = {"rootlay: ", a, b, c};
    char line[1024];
    size_t n = 0;

    for (u32 i = 0; i < 4; i++)
        for (const char *p = part[i]; p && *p && n < sizeof line - 1 - RL_ESCAPED_BYTES; p++)
            n += put_escaped(line + n, (u8)*p);
    line[n++] = '\n';
    if (to_standard_error)
        rl_sys3(__NR_write, 2, (long)line, (long)n);
    if (rl_report_fd >= 0)
        rl_sys3(__NR_write, rl_report_fd, (long)line, (long)n);
}

void rl_warn(const char *a, const char *b, const char *c) { put_line(1, a, b, c); }

void rl_die(int code, const char *a, const char *b, const char *c)
{
    u8 byte = (u8)code;

    put_line(!rl_report_alone, a, b, c);
    if (rl_report_fd >= 0)
        rl_sys3(__NR_write, rl_report_fd, (long)&byte, 1);
    for (;;)
        rl_sys1(__NR_exit_group, code);
}

const char *rl_error_text(long error)
{
    static const struct {
        int error;
        const char *text;
    } known[] = {
        {EPERM, "Operation not permitted"}, {ENOENT, "No such file or directory"}, {EIO, "Input/output error"},
        {E2BIG, "Argument list too long"}, {ENOEXEC, "Exec format error"}, {EAGAIN, "Resource temporarily unavailable"},
        {ENOMEM, "Cannot allocate memory"}, {EACCES, "Permission denied"}, {EEXIST, "File exists"},
        {ENOTDIR, "Not a directory"}, {EISDIR, "Is a directory"}, {EINVAL, "Invalid argument"},
        {EMFILE, "Too many open files"}, {ETXTBSY, "Text file busy"}, {ENOSPC, "No space left on device"},
        {EROFS, "Read-only file system"}, {ENAMETOOLONG, "File name too long"}, {ENOSYS, "Function not implemented"},
        {ELOOP, "Too many levels of symbolic links"},
    };
    static char other[32];

    for (u32 i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].error == -error)
            return known[i].text;
    rl_put_u64(rl_put(other, "error "), (u64)-error, 10);
    return other;
}
