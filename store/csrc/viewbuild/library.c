/* The merge as a plain shared library, for ctypes (rootlay.store.view.merge).
 *
 * Not a CPython extension: those need Python's headers, which many machines with a Python do not have. Records are
 * passed packed in both directions: `u32` key length, `u32` value length, key, value; little endian.
 */
#include <stdlib.h>

#include "viewbuild.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT struct vb_merge *rl_merge_new(void)
{
    struct vb_merge *m = calloc(1, sizeof *m);
    if (m && vb_init(m)) {
        free(m);
        return NULL;
    }
    return m;
}

EXPORT void rl_merge_free(struct vb_merge *m)
{
    vb_free(m);
    free(m);
}

/* Add packed records of the current layer. */
EXPORT int rl_merge_add(struct vb_merge *m, const u8 *packed, size_t size)
{
    while (size) {
        if (size < 8)
            return vb_fail(m, VB_CORRUPT, "a cut record");
        u64 key = vb_u32(packed), value = vb_u32(packed + 4);
        if (key + value > size - 8)
            return vb_fail(m, VB_CORRUPT, "a cut record");
        int code = vb_add(m, packed + 8, key, packed + 8 + key, value);
        if (code)
            return code;
        packed += 8 + key + value;
        size -= 8 + key + value;
    }
    return 0;
}

/* `fd` becomes the merge's. */
EXPORT void rl_merge_use_file(struct vb_merge *m, int fd, size_t chunk_bytes) { vb_use_file(m, fd, chunk_bytes); }

/* Between batches of rl_merge_add, of native pieces and of records: what is in the file leaves memory. */
EXPORT void rl_merge_forget(struct vb_merge *m) { vb_arena_forget(&m->arena); }

EXPORT int rl_merge_apply(struct vb_merge *m) { return vb_apply(m); }

/* Before the first layer: merge on top of the native view in `fd`. */
EXPORT int rl_merge_base(struct vb_merge *m, int fd) { return vb_open_base(m, fd); }

EXPORT int rl_merge_number_delta(struct vb_merge *m) { return vb_number_delta(m); }

EXPORT u64 rl_merge_delta_size(const struct vb_merge *m) { return vb_delta_size(m); }

EXPORT void rl_merge_delta(const struct vb_merge *m, const u8 chain_id[32], u8 *out) { vb_delta(m, chain_id, out); }

EXPORT int rl_merge_number(struct vb_merge *m) { return vb_number(m); }

EXPORT u32 rl_merge_entries(const struct vb_merge *m) { return m->entries; }

EXPORT const struct vb_error *rl_merge_error(const struct vb_merge *m) { return &m->error; }

EXPORT u64 rl_merge_native_head_size(const struct vb_merge *m) { return vb_native_head_size(m); }

EXPORT void rl_merge_native_head(struct vb_merge *m, const u8 chain_id[32], u8 *out)
{
    vb_native_head(m, chain_id, out);
}

EXPORT u32 rl_merge_native_entries(const struct vb_merge *m, u32 first, u32 count, u32 end, u8 *out)
{
    return vb_native_entries(m, first, count, end, out);
}

EXPORT u64 rl_merge_native_strings_size(const struct vb_merge *m, u32 first, u32 count)
{
    return vb_native_strings_size(m, first, count);
}

EXPORT void rl_merge_native_strings(const struct vb_merge *m, u32 first, u32 count, u8 *out)
{
    vb_native_strings(m, first, count, out);
}

/* Packed size of the view records of `count` entries from `first` on; both within 1 … entries. */
EXPORT u64 rl_merge_records_size(const struct vb_merge *m, u32 first, u32 count)
{
    u64 size = 0;
    for (u32 id = first; id < first + count; id++)
        size += 8 + vb_key_size(m, id) + vb_value_size(m, id);
    return size;
}

EXPORT void rl_merge_records(const struct vb_merge *m, u32 first, u32 count, u8 *out)
{
    for (u32 id = first; id < first + count; id++) {
        u32 key = (u32)vb_key_size(m, id), value = (u32)vb_value_size(m, id);
        vb_put32(out, key);
        vb_put32(out + 4, value);
        vb_key(m, id, out + 8);
        vb_value(m, id, out + 8 + key);
        out += 8 + key + value;
    }
}

EXPORT i64 rl_view_lookup(const u8 *view, size_t size, u32 parent, const u8 *name, size_t len)
{
    return vb_lookup(view, size, parent, name, len);
}

EXPORT u64 rl_view_hash(u32 parent, const u8 *name, size_t len) { return vb_hash(parent, name, len); }
