/* Memory of one merge: many small allocations, freed together.
 *
 * What is written once can leave memory: chunks that are full move to a file, if there is one, and are mapped from it at
 * the same address. A chunk that cannot be written stays in memory.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "viewbuild.h"

struct vb_chunk {
    struct vb_chunk *next;
    u8 *bytes;
    size_t size;
    bool in_file;
};

/* Move the newest chunk to the file. */
static void spill(struct vb_arena *a)
{
    struct vb_chunk *c = a->head;
    if (!a->has_file || !c)
        return;
    for (size_t done = 0; done < c->size;) {
        ssize_t n = pwrite(a->file, c->bytes + done, c->size - done, (off_t)(a->in_file + done));
        if (n <= 0) {
            a->has_file = false; /* the disk is full: go on in memory */
            return;
        }
        done += (size_t)n;
    }
    if (mmap(c->bytes, c->size, PROT_READ, MAP_SHARED | MAP_FIXED, a->file, (off_t)a->in_file) == MAP_FAILED)
        abort(); /* the old mapping is gone */
    c->in_file = true;
    a->in_file += c->size;
}

static bool add_chunk(struct vb_arena *a, size_t bytes)
{
    struct vb_chunk *chunk = malloc(sizeof *chunk);
    if (!chunk)
        return false;
    bytes = (bytes + VB_CHUNK_ALIGN - 1) & ~(size_t)(VB_CHUNK_ALIGN - 1);
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        free(chunk);
        return false;
    }
    spill(a);
    *chunk = (struct vb_chunk){.next = a->head, .bytes = map, .size = bytes};
    a->head = chunk;
    a->used = 0;
    return true;
}

void *vb_alloc(struct vb_arena *a, size_t size)
{
    size_t chunk_bytes = a->chunk_bytes ? a->chunk_bytes : VB_CHUNK_BYTES;
    if ((!a->head || a->head->size - a->used < size) && !add_chunk(a, size > chunk_bytes ? size : chunk_bytes))
        return NULL;
    void *piece = a->head->bytes + a->used;
    a->used += size;
    return piece;
}

void vb_arena_forget(struct vb_arena *a)
{
    for (struct vb_chunk *c = a->head; c; c = c->next)
        if (c->in_file)
            madvise(c->bytes, c->size, MADV_DONTNEED);
}

void vb_arena_free(struct vb_arena *a)
{
    while (a->head) {
        struct vb_chunk *next = a->head->next;
        munmap(a->head->bytes, a->head->size);
        free(a->head);
        a->head = next;
    }
    if (a->opened)
        close(a->file);
    *a = (struct vb_arena){0};
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
