/* libFuzzer's harness for the merge of layer indexes into a view, and for looking names up in a view.
 *
 * Input: u8 kind. 0: a name (u8 length) to look up in the rest, a view of any bytes. 1: packed records of layers as they
 * are in an index, u16 bytes before each layer. 4: u8 count, so many records, and a base of any bytes, on top of which they
 * are merged. Else: records made of four bytes each, so that most are sound: a parent, a name, a type and flags, an inode
 * or where a link leads; every 32nd begins another layer. 5: the first layer is the base of a delta.
 *
 * A merge that is accepted must give a view in which each of its names is found, written to buffers of the right size. A
 * delta must show what the whole merge shows.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "viewbuild/viewbuild.h"

struct vb_merge *rl_merge_new(void);
void rl_merge_free(struct vb_merge *m);
int rl_merge_add(struct vb_merge *m, const u8 *packed, size_t size);
u64 rl_merge_records_size(const struct vb_merge *m, u32 first, u32 count);
void rl_merge_records(const struct vb_merge *m, u32 first, u32 count, u8 *out);

int rl_merge_base(struct vb_merge *m, int fd);

static const u8 chain[32];

/* The view, on the heap; NULL if it cannot be numbered. */
static u8 *emit(struct vb_merge *m, u64 *length)
{
    if (vb_number(m) != 0)
        return NULL;
    u32 n = m->entries - 1;
    u64 head = vb_native_head_size(m), entries = (u64)n * sizeof(struct rl_view_entry);
    u64 strings = vb_native_strings_size(m, 1, n), size = head + sizeof(struct rl_view_entry) + entries + 1 + strings;
    u8 *view = calloc(1, size), *records = malloc(rl_merge_records_size(m, 1, n));
    vb_native_head(m, chain, view);
    vb_native_entries(m, 1, n, 1, view + head + sizeof(struct rl_view_entry));
    vb_native_strings(m, 1, n, view + head + sizeof(struct rl_view_entry) + entries + 1);
    rl_merge_records(m, 1, n, records);
    const struct rl_view_entry *e = (const void *)(view + head);
    const u8 *text = view + head + sizeof *e + entries;
    for (u32 id = 2; id <= n; id++) {
        if (e[id].parent >= id || (u64)e[id].name + e[id].name_len > strings + 1)
            abort();
        if (vb_lookup(view, size, e[id].parent, text + e[id].name, e[id].name_len) != (i64)id)
            abort();
    }
    free(records);
    *length = size;
    return view;
}

static int use_base(struct vb_merge *m, const u8 *view, u64 size)
{
    int fd = memfd_create("base", MFD_CLOEXEC);
    if (fd < 0 || write(fd, view, size) != (ssize_t)size)
        abort();
    int code = rl_merge_base(m, fd);
    close(fd);
    return code;
}

static u8 *emit_delta(struct vb_merge *m)
{
    if (vb_number_delta(m) != 0)
        return NULL;
    u8 *delta = malloc(vb_delta_size(m)), *records = malloc(rl_merge_records_size(m, 1, m->entries - 1) + 1);
    vb_delta(m, chain, delta);
    rl_merge_records(m, 1, m->entries - 1, records);
    free(records);
    return delta;
}

static int is_hidden(const u8 *delta, u32 id)
{
    const struct rl_delta_header *h = (const void *)delta;
    const struct rl_delta_mark *marks = (const void *)(delta + h->off_marks);
    return id < h->base_entries && marks[id / 32].hidden >> id % 32 & 1;
}

/* As docs/format.md says it. */
static u32 find_in(const u8 *delta, const u8 *base, u64 size, u32 parent, const u8 *name, u32 len)
{
    const struct rl_delta_header *h = (const void *)delta;
    const struct rl_view_entry *e = (const void *)(delta + h->off_entries);
    const u8 *strings = delta + h->off_strings;
    i64 id = vb_lookup(base, size, parent, name, len);
    if (id)
        return id < 0 || is_hidden(delta, (u32)id) ? 0 : (u32)id;
    for (u32 k = 0; k < h->added; k++) {
        const struct rl_view_entry *a = &e[h->changed + k];
        if (a->parent == parent && a->name_len == len && !memcmp(strings + (a->name - h->base_strings), name, len))
            return h->base_entries + k;
    }
    return 0;
}

/* Every name of the whole view is in the delta, and there are as many. */
static void compare(const u8 *delta, const u8 *base, u64 base_size, const u8 *whole)
{
    const struct rl_delta_header *h = (const void *)delta;
    const struct rl_view_header *v = (const void *)whole;
    const struct rl_view_entry *e = (const void *)(whole + v->off_entries);
    u32 *ids = calloc(v->entries, sizeof *ids), shown = h->base_entries - 1 + h->added;
    for (u32 id = 1; id < h->base_entries; id++)
        shown -= is_hidden(delta, id) != 0;
    if (shown != v->entries - 1)
        abort();
    ids[RL_VIEW_ROOT] = RL_VIEW_ROOT;
    for (u32 id = RL_VIEW_ROOT + 1; id < v->entries; id++) {
        ids[id] = find_in(delta, base, base_size, ids[e[id].parent], whole + v->off_strings + e[id].name, e[id].name_len);
        if (!ids[id])
            abort();
    }
    free(ids);
}

