/* libFuzzer's harness for the merge of layer indexes into a view, and for looking names up in a view.
 *
 * Input: u8 kind. 0: a name (u8 length) to look up in the rest, a view of any bytes. 1: packed records of layers as they
 * are in an index, u16 bytes before each layer. Else: records made of four bytes each, so that most are sound: a parent,
 * a name, a type and flags, an inode or where a link leads; every 32nd begins another layer.
 *
 * A merge that is accepted must give a view in which each of its names is found, written to buffers of the right size.
 */
#include <stdlib.h>
#include <string.h>

#include "viewbuild/viewbuild.h"

struct vb_merge *rl_merge_new(void);
void rl_merge_free(struct vb_merge *m);
int rl_merge_add(struct vb_merge *m, const u8 *packed, size_t size);
u64 rl_merge_records_size(const struct vb_merge *m, u32 first, u32 count);
void rl_merge_records(const struct vb_merge *m, u32 first, u32 count, u8 *out);

static void emit(struct vb_merge *m)
{
    static const u8 chain[32];
    if (vb_number(m) != 0)
        return;
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
    free(view);
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

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    int code = 0;
    if (size < 4)
        return -1;
    u8 *copy = malloc(size);
    memcpy(copy, data + 1, --size);
    if (data[0] % 4 == 0) {
        size_t name = copy[0] % size;
        u8 *view = malloc(size - name);
        memcpy(view, copy + name, size - name);
        vb_lookup(view, size - name, 1, copy, name);
        free(view);
    } else {
        struct vb_merge *m = rl_merge_new();
        for (size_t at = 0; !code && size - at > 4;) {
            size_t n = data[0] % 4 == 1 ? (size_t)copy[at] << 8 | copy[at + 1] : 128;
            at += data[0] % 4 == 1 ? 2 : 0;
            n = n < size - at ? n : size - at;
            if (data[0] % 4 == 1) {
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
        if (!code)
            emit(m);
        rl_merge_free(m);
    }
    free(copy);
    return 0;
}
