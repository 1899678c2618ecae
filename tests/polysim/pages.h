/* pages.h - whole answers kept ready: a page of the past is the same every time, and rendering and packing it
 * would be what a benchmark measures. */
#ifndef POLYSIM_PAGES_H
#define POLYSIM_PAGES_H

#include "http.h"

struct sim_pages;

struct sim_pages *sim_pages_new(void);
void sim_pages_free(struct sim_pages *pages);

/* The answer to the same request, as long as the market's revision is the same. NULL: not held. */
const struct sim_text *sim_pages_find(const struct sim_pages *pages, const struct sim_request *request,
                                      uint64_t revision);
/* Takes over the contents of wire and returns where they are now. */
const struct sim_text *sim_pages_keep(struct sim_pages *pages, const struct sim_request *request,
                                      uint64_t revision, struct sim_text *wire);

#endif
