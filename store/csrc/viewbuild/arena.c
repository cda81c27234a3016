/* Memory of one merge: many small allocations, freed together. */
#include <stdlib.h>
#include <string.h>

#include "viewbuild.h"

#define CHUNK_BYTES (1u << 20)

struct vb_chunk {
    struct vb_chunk *next;
    u8 bytes[];
};

void *vb_alloc(struct vb_arena *a, size_t size)
{
    if (!a->head || a->size - a->used < size) {
        size_t bytes = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        struct vb_chunk *chunk = malloc(sizeof *chunk + bytes);
        if (!chunk)
            return NULL;
        chunk->next = a->head;
        a->head = chunk;
        a->used = 0;
        a->size = bytes;
    }
    void *piece = a->head->bytes + a->used;
    a->used += size;
    return piece;
}

void vb_arena_free(struct vb_arena *a)
{
    while (a->head) {
        struct vb_chunk *next = a->head->next;
        free(a->head);
        a->head = next;
    }
    a->used = a->size = 0;
}

bool vb_grow(void *array, size_t *capacity, size_t count, size_t element)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 64;
    void *old, *bigger;
    memcpy(&old, array, sizeof old); /* `array` is the address of a pointer of any type */
    if (!(bigger = realloc(old, wanted * element)))
        return false;
    memcpy(array, &bigger, sizeof bigger);
    *capacity = wanted;
    return true;
}
