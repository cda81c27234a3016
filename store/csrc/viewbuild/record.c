/* Check one record of a layer index (docs/format.md section 1). */
#include <string.h>

#include "viewbuild.h"

#define LINK_MAX_BYTES 4095u
#define RESERVED_PARENT 0xfffffffeu /* checkpoints and the index's own description */

static bool known_type(u8 type)
{
    return type && strchr("dflcbphw", type) != NULL;
}

static const char *check_name(const u8 *name, size_t len)
{
    if (len < 1 || len > RL_NAME_MAX)
        return "a name of impossible length";
    if (memchr(name, '/', len) || memchr(name, 0, len))
        return "a name with a slash or a NUL";
    if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
        return "the name . or ..";
    return NULL;
}

static const char *check_link(const u8 *value, u8 type, size_t link_len)
{
    bool wants_link = type == 'l' || type == 'h';
    if (wants_link ? link_len < 1 || link_len > LINK_MAX_BYTES : link_len != 0)
        return "a link target of impossible length";
    if (memchr(value + VB_HEAD, 0, link_len))
        return "a link target with a NUL";
    return NULL;
}

/* Returns the end of the xattrs, or 0. */
static size_t skip_xattrs(const u8 *value, size_t size, size_t at, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        if (size - at < 6)
            return 0;
        u64 bytes = (u64)vb_u16(value + at) + vb_u32(value + at + 2);
        at += 6;
        if (size - at < bytes)
            return 0;
        at += (size_t)bytes;
    }
    return at;
}

/* Runs are in order, do not overlap, and lie inside the file. Returns the end of the map, or 0. */
static size_t skip_sparse(const u8 *value, size_t size, size_t at, u64 file_size)
{
    if (size - at < 4)
        return 0;
    u64 count = vb_u32(value + at), end = 0;
    at += 4;
    if ((size - at) / 16 < count)
        return 0;
    for (u64 i = 0; i < count; i++, at += 16) {
        u64 start = vb_u64(value + at), length = vb_u64(value + at + 8);
        if (start < end || start > file_size || length > file_size - start)
            return 0;
        end = start + length;
    }
    return at;
}

static const char *check_value(const u8 *value, size_t size, struct vb_record *out)
{
    if (size < VB_HEAD || size > UINT32_MAX)
        return "an entry of impossible length";
    u8 type = value[0], flags = value[1];
    if (!known_type(type))
        return "an unknown entry type";
    if (flags & ~(VB_IMPLICIT | VB_OPAQUE | VB_REPLACES | VB_SPARSE))
        return "unknown flags";
    if (flags & (VB_IMPLICIT | VB_OPAQUE) && type != 'd')
        return "a directory's flag on something else";
    if (flags & VB_SPARSE && type != 'f')
        return "a sparse map on something else than a file";
    if (vb_u32(value + 16) > 07777)
        return "a mode with more than permission bits";
    if (vb_u64(value + 32) > INT64_MAX)
        return "an impossible size";
    size_t link_len = vb_u32(value + 28);
    if (link_len > size - VB_HEAD)
        return "a link target that is cut off";
    const char *wrong = check_link(value, type, link_len);
    if (wrong)
        return wrong;
    size_t at = skip_xattrs(value, size, VB_HEAD + link_len, vb_u16(value + 2));
    if (at && flags & VB_SPARSE)
        at = skip_sparse(value, size, at, vb_u64(value + 32));
    if (at != size)
        return "an entry of the wrong length";
    out->type = type;
    out->flags = flags;
    out->id = vb_u32(value + 4);
    out->ino = vb_u32(value + 8);
    out->link_len = (u32)link_len;
    return NULL;
}

const char *vb_parse(const u8 *key, size_t key_len, const u8 *value, size_t value_len, struct vb_record *out)
{
    if (key_len < 4 || key_len > 4 + RL_NAME_MAX)
        return "a key of impossible length";
    *out = (struct vb_record){.name = key + 4, .name_len = (u16)(key_len - 4), .value = value};
    out->value_len = (u32)value_len;
    out->parent = (u32)key[0] << 24 | (u32)key[1] << 16 | (u32)key[2] << 8 | key[3];
    const char *wrong = check_value(value, value_len, out);
    if (wrong)
        return wrong;
    if (out->id == 0 || out->id >= RESERVED_PARENT || out->parent >= RESERVED_PARENT)
        return "an impossible id";
    if (out->parent == 0) {
        if (out->name_len || out->id != RL_VIEW_ROOT || out->type != 'd')
            return "a malformed root";
        return NULL;
    }
    return out->id == RL_VIEW_ROOT ? "a second root" : check_name(out->name, out->name_len);
}

#define PACKED_HEAD 10u /* length of the value and of the name, parent */

size_t vb_packed_size(const struct vb_record *r)
{
    return PACKED_HEAD + r->name_len + r->value_len;
}

void vb_pack(const struct vb_record *r, u8 *out)
{
    vb_put32(out, r->value_len);
    vb_put32(out + 4, r->parent);
    out[8] = (u8)r->name_len;
    out[9] = (u8)(r->name_len >> 8);
    memcpy(out + PACKED_HEAD, r->name, r->name_len);
    memcpy(out + PACKED_HEAD + r->name_len, r->value, r->value_len);
}

struct vb_record vb_unpack(const u8 *bytes)
{
    struct vb_record r = {.value_len = vb_u32(bytes), .parent = vb_u32(bytes + 4), .name_len = vb_u16(bytes + 8)};
    r.name = bytes + PACKED_HEAD;
    r.value = r.name + r.name_len;
    r.type = r.value[0];
    r.flags = r.value[1];
    r.id = vb_u32(r.value + 4);
    r.ino = vb_u32(r.value + 8);
    r.link_len = vb_u32(r.value + 28);
    return r;
}