static size_t record(const u8 *script, u32 id, u8 *out)
{
    static const char types[] = "dddddfflchhw";
    static const char *const names[] = {"a", "b", "c", "dd", "e", ".", "..", "a/b"};
    u32 parent = script[0] % 16 < id ? script[0] % 16 : 1;
    const char *name = names[script[1] % 64 < 8 ? script[1] % 64 : script[1] % 64 / 16];
    char type = id == 1 ? 'd' : types[script[2] % (sizeof types - 1)];
    const char *link = type == 'l' ? "a" : type == 'h' ? (script[3] & 1 ? "a/b" : "c/../a") : "";
    size_t name_bytes = id == 1 ? 0 : strlen(name), link_bytes = strlen(link), at = 8;
    u32 values[2] = {(u32)(4 + name_bytes), (u32)(VB_HEAD + link_bytes)};

    memcpy(out, values, 8);
    out[at++] = 0, out[at++] = 0, out[at++] = 0, out[at++] = (u8)(id == 1 ? 0 : parent);
    memcpy(out + at, name, name_bytes);
    at += name_bytes;
    u8 *value = out + at;
    memset(value, 0, VB_HEAD);
    value[0] = (u8)type;
    value[1] = script[2] >> 4 & 7;
    if (type != 'd')
        value[1] &= VB_REPLACES;
    vb_put32(value + 4, id);
    vb_put32(value + 8, script[3] % 4 ? id : script[3] / 4 % 16);
    vb_put32(value + 28, (u32)link_bytes);
    memcpy(value + VB_HEAD, link, link_bytes);
    return at + VB_HEAD + link_bytes;
}

/* The place of a record in the order of keys, as far as a script decides it. */
static u32 place(const u8 *script, u32 id)
{
    return (script[0] % 16 < id ? script[0] % 16 : 1u) << 8 | script[1] % 64;
}

/* The root, and up to 32 more. Names that sort otherwise are refused: a part of the scripts. */
static int add_made(struct vb_merge *m, const u8 *script, u32 n)
{
    u8 order[32], out[128];
    int code = rl_merge_add(m, out, record((const u8[4]){0}, 1, out));
    for (u32 i = 0; i < n; i++) {
        u32 k = i;
        for (; k && place(script + order[k - 1] * 4, order[k - 1] + 2u) > place(script + i * 4, i + 2); k--)
            order[k] = order[k - 1];
        order[k] = (u8)i;
    }
    for (u32 i = 0; !code && i < n; i++) {
        u32 k = order[i];
        if (!i || place(script + k * 4, k + 2) != place(script + order[i - 1] * 4, order[i - 1] + 2u))
            code = rl_merge_add(m, out, record(script + k * 4, k + 2, out));
    }
    return code ? code : vb_apply(m);
}

/* A base of any bytes, but for the size that its header gives. */
static void on_any_base(u8 *input, size_t size)
{
    u32 n = input[0] % 33;
    size_t script = 1 + 4 * n < size ? 1 + 4 * n : size;
    u8 *base = input + script;
    size -= script;
    if (size >= sizeof(struct rl_view_header))
        vb_put64(base + offsetof(struct rl_view_header, file_bytes), size);
    struct vb_merge *m = rl_merge_new();
    if (!use_base(m, base, size) && script == 1 + 4 * n && !add_made(m, input + 1, n))
        free(emit_delta(m));
    rl_merge_free(m);
}

/* The first layer as a base, the second on top of it; and both in one merge. */
static void on_made_base(const u8 *input, size_t size)
{
    u32 first = (u32)(size / 8), second = (u32)(size / 4) - first;
    first = first < 32 ? first : 32;
    second = second < 32 ? second : 32;
    const u8 *more = input + size / 8 * 4;
    struct vb_merge *lower = rl_merge_new(), *upper = rl_merge_new(), *both = rl_merge_new();
    u64 size_of_base = 0, size_of_whole = 0;
    u8 *base = add_made(lower, input, first) ? NULL : emit(lower, &size_of_base), *delta = NULL, *whole = NULL;
    if (base && (use_base(upper, base, size_of_base)))
        abort();
    if (base && !add_made(upper, more, second))
        delta = emit_delta(upper);
    if (delta && !add_made(both, input, first) && !add_made(both, more, second))
        whole = emit(both, &size_of_whole);
    if (delta && !whole)
        abort(); /* what a delta can say, the whole view can */
    if (whole)
        compare(delta, base, size_of_base, whole);
    free(base);
    free(delta);
    free(whole);
    rl_merge_free(lower);
    rl_merge_free(upper);
    rl_merge_free(both);
}

static void merge_layers(u8 kind, const u8 *copy, size_t size)
{
    struct vb_merge *m = rl_merge_new();
    int code = 0;
    for (size_t at = 0; !code && size - at > 4;) {
        size_t n = kind == 1 ? (size_t)copy[at] << 8 | copy[at + 1] : 128;
        at += kind == 1 ? 2 : 0;
        n = n < size - at ? n : size - at;
        if (kind == 1) {
            u8 *packed = malloc(n + 1);
            memcpy(packed, copy + at, n);
            code = rl_merge_add(m, packed, n);
            code = code ? code : vb_apply(m);
            free(packed);
        } else {
            code = add_made(m, copy + at, (u32)n / 4);
        }
        at += n;
    }
    u64 length;
    if (!code)
        free(emit(m, &length));
    rl_merge_free(m);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (size < 4)
        return -1;
    u8 *copy = malloc(size);
    memcpy(copy, data + 1, --size);
    switch (data[0] % 6) {
    case 0: {
        size_t name = copy[0] % size;
        u8 *view = malloc(size - name);
        memcpy(view, copy + name, size - name);
        vb_lookup(view, size - name, 1, copy, name);
        free(view);
        break;
    }
    case 4: on_any_base(copy, size); break;
    case 5: on_made_base(copy, size); break;
    default: merge_layers(data[0] % 6, copy, size);
    }
    free(copy);
    return 0;
}
