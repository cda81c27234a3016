/* DIR/.rootlay/settings: keys and values, each ended by a NUL. */
#include "wrap.h"

#define SETTINGS_BYTES (1u << 20) /* and in rootlay.vfs.wrap.settings */
#define VERSION "1"

struct wrap wrap;
static char text[SETTINGS_BYTES + 1];
static long bytes;

void join(char *out, const char *a, const char *b)
{
    if (length(a) + length(b) >= PATH_BYTES)
        fail("path too long: ", a, 0);
    put(put(out, a), b);
}

void expand(char *out, const char *value)
{
    const char *start[] = {"", wrap.dir, wrap.run, wrap.id};
    if (*value >= IN_DIR && *value <= IS_ID)
        join(out, start[(int)*value], value + 1);
    else
        join(out, value, "");
}

const char *next_setting(const char *key, const char *last)
{
    const char *p = last ? last + length(last) + 1 : text;
    while (p < text + bytes) {
        const char *value = p + length(p) + 1;
        if (value >= text + bytes)
            break;
        if (same(p, key))
            return value;
        p = value + length(value) + 1;
    }
    return NULL;
}

const char *setting(const char *key)
{
    const char *value = next_setting(key, NULL);
    if (!value)
        fail("damaged settings: no ", key, 0);
    return value;
}

void read_settings(void)
{
    static char path[PATH_BYTES], key[PATH_BYTES];
    join(path, wrap.dir, "/.rootlay/settings");
    bytes = read_file(path, text, SETTINGS_BYTES);
    if (bytes < 0)
        fail(path, NULL, -bytes);
    if (bytes == SETTINGS_BYTES || (bytes && text[bytes - 1]))
        fail(path, ": damaged", 0);
    if (!same(setting("version"), VERSION))
        fail(wrap.dir, ": made by another version of rootlay: make it again with `rootlay wrap`", 0);
    join(key, "program/", wrap.name);
    wrap.program = next_setting(key, NULL);
    if (!wrap.program)
        fail(wrap.name, ": no wrapped program of that name: see `rootlay wrap --list`", 0);
    const char *upper = setting("upper");
    wrap.upper = same(upper, "shared") ? SHARED : same(upper, "private") ? PRIVATE : THROW_AWAY;
    wrap.uid = setting("uid");
    wrap.gid = setting("gid");
    wrap.groups = setting("groups");
    wrap.directory = setting("directory");
    wrap.home = next_setting("home", NULL) != NULL;
    wrap.temporary = next_setting("tmp", NULL) != NULL;
    wrap.work = next_setting("cwd", NULL) != NULL;
    int n = 0;
    for (const char *v = next_setting("prepare", NULL); v && n < 7; v = next_setting("prepare", v))
        wrap.prepare[n++] = (char *)v;
}
