#include "pages.h"

#include <stdlib.h>
#include <string.h>

#include "symbol.h"

#define SLOTS     1024
#define BYTES_MAX (256u << 20)

struct page {
    struct sim_text key, wire;
    uint64_t revision;
};

struct sim_pages {
    struct page pages[SLOTS];
    size_t bytes;
};

struct sim_pages *sim_pages_new(void)
{
    return calloc(1, sizeof(struct sim_pages));
}

static void clear(struct sim_pages *pages, struct page *page)
{
    pages->bytes -= page->wire.size;
    sim_text_fini(&page->key);
    sim_text_fini(&page->wire);
}

void sim_pages_free(struct sim_pages *pages)
{
    for (size_t i = 0; pages && i < SLOTS; i++)
        clear(pages, &pages->pages[i]);
    free(pages);
}

/* All that the answer depends on: next_url names the host, and the packing and closing are the client's wish.
 */
static struct sim_text key_of(const struct sim_request *request)
{
    struct sim_text key = {0};
    sim_text_printf(&key, "%d%d %s %s %s", request->gzip, request->keep_alive, request->method, request->host,
                    request->target);
    return key;
}

static size_t slot_of(const struct sim_text *key)
{
    uint64_t h = 0;
    for (size_t i = 0; i < key->size; i++)
        h = sim_hash(h, (unsigned char)key->data[i], 3);
    return h % SLOTS;
}

const struct sim_text *sim_pages_find(const struct sim_pages *pages, const struct sim_request *request,
                                      uint64_t revision)
{
    struct sim_text key = key_of(request);
    const struct page *page = &pages->pages[slot_of(&key)];
    bool hit = page->key.size > 0 && page->revision == revision && page->key.size == key.size &&
               memcmp(page->key.data, key.data, key.size) == 0;
    sim_text_fini(&key);
    return hit ? &page->wire : NULL;
}

const struct sim_text *sim_pages_keep(struct sim_pages *pages, const struct sim_request *request,
                                      uint64_t revision, struct sim_text *wire)
{
    if (pages->bytes + wire->size > BYTES_MAX)
        for (size_t i = 0; i < SLOTS; i++)
            clear(pages, &pages->pages[i]);
    struct sim_text key = key_of(request);
    struct page *page = &pages->pages[slot_of(&key)];
    clear(pages, page);
    *page = (struct page){key, *wire, revision};
    pages->bytes += wire->size;
    *wire = (struct sim_text){0};
    return &page->wire;
}
